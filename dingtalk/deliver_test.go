package dingtalk

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

const oneRobot = "targets: {ops: {robots: [{{robot a}}]}}\n"
const twoRobots = "targets: {ops: {robots: [{{robot a}}, {{robot b}}]}}\n"

func TestDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("DiskFull", "warning")))
		w.waitFor("the message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
		if m := w.robots.Received()[0]; !strings.Contains(m.Text, "DiskFull") || m.Token != "a" {
			t.Errorf("received %q from %s", m.Text, m.Token)
		}
		w.waitFor("the empty queue", time.Minute, func() bool { return w.metric("queue_messages", "target", "ops") == 0 })
		for name, want := range map[string]float64{"notifications_total": 1} {
			if got := w.metric(name, "target", "ops", "result", "sent"); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if w.metric("last_success_timestamp_seconds", "target", "ops") == 0 {
			t.Error("no time of the last success")
		}
	})
}

func TestDuplicateIsSentOnceAndRepeatAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.begin()
		defer w.end()
		p := payload("g1", alert("X", "warning"), alert("Y", "warning"))
		w.post("ops", p)
		p["alerts"] = []map[string]any{alert("Y", "warning"), alert("X", "warning")} // the other Alertmanager has another order
		w.post("ops", p)
		time.Sleep(2 * time.Minute)
		if n := len(w.robots.Received()); n != 1 || w.metric("webhooks_total", "target", "ops", "result", "duplicate") != 1 {
			t.Fatalf("%d messages, want 1; duplicates %v", n, w.metric("webhooks_total", "result", "duplicate"))
		}
		// Alertmanager says that it repeats: a minute is enough.
		p["notification_reason"] = repeatReason
		time.Sleep(4 * time.Minute)
		w.post("ops", p)
		w.post("ops", p) // its twin
		time.Sleep(2 * time.Minute)
		w.post("ops", p)
		time.Sleep(time.Minute)
		if n := len(w.robots.Received()); n != 3 {
			t.Errorf("%d messages after two repeats, want 3", n)
		}
		// A changed state is no duplicate.
		w.post("ops", payload("g1", alert("X", "resolved"), alert("Y", "warning")))
		time.Sleep(time.Minute)
		if n := len(w.robots.Received()); n != 4 {
			t.Errorf("%d messages after a change, want 4", n)
		}
	})
}

// TestFiveHundredAtOnce: all are named, in few messages, and DingTalk never bans.
func TestFiveHundredAtOnce(t *testing.T) {
	forms := map[string]func(w *world){
		"groups": func(w *world) {
			for i := range 500 {
				w.post("ops", payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Alert%03dX", i), "warning")))
			}
		},
		"one group": func(w *world) {
			var all []map[string]any
			for i := range 500 {
				all = append(all, alert(fmt.Sprintf("Alert%03dX", i), "warning"))
			}
			w.post("ops", payload("g", all...))
		},
	}
	for name, send := range forms {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneRobot, "a")
				w.begin()
				defer w.end()
				start := time.Now()
				send(w)
				w.waitFor("the empty queue", 10*time.Minute, func() bool { return w.metric("queue_messages", "target", "ops") == 0 })
				said := w.said()
				for i := range 500 {
					if !strings.Contains(said, fmt.Sprintf("Alert%03dX", i)) {
						t.Errorf("alert %d is in no message", i)
					}
				}
				n := len(w.robots.Received())
				t.Logf("%d messages in %v", n, time.Since(start))
				if n > 20 {
					t.Errorf("%d messages, want at most 20", n)
				}
				if bans := w.robots.Answers("a"); bans["130101"] > 0 || bans["0"] != n {
					t.Errorf("DingTalk answered %v", bans)
				}
				if w.metric("truncated_alerts_total", "target", "ops") != 0 {
					t.Error("alerts were left out")
				}
			})
		})
	}
}

// TestNeverTooFast: a storm of an hour through two targets of one robot never has more
// than 18 messages in a minute.
func TestNeverTooFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "targets: {ops: {robots: [{{robot a}}]}, critical: {robots: [{{robot a}}]}}\n", "a")
		w.begin()
		defer w.end()
		longest := time.Duration(0)
		for i := range 600 {
			target, severity := "ops", "warning"
			if i%3 == 0 {
				target, severity = "critical", "critical"
			}
			w.post(target, payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Alert%03dX", i), severity)))
			time.Sleep(time.Second)
			if at := w.spool.Oldest("critical"); !at.IsZero() {
				longest = max(longest, time.Since(at))
			}
		}
		w.waitFor("the empty queue", 5*time.Minute, func() bool { return w.spool.Depth("ops")+w.spool.Depth("critical") == 0 })
		all := w.robots.Received()
		for i := 18; i < len(all); i++ {
			if all[i].At.Sub(all[i-18].At) < time.Minute {
				t.Fatalf("19 messages within %v", all[i].At.Sub(all[i-18].At))
			}
		}
		t.Logf("%d messages; a critical one waited at most %v", len(all), longest)
		if w.robots.Answers("a")["130101"] > 0 || longest > 25*time.Second {
			t.Errorf("answers %v; a critical alert waited %v", w.robots.Answers("a"), longest)
		}
	})
}

