package dingtalk

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const twoTargets = "targets: {ops: {robots: &r [{{robot a}}]}, critical: {robots: *r, mention: {all: true}}, own: {robots: [{{robot b}}]}}\n"

// TestSharedRobotsSayItOnce: what Alertmanager sends to two targets with the same robots
// stands in their group once, with the mention, whichever comes first.
func TestSharedRobotsSayItOnce(t *testing.T) {
	for _, order := range []string{"ops critical", "critical ops", "ops critical ops critical"} {
		t.Run(order, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, twoTargets, "a", "b")
				w.begin()
				defer w.end()
				for _, target := range strings.Fields(order) {
					p := payload("{}/{to="+target+"}:{}", alert("X", "warning"))
					p["receiver"] = target
					w.post(target, p)
					w.post("own", p)
					time.Sleep(300 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				n, loud := 0, false
				for _, m := range w.robots.Received() {
					if m.Token == "a" {
						n++
						loud = loud || m.All
					}
				}
				if n != 1 || !loud || w.spool.Depth("ops")+w.spool.Depth("critical") != 0 {
					t.Errorf("%d messages, everybody called: %v; said:\n%s", n, loud, w.said())
				}
				// What only one of them gets is said, and so is the end.
				w.post("ops", payload("g", alert("Y", "warning")))
				w.post("critical", payload("h", alert("X", "resolved")))
				w.post("ops", payload("i", alert("X", "resolved")))
				time.Sleep(time.Minute)
				if said := w.said(); strings.Count(said, "恢复") == 0 || !strings.Contains(said, "Y") {
					t.Errorf("said:\n%s", said)
				}
			})
		})
	}
}

// TestSharedRobotsInADigest: the same in the digests after an outage.
func TestSharedRobotsInADigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, twoTargets, "a", "b")
		w.begin()
		defer w.end()
		for _, name := range []string{"A1", "A2", "A3", "A4", "A5", "A6"} {
			w.post("ops", payload("o"+name, alert(name, "warning")))
			w.post("critical", payload("c"+name, alert(name, "warning")))
		}
		w.post("ops", payload("alone", alert("Alone", "warning")))
		time.Sleep(2 * time.Minute)
		said := w.said()
		for _, name := range []string{"A1", "A2", "A3", "A4", "A5", "A6"} {
			texts := 0
			for _, m := range w.robots.Received() {
				if strings.Contains(m.Text, name) {
					texts++
				}
			}
			if texts != 1 {
				t.Errorf("%s is in %d messages", name, texts)
			}
		}
		if !strings.Contains(said, "Alone") {
			t.Errorf("said:\n%s", said)
		}
		if n := w.metric("notifications_total", "target", "ops", "result", "elsewhere"); n != 6 {
			t.Errorf("%v notifications of ops were said elsewhere, want 6", n)
		}
	})
}
