package console_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/fanfare-push/fanfare/alloc/console/consoletest"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func TestDeviceGetsWhatIsPushed(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Become("alice", "vip,beta")
	b.Send("alice", `{"title":"你好","n":1}`, "auto")
	b.UntilPush(`"title": "你好"`) // indented
	id := b.UntilOutcome("acked")
	for _, stage := range []string{"accepted", "routed", "queued", "written", "acked"} {
		if class := b.Attribute(`[data-testid="stage-`+stage+`"]`, "class"); class != "reached" {
			t.Errorf("stage %s is %q", stage, class)
		}
	}
	if text := b.Text(`[data-testid="stage-written"]`); !strings.Contains(text, "+") || !strings.Contains(text, "node-1") {
		t.Errorf("written: %q", text)
	}
	b.UntilText("#message-help", "confirmed it")
	b.Send("alice", "plain", "none")
	b.UntilOutcome("sent")
	b.Fill("#lookup-id", id)
	b.Click("#lookup-go")
	b.UntilOutcome("acked")
	if n := b.Count(`[data-testid="history-item"]`); n != 2 {
		t.Errorf("%d messages in the history", n)
	}
}

func TestAppAcknowledges(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Become("bob", "")
	b.Send("bob", "please confirm", "biz")
	b.UntilPush("please confirm")
	b.UntilOutcome("pending")
	b.Acknowledge()
	b.UntilOutcome("acked")
	b.UntilText("#device-log", "acknowledged after")
}

func TestPushToMany(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Become("carol", "vip")
	b.Click(`label[for="push-target-users"]`)
	b.Fill("#push-users", "carol\rdave\rerin")
	b.Click(`label[for="push-ack-auto"]`)
	b.Click("#push-send")
	b.Until("all ended", `document.querySelector("#message-progress").value === 3`)
	b.UntilText("#message-outcomes", "offline: 2")
	b.UntilText("#message-outcomes", "acknowledged: 1")

	b.Click(`label[for="push-target-all"]`)
	b.UntilText("#push-all-note", "Connections now: 1")
	b.Click("#push-more summary")
	b.Fill("#push-tags", "gold, silver")
	b.Click(`#push-types input[value="web"]`)
	b.Fill("#push-wait", "1.5")
	b.Click("#push-send")
	b.UntilOutcome("filtered")
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.pushes[len(s.pushes)-1]
	if !last.Broadcast || last.User != "" || !slices.Equal(last.Tags, []string{"gold", "silver"}) || !slices.Equal(last.ClientTypes, []string{"web"}) || last.Wait != "1.5s" {
		t.Errorf("sent %+v", last)
	}
}

