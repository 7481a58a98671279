package dingtalk

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// TestBugInAMessage: a notification that makes the bridge itself panic is a dead letter.
// The bridge goes on; else it would panic again after each start.
func TestBugInAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.begin()
		defer w.end()
		// A twin that is not configured, which a correct configuration never has.
		s := *w.setup.Load()
		broken := *s.targets["ops"]
		broken.twins = []string{"nobody"}
		s.targets = map[string]*target{"ops": &broken}
		w.setup.Store(&s)
		for i := range 5 {
			w.post("ops", payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Good%d", i), "warning")))
		}
		p := &message.Payload{Alerts: message.Alerts{{Status: "firing", Labels: message.KV{"alertname": "Boom"}, Fingerprint: "fp-Boom", StartsAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}}
		w.twins.note("nobody", p, time.Now())
		w.post("ops", payload("boom", alert("Boom", "warning")))
		w.waitFor("the empty queue", 5*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		if said := w.said(); w.metric("dead_letters_total", "target", "ops") != 1 || strings.Contains(said, "Boom") || !strings.Contains(said, "Good0") || !strings.Contains(said, "Good4") {
			t.Errorf("%v dead letters; said:\n%s", w.metric("dead_letters_total", "target", "ops"), said)
		}
		if !strings.Contains(w.log.String(), "panic") {
			t.Error("the log says nothing")
		}
	})
}

// TestTargetThatLeft: what waits for a target that leaves the configuration waits for it
// to come back, and is a dead letter in the end.
func TestTargetThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other = "targets: {other: {robots: [{{robot a}}]}}\nlimits: {max_age: 2h}\n"
		w := newWorld(t, oneRobot+"limits: {max_age: 2h}\n", "a")
		w.robots.Always("a", nil)
		w.begin()
		defer w.end()
		for i, wait := range []time.Duration{time.Hour, 3 * time.Hour} {
			w.setup.Load().targets["ops"].robots[0].gate.ban(time.Now().Add(10 * time.Minute))
			w.post("ops", payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Queued%d", i), "warning")))
			w.configure(other)
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
			w.configure(oneRobot + "limits: {max_age: 2h}\n")
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if said := w.said(); !strings.Contains(said, "Queued0") || strings.Contains(said, "Queued1") || w.metric("dead_letters_total", "target", "ops") != 1 {
			t.Errorf("%v dead letters; said:\n%s", w.metric("dead_letters_total", "target", "ops"), said)
		}
	})
}
