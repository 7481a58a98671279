package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fanfare-push/fanfare/alloc/console/consoletest"
	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// console opens the page of the rig, which must show live numbers.
func (r *rig) console(t *testing.T, v consoletest.View) *consoletest.Tab {
	t.Helper()
	b := consoletest.Open(t, r.url+"/html", v)
	b.Live()
	return b
}

// rises tells in JavaScript whether the line of a series in a chart has a point
// above another.
func rises(chart, series string) string {
	return `(() => { const line = document.querySelector("#` + chart + ` path.line.s-` + series + `")?.getAttribute("d") ?? "";
		return new Set(line.split(/[ML]/).filter(Boolean).map((point) => point.split(" ")[1])).size > 1; })()`
}

func TestConsoleSendsAndReceives(t *testing.T) {
	r := start(t)
	b := r.console(t, consoletest.Desktop())
	b.Become("alice", "vip,beta")
	b.Send("alice", `{"title":"hello","n":1}`, "auto")
	b.UntilPush(`"title": "hello"`)
	id := b.UntilOutcome("acked")
	for _, stage := range []string{"accepted", "routed", "queued", "written", "acked"} {
		selector := `[data-testid="stage-` + stage + `"]`
		b.Until(stage+" is reached", `document.querySelector('`+selector+`')?.className === "reached"`)
		if stage != "accepted" && !strings.Contains(b.Text(selector), "node-1") {
			t.Errorf("stage %s shows %q", stage, b.Text(selector))
		}
	}
	b.UntilText("#message-outcome", "acknowledged")
	b.UntilText("#message-latency", "ms")
	m, err := r.pusher.Message(t.Context(), id)
	if err != nil || m.Outcome != protocol.OutcomeAcked || m.Ended != 1 {
		t.Errorf("the API says of the message %+v, %v", m, err)
	}
	b.Until("the pushes show in the chart", rises("chart-pushes", "accepted")+" && "+rises("chart-pushes", "deliveries"))
	b.Until("the connection shows in the chart", `document.querySelector("#chart-connections path.area.s-ws") !== null`)
	b.Until("the outcome shows in the chart", `document.querySelector("#chart-outcomes path.area.s-acked") !== null`)
	b.UntilText("#tile-connections", "1")

	b.Send("stranger", "anybody there?", "auto")
	b.UntilOutcome("offline")
	b.Send("alice", "please confirm", "biz")
	b.UntilPush("please confirm")
	b.UntilOutcome("pending")
	b.Acknowledge()
	b.UntilOutcome("acked")
}

func TestConsoleReachesDevicesOfTheSDK(t *testing.T) {
	r := start(t)
	phones := crew(t, r)
	b := r.console(t, consoletest.Desktop())
	b.Become("dave", "vip")
	b.Click(`label[for="push-target-all"]`)
	b.Fill("#push-content", "everybody with a tag")
	b.Click("#push-more summary")
	b.Fill("#push-tags", "vip")
	b.Click("#push-send")
	b.UntilPush("everybody with a tag")
	b.UntilText("#message-deliveries", "3")
	for _, device := range []string{"alice-phone", "alice-pc"} {
		if got := string(phones[device].next().Content); got != "everybody with a tag" {
			t.Errorf("%s received %q", device, got)
		}
	}
	b.UntilText("#tile-connections", "5")

	result := r.push(t, "dave", "from the SDK to the page", protocol.AckAuto)
	b.UntilPush("from the SDK to the page")
	if result.Outcome != protocol.OutcomeAcked {
		t.Errorf("a push to the page ended as %v", result.Outcome)
	}
	b.Look("alice")
	b.UntilText("#user-devices", "alice-phone")
	b.UntilText("#user-devices", "alice-pc")
}