func TestBroadcastIsWatchedAndStopped(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	if shown := b.Text("#push-rate-field"); shown != "" {
		t.Errorf("a push to one user has a rate: %q", shown)
	}
	b.Click(`label[for="push-target-all"]`)
	b.Click("#push-more summary")
	b.Fill("#push-rate", "20")
	b.Fill("#push-task", "spring")
	b.Click("#push-send")
	id := b.UntilOutcome("pending")
	b.UntilText("#message-deliveries", "sent: 160")
	b.UntilText(`[data-testid="message-node"][data-node="node-1"]`, "sent: 150")
	b.UntilText(`[data-testid="message-node"][data-node="node-2"][data-outcome="pending"]`, "too slow: 1")
	b.Click("#message-cancel")
	b.UntilText("#confirm", "Stop broadcast "+id+"?")
	b.Click("#confirm-no")
	b.Until("no dialog", `!document.querySelector("#confirm").open`)
	b.Click("#message-cancel")
	b.Confirm()
	b.UntilOutcome("sent")
	b.UntilText(`[data-testid="message-node"][data-node="node-2"]`, "rejected: 39")
	b.Until("no button", `document.querySelector("#message-cancel").hidden`)
	b.Screenshot("broadcast")
	b.Click("#lang-switch")
	b.UntilText("#push-rate-field", "每个节点每秒连接数")
	b.Send("nobody", "x", "none")
	b.UntilOutcome("offline")
	if n := b.Count(`[data-testid="message-node"]`); n != 0 {
		t.Errorf("a push to one user shows %d nodes", n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pushes[0]; p.Rate != 20 || p.Task != "spring" || s.pushes[1].Rate != 0 || !slices.Equal(s.cancels, []string{id}) {
		t.Errorf("pushes %+v, cancels %q", s.pushes, s.cancels)
	}
}

func TestRefusalsAreReadable(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Click("#push-more summary")
	b.Fill("#push-condition", "<b>tags")
	b.Click("#push-send")
	b.UntilText("#push-problem", "unexpected token at 1:5")
	b.UntilText("#push-problem", "Field: condition")
	if b.Attribute("#push-condition", "aria-invalid") != "true" {
		t.Error("the field is not marked")
	}
	b.Fill("#push-condition", "")
	b.Send("nobody", "hello", "auto")
	b.UntilOutcome("offline")
	if b.Text("#push-problem") != "" {
		t.Error("the old problem is still there")
	}
	b.Fill("#lookup-id", "<img src=x onerror=alert(1)>")
	b.Click("#lookup-go")
	b.UntilText("#push-problem", "no message <img src=x onerror=alert(1)> is known here")
	b.UntilText("#push-problem", "404 unknown_message")
}

func TestDeviceIsKicked(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Become("frank", "")
	b.Look("frank")
	if text := b.Text(`[data-testid="user-device"]`); !strings.Contains(text, "Web") || !strings.Contains(text, "online") {
		t.Errorf("device: %q", text)
	}
	b.Click(`[data-testid="user-kick"]`)
	b.UntilText("#confirm", "Kick frank?")
	b.Confirm()
	b.UntilText("#device-log", "Kicked: user frank on device web-")
	b.UntilText("#device-log", "an operator or the API ended it (4017)")
	b.UntilState("#device-state", "offline")
	b.UntilText("#user-empty", "No device of frank is known")
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.kicks, []string{"frank web"}) {
		t.Errorf("kicks %q", s.kicks)
	}
}

// TestSecondThought asks the same question again before the browser has told the
// page that the first dialog is closed.
func TestSecondThought(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Become("grace", "")
	b.Look("grace")
	consoletest.Eval[chromedp.Void](b, `(kick => { kick.click(); document.querySelector("#confirm-no").click(); kick.click(); })(document.querySelector('[data-testid="user-kick"]'))`)
	b.Confirm()
	b.UntilText("#device-log", "Kicked: user grace")
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.kicks, []string{"grace web"}) {
		t.Errorf("kicks %q", s.kicks)
	}
}

func TestKickedDeviceLeavesByItself(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Choose("#device-type", "mobile")
	b.Become("niaj", "")
	s.tellKicked()
	b.UntilText("#device-log", "Kicked: user niaj on device mobile-")
	b.UntilState("#device-state", "offline")
	b.UntilText("#device-log", "Disconnected.")
}

