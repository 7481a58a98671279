package console_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func TestDeviceGetsWhatIsPushed(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.become("alice", "vip,beta")
	b.send("alice", `{"title":"你好","n":1}`, "auto")
	b.untilPush(`"title": "你好"`) // indented
	id := b.untilOutcome("acked")
	for _, stage := range []string{"accepted", "routed", "queued", "written", "acked"} {
		if class := b.attribute(`[data-testid="stage-`+stage+`"]`, "class"); class != "reached" {
			t.Errorf("stage %s is %q", stage, class)
		}
	}
	if text := b.text(`[data-testid="stage-written"]`); !strings.Contains(text, "+") || !strings.Contains(text, "node-1") {
		t.Errorf("written: %q", text)
	}
	b.untilText("#message-help", "confirmed it")
	b.send("alice", "plain", "none")
	b.untilOutcome("sent")
	b.fill("#lookup-id", id)
	b.click("#lookup-go")
	b.untilOutcome("acked")
	if n := b.count(`[data-testid="history-item"]`); n != 2 {
		t.Errorf("%d messages in the history", n)
	}
}

func TestAppAcknowledges(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.become("bob", "")
	b.send("bob", "please confirm", "biz")
	b.untilPush("please confirm")
	b.untilOutcome("pending")
	b.acknowledge()
	b.untilOutcome("acked")
	b.untilText("#device-log", "acknowledged after")
}

func TestPushToMany(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.become("carol", "vip")
	b.click(`label[for="push-target-users"]`)
	b.fill("#push-users", "carol\rdave\rerin")
	b.click(`label[for="push-ack-auto"]`)
	b.click("#push-send")
	b.until("all ended", `document.querySelector("#message-progress").value === 3`)
	b.untilText("#message-outcomes", "offline: 2")
	b.untilText("#message-outcomes", "acknowledged: 1")

	b.click(`label[for="push-target-all"]`)
	b.untilText("#push-all-note", "Connections now: 1")
	b.click("#push-more summary")
	b.fill("#push-tags", "gold, silver")
	b.click(`#push-types input[value="web"]`)
	b.fill("#push-wait", "1.5")
	b.click("#push-send")
	b.untilOutcome("filtered")
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.pushes[len(s.pushes)-1]
	if !last.Broadcast || last.User != "" || !slices.Equal(last.Tags, []string{"gold", "silver"}) || !slices.Equal(last.ClientTypes, []string{"web"}) || last.Wait != "1.5s" {
		t.Errorf("sent %+v", last)
	}
}

func TestRefusalsAreReadable(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.click("#push-more summary")
	b.fill("#push-condition", "<b>tags")
	b.click("#push-send")
	b.untilText("#push-problem", "unexpected token at 1:5")
	b.untilText("#push-problem", "Field: condition")
	if b.attribute("#push-condition", "aria-invalid") != "true" {
		t.Error("the field is not marked")
	}
	b.fill("#push-condition", "")
	b.send("nobody", "hello", "auto")
	b.untilOutcome("offline")
	if b.text("#push-problem") != "" {
		t.Error("the old problem is still there")
	}
	b.fill("#lookup-id", "<img src=x onerror=alert(1)>")
	b.click("#lookup-go")
	b.untilText("#push-problem", "no message <img src=x onerror=alert(1)> is known here")
	b.untilText("#push-problem", "404 unknown_message")
}

func TestDeviceIsKicked(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.become("frank", "")
	b.look("frank")
	if text := b.text(`[data-testid="user-device"]`); !strings.Contains(text, "Web") || !strings.Contains(text, "online") {
		t.Errorf("device: %q", text)
	}
	b.click(`[data-testid="user-kick"]`)
	b.untilText("#confirm", "Kick frank?")
	b.confirm()
	b.untilText("#device-log", "Kicked: user frank on device web-")
	b.untilText("#device-log", "an operator or the API ended it (4017)")
	b.untilState("#device-state", "offline")
	b.untilText("#user-empty", "No device of frank is known")
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.kicks, []string{"frank web"}) {
		t.Errorf("kicks %q", s.kicks)
	}
}

func TestKickedDeviceLeavesByItself(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.choose("#device-type", "mobile")
	b.become("niaj", "")
	s.tellKicked()
	b.untilText("#device-log", "Kicked: user niaj on device mobile-")
	b.untilState("#device-state", "offline")
	b.untilText("#device-log", "Disconnected.")
}