func TestConsoleKicks(t *testing.T) {
	r := start(t)
	b := r.console(t, consoletest.Desktop())
	b.Become("alice", "")
	b.Look("alice")
	b.Click(`[data-testid="user-kick"]`)
	b.UntilText("#confirm", "Kick alice?")
	b.Click("#confirm-no")
	if r.Info().Users != 1 {
		t.Error("the user was kicked without a confirmation")
	}
	b.Click(`[data-testid="user-kick"]`)
	b.Confirm()
	b.UntilText("#device-log", "Kicked: user alice on device web-")
	b.UntilState("#device-state", "offline")
	servertest.Eventually(t, "nobody is connected", func() bool { return r.Info().Connections == 0 })

	b.Become("alice", "") // the same page may come back
	p := switchOn(t, r.DeviceAddress(), "alice", func(o *client.DeviceOptions) { o.OSName = "web" })
	p.until(client.StateBound)
	b.UntilState("#device-state", "offline") // the second login of its class took the user
}

func TestConsoleDrains(t *testing.T) {
	r := start(t)
	p := switchOn(t, "", "bob", func(o *client.DeviceOptions) { o.Allocator = r.url })
	p.until(client.StateBound)
	b := r.console(t, consoletest.Desktop())
	b.Become("alice", "")
	row := `tr[data-id="node-1"]`
	b.UntilState(row, "serving")
	b.UntilText(row, "serving")
	b.UntilText(row, r.DeviceAddress())
	b.UntilText("#tile-nodes", "1")
	b.Click(row + ` [data-testid="node-drain"]`)
	b.UntilText("#confirm", "Drain node node-1?")
	b.Fill("#confirm-input", "100")
	b.Confirm()
	b.UntilState(row, "draining")
	b.UntilText("#nodes-log", "node-1: serving → draining")
	b.UntilText("#tile-nodes", "0")
	b.UntilText("#device-log", "the node is draining")
	servertest.Eventually(t, "every device has left", func() bool { return r.Info().Connections == 0 })
	b.UntilText("#tile-connections", "0")
	if got := r.servers(t); got != "" {
		t.Errorf("GET / names %q, which is draining", got)
	}
	b.Click("#device-connect") // it stops trying to come back
	b.UntilState("#device-state", "offline")
}

func TestConsoleAsksForTheToken(t *testing.T) {
	r := startGuarded(t, []string{"s3cret"})
	b := consoletest.Open(t, r.url+"/html", consoletest.Desktop())
	b.UntilState("#live-state", "unauthorized")
	b.Fill("#token-input", "wrong")
	b.Click("#token-save")
	b.UntilText("#token-form", "did not accept this token")
	b.Fill("#token-input", "s3cret")
	b.Click("#token-save")
	b.Live()
	b.Become("alice", "")
	b.Send("alice", "with a token", "auto")
	b.UntilOutcome("acked")
}

func TestConsoleSpeaksBothLanguages(t *testing.T) {
	r := start(t)
	for _, test := range []struct{ languages, send, bound, outcome, switched string }{
		{"en-US,en", "Send", "online", "acknowledged", "已确认"},
		{"zh-CN,zh,en", "发送", "在线", "已确认", "acknowledged"},
	} {
		t.Run(test.languages, func(t *testing.T) {
			b := r.console(t, consoletest.Phone(test.languages, test.send == "发送"))
			b.UntilText("#push-send", test.send)
			b.Become("alice-"+test.send, "vip")
			b.UntilText("#device-state", test.bound)
			b.Send("alice-"+test.send, strings.Repeat("long-word-", 30), "auto")
			b.UntilOutcome("acked")
			b.UntilText("#message-outcome", test.outcome)
			b.Look("alice-" + test.send)
			b.KeepsWidth()
			b.Screenshot("e2e-phone-" + test.languages[:2])
			consoletest.Eval[chromedp.Void](b, `scrollTo(0, 0)`)
			b.Click("#lang-switch")
			b.UntilText("#message-outcome", test.switched)
			b.KeepsWidth()
		})
	}
}