func TestInboxIsBounded(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Become("olivia", "")
	for i := range 205 {
		answer, err := http.Post(s.http.URL+"/api/v1/push", "application/json", strings.NewReader(fmt.Sprintf(`{"user":"olivia","content":"n %d","ack":"none"}`, i)))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	b.UntilText("#device-count", "205")
	if n := b.Count("#device-log li"); n != 200 {
		t.Errorf("%d entries in the list, want 200", n)
	}
	b.UntilPush("n 204")
	b.Click("#device-clear")
	if n := b.Count("#device-log li"); n != 0 {
		t.Errorf("%d entries after clearing", n)
	}
}

func TestKeyboardSends(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Fill("#push-user", "nobody")
	b.Fill("#push-content", "by keyboard")
	b.Do("Ctrl+Enter", chromedp.KeyEvent("\r", chromedp.KeyModifiers(kb.ModifierCtrl)))
	b.UntilOutcome("offline")
	if open := consoletest.Eval[string](b, `document.activeElement.id`); open != "push-content" {
		t.Errorf("the focus went to %q", open)
	}
}

func TestDeviceIsRefused(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Fill("#device-user", "banned")
	b.Click("#device-connect")
	b.UntilText("#device-log", "The node refused BIND: bind failed")
	b.UntilState("#device-state", "offline") // trying again would be refused again
	b.Fill("#device-url", "ftp://nowhere/")
	b.Fill("#device-user", "grace")
	b.Click("#device-connect")
	b.UntilText("#device-log", "This address cannot be used")
	b.UntilState("#device-state", "offline")
}

func TestDeviceComesBack(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Become("heidi", "")
	b.Click("#device-unbind")
	b.UntilState("#device-state", "connected")
	b.Fill("#device-user", "ivan")
	b.Click("#device-bind")
	b.UntilState("#device-state", "bound")
	s.hangUpAll(1001, "drain")
	b.UntilText("#device-log", "the node is draining, go to another one")
	b.UntilState("#device-state", "bound")
	b.Send("ivan", "still there?", "auto")
	b.UntilOutcome("acked")
	b.Click("#device-connect")
	b.UntilState("#device-state", "offline")
	b.UntilText("#device-log", "Disconnected.")
}

func TestTokenIsAskedFor(t *testing.T) {
	s := newStandIn(t)
	s.token = "s3cret"
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.UntilState("#live-state", "unauthorized")
	b.Fill("#token-input", "wrong")
	b.Click("#token-save")
	b.UntilText("#token-form", "did not accept this token")
	b.Fill("#token-input", "s3cret")
	b.Click("#token-save")
	b.Live()
	b.Until("no form", `document.querySelector("#token-form").hidden`)
	if kept := consoletest.Eval[string](b, `JSON.stringify(localStorage)`); strings.Contains(kept, "s3cret") {
		t.Errorf("the token outlives the tab: %s", kept)
	}
	b.Become("judy", "")
	b.Send("judy", "with a token", "auto")
	b.UntilOutcome("acked")
}

func TestNodesComeAndGo(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	second := s.nodes[0]
	second.ID, second.Connections = "node-2", 7
	s.setNodes(func(nodes []cluster.Info) []cluster.Info { return append(nodes, second) })
	b.UntilText("#nodes-log", "node-2 came: serving")
	b.Click(`tr[data-id="node-1"] [data-testid="node-drain"]`)
	b.UntilText("#confirm", "Drain node node-1?")
	b.Click("#confirm-no")
	b.Until("no dialog", `!document.querySelector("#confirm").open`)
	b.Click(`tr[data-id="node-1"] [data-testid="node-drain"]`)
	b.Fill("#confirm-input", "50")
	b.Confirm()
	b.UntilText("#nodes-log", "node-1: serving → draining")
	b.UntilState(`tr[data-id="node-1"]`, "draining")
	s.setNodes(func(nodes []cluster.Info) []cluster.Info { return nodes[1:] })
	b.UntilText("#nodes-log", "node-1 is gone")
	b.UntilText("#tile-nodes", "1")
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.drains, []string{"node-1 50"}) {
		t.Errorf("drains %q", s.drains)
	}
}

func TestJavaAndLostNodes(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	java, lost := s.nodes[0], s.nodes[0]
	java.ID, java.Java, java.Weight, java.Ops, java.WebSocket, java.Version = "10.0.0.9:3001", true, 1, "", "", ""
	lost.ID, lost.State, lost.Weight = "node-9", cluster.Lost, 25
	s.setNodes(func(nodes []cluster.Info) []cluster.Info { return append(nodes, java, lost) })
	b.UntilText(`tr[data-id="10.0.0.9:3001"]`, "Java")
	b.UntilText(`tr[data-id="node-9"]`, "25")
	b.UntilState(`tr[data-id="node-9"]`, "lost")
	for id, disabled := range map[string]bool{"node-1": false, "10.0.0.9:3001": true, "node-9": true} {
		if got := consoletest.Eval[bool](b, `document.querySelector('tr[data-id="`+id+`"] [data-testid="node-drain"]').disabled`); got != disabled {
			t.Errorf("%s: the drain button is disabled: %v", id, got)
		}
	}
	if n := b.Count(`[data-testid="node-java"]`); n != 1 {
		t.Errorf("%d nodes are marked as Java's", n)
	}
	b.Screenshot("nodes")
}

func TestLiveNumbersComeBack(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Until("a line", `document.querySelectorAll("#chart-pushes path.line").length === 2`)
	s.breakStreams(true)
	b.UntilState("#live-state", "lost")
	b.UntilText("#live-problem", "64 subscribers are connected")
	s.breakStreams(false)
	b.Live()
	if text := b.Text("#live-problem"); text != "" {
		t.Errorf("the problem is still there: %q", text)
	}
}