func TestInboxIsBounded(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.become("olivia", "")
	for i := range 205 {
		answer, err := http.Post(s.http.URL+"/api/v1/push", "application/json", strings.NewReader(fmt.Sprintf(`{"user":"olivia","content":"n %d","ack":"none"}`, i)))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	b.untilText("#device-count", "205")
	if n := b.count("#device-log li"); n != 200 {
		t.Errorf("%d entries in the list, want 200", n)
	}
	b.untilPush("n 204")
	b.click("#device-clear")
	if n := b.count("#device-log li"); n != 0 {
		t.Errorf("%d entries after clearing", n)
	}
}

func TestKeyboardSends(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.fill("#push-user", "nobody")
	b.fill("#push-content", "by keyboard")
	b.do("Ctrl+Enter", chromedp.KeyEvent("\r", chromedp.KeyModifiers(kb.ModifierCtrl)))
	b.untilOutcome("offline")
	if open := eval[string](b, `document.activeElement.id`); open != "push-content" {
		t.Errorf("the focus went to %q", open)
	}
}

func TestDeviceIsRefused(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.fill("#device-user", "banned")
	b.click("#device-connect")
	b.untilText("#device-log", "The node refused BIND: bind failed")
	b.untilState("#device-state", "offline") // trying again would be refused again
	b.fill("#device-url", "ftp://nowhere/")
	b.fill("#device-user", "grace")
	b.click("#device-connect")
	b.untilText("#device-log", "This address cannot be used")
	b.untilState("#device-state", "offline")
}

func TestDeviceComesBack(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.become("heidi", "")
	b.click("#device-unbind")
	b.untilState("#device-state", "connected")
	b.fill("#device-user", "ivan")
	b.click("#device-bind")
	b.untilState("#device-state", "bound")
	s.hangUpAll(1001, "drain")
	b.untilText("#device-log", "the node is draining, go to another one")
	b.untilState("#device-state", "bound")
	b.send("ivan", "still there?", "auto")
	b.untilOutcome("acked")
	b.click("#device-connect")
	b.untilState("#device-state", "offline")
	b.untilText("#device-log", "Disconnected.")
}

func TestTokenIsAskedFor(t *testing.T) {
	s := newStandIn(t)
	s.token = "s3cret"
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.untilState("#live-state", "unauthorized")
	b.fill("#token-input", "wrong")
	b.click("#token-save")
	b.untilText("#token-form", "did not accept this token")
	b.fill("#token-input", "s3cret")
	b.click("#token-save")
	b.live()
	b.until("no form", `document.querySelector("#token-form").hidden`)
	if kept := eval[string](b, `JSON.stringify(localStorage)`); strings.Contains(kept, "s3cret") {
		t.Errorf("the token outlives the tab: %s", kept)
	}
	b.become("judy", "")
	b.send("judy", "with a token", "auto")
	b.untilOutcome("acked")
}

func TestNodesComeAndGo(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	second := s.nodes[0]
	second.ID, second.Connections = "node-2", 7
	s.setNodes(func(nodes []cluster.Info) []cluster.Info { return append(nodes, second) })
	b.untilText("#nodes-log", "node-2 came: serving")
	b.click(`tr[data-id="node-1"] [data-testid="node-drain"]`)
	b.untilText("#confirm", "Drain node node-1?")
	b.click("#confirm-no")
	b.until("no dialog", `!document.querySelector("#confirm").open`)
	b.click(`tr[data-id="node-1"] [data-testid="node-drain"]`)
	b.fill("#confirm-input", "50")
	b.confirm()
	b.untilText("#nodes-log", "node-1: serving → draining")
	b.untilState(`tr[data-id="node-1"]`, "draining")
	s.setNodes(func(nodes []cluster.Info) []cluster.Info { return nodes[1:] })
	b.untilText("#nodes-log", "node-1 is gone")
	b.untilText("#tile-nodes", "1")
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.drains, []string{"node-1 50"}) {
		t.Errorf("drains %q", s.drains)
	}
}

func TestLiveNumbersComeBack(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.until("a line", `document.querySelectorAll("#chart-pushes path.line").length === 2`)
	s.breakStreams(true)
	b.untilState("#live-state", "lost")
	b.untilText("#live-problem", "64 subscribers are connected")
	s.breakStreams(false)
	b.live()
	if text := b.text("#live-problem"); text != "" {
		t.Errorf("the problem is still there: %q", text)
	}
}