// TestLimitOutlivesARestart: a bridge that is started again and again does not forget
// what its robot has sent.
func TestLimitOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"digest: {after: 1000}\n", "a")
		w.begin()
		defer func() { w.end() }()
		for i := range 60 {
			w.post("ops", payload(fmt.Sprint("g", i), alert(fmt.Sprint("Alert", i), "critical")))
			time.Sleep(time.Second)
			if i%7 == 6 {
				w.end()
				w.begin()
			}
		}
		w.waitFor("the empty queue", 5*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		all := w.robots.Received()
		for i := 18; i < len(all); i++ {
			if all[i].At.Sub(all[i-18].At) < time.Minute {
				t.Fatalf("19 messages within %v", all[i].At.Sub(all[i-18].At))
			}
		}
		if len(all) < 18 || w.robots.Answers("a")["130101"] > 0 {
			t.Errorf("%d messages, answers %v", len(all), w.robots.Answers("a"))
		}
	})
}

func TestCriticalFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"digest: {after: 1000}\n", "a")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":-1,"errmsg":"busy"}`})
		w.begin()
		defer w.end()
		w.post("ops", payload("g0", alert("First", "warning")))
		time.Sleep(time.Second) // the robot rests now
		w.post("ops", payload("g1", alert("Over", "resolved")))
		w.post("ops", payload("g2", alert("Info", "info")))
		w.post("ops", payload("g3", alert("Warn", "warning")))
		w.post("ops", payload("g4", alert("Crit", "critical")))
		time.Sleep(3 * time.Minute)
		var order []string
		for _, m := range w.robots.Received() {
			for _, name := range []string{"First", "Over", "Info", "Warn", "Crit"} {
				if strings.Contains(m.Text, name) {
					order = append(order, name)
				}
			}
		}
		if got := strings.Join(order, " "); got != "Crit First Warn Info Over" {
			t.Errorf("the order was %s", got)
		}
	})
}

// TestGroupStaysInOrder: the last message of a group is its state.
func TestGroupStaysInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"digest: {after: 1000}\n", "a")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":-1,"errmsg":"busy"}`})
		w.begin()
		defer w.end()
		w.post("ops", payload("other", alert("Other", "warning")))
		time.Sleep(time.Second)
		again := alert("X", "critical")
		again["startsAt"] = "2026-01-01T01:00:00Z"
		w.post("ops", payload("g", alert("X", "critical")))
		w.post("ops", payload("g", alert("X", "resolved")))
		w.post("ops", payload("g", again))
		time.Sleep(3 * time.Minute)
		all := w.robots.Received()
		if len(all) != 4 {
			t.Fatalf("%d messages, want 4:\n%s", len(all), w.said())
		}
		if at := strings.Index(w.said(), "恢复"); at < 0 || !strings.Contains(w.said()[at:], "X") || strings.Contains(all[2].Title, "恢复") {
			t.Errorf("the order is wrong:\n%s", w.said())
		}
	})
}

func TestUnknownTargetAndBadBodies(t *testing.T) {
	w := newWorld(t, oneRobot+"limits: {body: 4KiB}\n", "a")
	w.begin()
	defer w.end()
	huge := string(encode(t, payload("g", alert(strings.Repeat("x", 5000), "warning"))))
	for _, c := range []struct {
		name, path, body string
		status           int
		says, result     string
	}{
		{"unknown target", "/dingtalk/nobody/send", "{}", 404, "known: ops", "unknown"},
		{"not JSON", "/dingtalk/ops/send", "<html>", 400, "the body is not a webhook of Alertmanager: invalid character '<' looking for beginning of value, at byte 1\n", "malformed"},
		{"no alerts", "/dingtalk/ops/send", `{"version":"4"}`, 400, "the body is not a webhook of Alertmanager: it has no alerts\n", "malformed"},
		{"empty", "/dingtalk/ops/send", " ", 400, "the body is empty\n", "malformed"},
		{"too large", "/dingtalk/ops/send", huge, 413, "4096", "too_large"},
	} {
		rec := w.do(http.MethodPost, c.path, []byte(c.body))
		if text := rec.Body.String(); rec.Code != c.status || !strings.Contains(text, c.says) || strings.HasSuffix(c.says, "\n") && text != c.says {
			t.Errorf("%s: %d %q, want %d %q", c.name, rec.Code, rec.Body, c.status, c.says)
		}
		if w.metric("webhooks_total", "result", c.result) < 1 {
			t.Errorf("%s: not counted as %s", c.name, c.result)
		}
	}
	if rec := w.do(http.MethodGet, "/dingtalk/ops/send", nil); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", rec.Code)
	}
}

func TestQueueFull(t *testing.T) {
	w := newWorld(t, oneRobot+"limits: {queue: 3}\n", "a")
	w.robots.Stop("a")
	w.begin()
	defer w.end()
	for i := range 3 {
		w.post("ops", payload(fmt.Sprint("g", i), alert("X", "warning")))
	}
	rec := w.do(http.MethodPost, "/dingtalk/ops/send", encode(t, payload("more", alert("X", "warning"))))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || w.metric("webhooks_total", "target", "ops", "result", "full") != 1 {
		t.Errorf("a full queue answered %d %q, Retry-After %q", rec.Code, rec.Body, rec.Header().Get("Retry-After"))
	}
}