func TestChartsAnswerKeysAndWords(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	b.Live()
	b.Send("nobody", "x", "none")
	b.UntilOutcome("offline")
	b.Until("latencies", `document.querySelector("#chart-latency-text").textContent.includes("p99: latest 12.5 ms")`)
	consoletest.Eval[chromedp.Void](b, `document.querySelector("#chart-latency svg").focus()`)
	consoletest.Eval[chromedp.Void](b, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true}))`)
	b.UntilText("#chart-latency .readout", "420 µs")
	b.UntilText("#chart-latency .readout", "p99")
	steps := consoletest.Eval[[][]float64](b, `import("/console/chart.js").then(m => [m.ticks(0, 4), m.ticks(7, 4), m.ticks(0.3, 4), m.ticks(12345, 4), m.ticks(1, 4, true), m.ticks(0, 4, true)])`)
	want := [][]float64{{0, 0.25}, {0, 2, 4, 6, 8}, {0, 0.1, 0.2, 0.3}, {0, 5000, 10000, 15000}, {0, 1}, {0, 1}}
	if !slices.EqualFunc(steps, want, slices.Equal) {
		t.Errorf("ticks %v, want %v", steps, want)
	}
}

func TestNumbersAndTimesAreWritten(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	got := consoletest.Eval[[]string](b, `import("/console/format.js").then(f => [f.number(null), f.number(0), f.number(0.25), f.number(12.34), f.number(12345), f.number(1234567),
		f.duration(0.1234), f.duration(1.256), f.duration(45.67), f.duration(999.4), f.duration(2500), f.duration(null),
		String(f.parseTime("2026-11-21T10:00:00.123456Z") - f.parseTime("2026-11-21T18:00:00.123+08:00")).slice(0, 5), String(f.parseTime("soon"))])`)
	want := []string{"–", "0", "0.25", "12.3", "12,345", "1.2M", "123 µs", "1.26 ms", "45.7 ms", "999 ms", "2.5 s", "–", "0.456", "NaN"}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestCloseCodesAreUnderstood(t *testing.T) {
	s := newStandIn(t)
	b := consoletest.Open(t, s.http.URL+"/html", consoletest.Desktop())
	got := consoletest.Eval[[]string](b, `import("/console/device.js").then(d => [[4017, ""], [1001, "drain"], [1000, "Bye"], [4006, ""], [1006, ""], [1000, "replaced"], [1009, ""]]
		.map(([code, reason]) => d.closeReason(code, reason) + " " + d.mayReconnect(code, reason)).concat([0, 4, 8, 12].map(d.ackMode)))`)
	want := []string{"kicked false", "drain true", "1000 false", "idle true", "1006 true", "replaced false", "1009 false", "none", "biz", "auto", "auto"}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestLanguagesAndColours(t *testing.T) {
	s := newStandIn(t)
	chinese := consoletest.Desktop()
	chinese.Languages, chinese.Dark = "zh-CN,zh,en", true
	b := consoletest.Open(t, s.http.URL+"/html", chinese)
	b.Live()
	b.UntilText("#push-send", "发送")
	background := `getComputedStyle(document.body).backgroundColor`
	dark := consoletest.Eval[string](b, background)
	b.Send("nobody", "x", "none")
	b.UntilOutcome("offline")
	b.UntilText("#message-help", "用户没有在线的设备")
	b.Click("#lang-switch")
	b.UntilText("#message-help", "The user has no connected device")
	b.Click("#theme-switch")
	b.UntilText("#theme-label", "Light")
	if light := consoletest.Eval[string](b, background); light == dark {
		t.Errorf("light and dark are both %s", light)
	}
	consoletest.Eval[chromedp.Void](b, `location.reload()`)
	b.UntilText("#push-send", "Send")
	b.UntilText("#theme-label", "Light")
	if language := b.Attribute("html", "lang"); language != "en" {
		t.Errorf("lang %q", language)
	}
}

func TestPhone(t *testing.T) {
	s := newStandIn(t)
	for name, v := range map[string]consoletest.View{"en": consoletest.Phone("en", false), "zh": consoletest.Phone("zh-CN", true)} {
		t.Run(name, func(t *testing.T) {
			b := consoletest.Open(t, s.http.URL+"/html", v)
			b.Live()
			b.Become("mallory", "vip")
			b.Send("mallory", strings.Repeat("long-word-", 30), "auto")
			b.UntilOutcome("acked")
			b.Look("mallory")
			b.KeepsWidth()
			b.Screenshot("phone-" + name)
		})
	}
}