func TestChartsAnswerKeysAndWords(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	b.live()
	b.send("nobody", "x", "none")
	b.untilOutcome("offline")
	b.until("latencies", `document.querySelector("#chart-latency-text").textContent.includes("p99: latest 12.5 ms")`)
	eval[chromedp.Void](b, `document.querySelector("#chart-latency svg").focus()`)
	eval[chromedp.Void](b, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true}))`)
	b.untilText("#chart-latency .readout", "420 µs")
	b.untilText("#chart-latency .readout", "p99")
	steps := eval[[][]float64](b, `import("/console/chart.js").then(m => [m.ticks(0, 4), m.ticks(7, 4), m.ticks(0.3, 4), m.ticks(12345, 4), m.ticks(1, 4, true), m.ticks(0, 4, true)])`)
	want := [][]float64{{0, 0.25}, {0, 2, 4, 6, 8}, {0, 0.1, 0.2, 0.3}, {0, 5000, 10000, 15000}, {0, 1}, {0, 1}}
	if !slices.EqualFunc(steps, want, slices.Equal) {
		t.Errorf("ticks %v, want %v", steps, want)
	}
}

func TestNumbersAndTimesAreWritten(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	got := eval[[]string](b, `import("/console/format.js").then(f => [f.number(null), f.number(0), f.number(0.25), f.number(12.34), f.number(12345), f.number(1234567),
		f.duration(0.1234), f.duration(1.256), f.duration(45.67), f.duration(999.4), f.duration(2500), f.duration(null),
		String(f.parseTime("2026-11-21T10:00:00.123456Z") - f.parseTime("2026-11-21T18:00:00.123+08:00")).slice(0, 5), String(f.parseTime("soon"))])`)
	want := []string{"–", "0", "0.25", "12.3", "12,345", "1.2M", "123 µs", "1.26 ms", "45.7 ms", "999 ms", "2.5 s", "–", "0.456", "NaN"}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestCloseCodesAreUnderstood(t *testing.T) {
	s := newStandIn(t)
	b := openConsole(t, s.http.URL+"/html", desktop)
	got := eval[[]string](b, `import("/console/device.js").then(d => [[4017, ""], [1001, "drain"], [1000, "Bye"], [4006, ""], [1006, ""], [1000, "replaced"], [1009, ""]]
		.map(([code, reason]) => d.closeReason(code, reason) + " " + d.mayReconnect(code, reason)).concat([0, 4, 8, 12].map(d.ackMode)))`)
	want := []string{"kicked false", "drain true", "1000 false", "idle true", "1006 true", "replaced false", "1009 false", "none", "biz", "auto", "auto"}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestLanguagesAndColours(t *testing.T) {
	s := newStandIn(t)
	chinese := desktop
	chinese.Languages, chinese.Dark = "zh-CN,zh,en", true
	b := openConsole(t, s.http.URL+"/html", chinese)
	b.live()
	b.untilText("#push-send", "发送")
	background := `getComputedStyle(document.body).backgroundColor`
	dark := eval[string](b, background)
	b.send("nobody", "x", "none")
	b.untilOutcome("offline")
	b.untilText("#message-help", "用户没有在线的设备")
	b.click("#lang-switch")
	b.untilText("#message-help", "The user has no connected device")
	b.click("#theme-switch")
	b.untilText("#theme-label", "Light")
	if light := eval[string](b, background); light == dark {
		t.Errorf("light and dark are both %s", light)
	}
	eval[chromedp.Void](b, `location.reload()`)
	b.untilText("#push-send", "Send")
	b.untilText("#theme-label", "Light")
	if language := b.attribute("html", "lang"); language != "en" {
		t.Errorf("lang %q", language)
	}
}

func TestPhone(t *testing.T) {
	s := newStandIn(t)
	for name, v := range map[string]view{"en": {Width: 360, Height: 740, Languages: "en"}, "zh": {Width: 360, Height: 740, Languages: "zh-CN", Dark: true}} {
		t.Run(name, func(t *testing.T) {
			b := openConsole(t, s.http.URL+"/html", v)
			b.live()
			b.become("mallory", "vip")
			b.send("mallory", strings.Repeat("long-word-", 30), "auto")
			b.untilOutcome("acked")
			b.look("mallory")
			b.keepsWidth()
			b.screenshot("phone-" + name)
		})
	}
}
