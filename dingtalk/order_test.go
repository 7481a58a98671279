package dingtalk

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// giant is a notification that takes a dozen messages. The alert named last is over and
// stands in the last of them.
func giant(group, last string) map[string]any {
	var alerts []map[string]any
	for i := range 900 {
		a := alert(fmt.Sprintf("Many%03d", i), "warning")
		a["annotations"] = map[string]string{"summary_zh": strings.Repeat("很长的总结", 12) + fmt.Sprint(i)}
		alerts = append(alerts, a)
	}
	return payload(group, append(alerts, alert(last, "resolved"))...)
}

// TestPartsBeforeTheNextState: the rest of a notification that needs many messages comes
// before what its group says next, even if that is more urgent.
func TestPartsBeforeTheNextState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.begin()
		defer w.end()
		w.post("ops", giant("g", "Zeta"))
		time.Sleep(time.Second)
		again := alert("Zeta", "critical")
		again["startsAt"] = "2026-01-01T01:00:00Z"
		w.post("ops", payload("g", again))
		w.post("ops", payload("h", alert("Other", "critical")))
		w.waitFor("the empty queue", 10*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		var order []string
		for _, m := range w.robots.Received() {
			if strings.Contains(m.Text, "Other") {
				order = append(order, "other")
			}
			if strings.Contains(m.Text, "Zeta") {
				order = append(order, map[bool]string{true: "fires", false: "is over"}[strings.Contains(m.Title, "严重")])
			}
		}
		// Another group does not wait for the parts.
		if got := strings.Join(order, ", "); got != "other, is over, fires" {
			t.Errorf("the order was: %s", got)
		}
	})
}

// TestRemedyKeepsTheOrder: a message that is sent in another form stays before what its
// group says next.
func TestRemedyKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"digest: {after: 1000}\n", "a")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":430102,"errmsg":"unsafe text"}`}, dingtalktest.Fault{Body: `{"errcode":-1,"errmsg":"busy"}`})
		w.begin()
		defer w.end()
		w.post("ops", payload("g", alert("Zeta", "warning")))
		time.Sleep(time.Second)
		again := alert("Zeta", "critical")
		again["startsAt"] = "2026-01-01T01:00:00Z"
		w.post("ops", payload("g", again))
		w.waitFor("the empty queue", 10*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		all := w.robots.Received()
		if len(all) != 2 || !strings.Contains(all[1].Title, "严重") {
			t.Errorf("said:\n%s", w.said())
		}
	})
}

// TestEndOfWhatPartsTold: drop_resolved leaves out only what nobody was told of; parts of
// a long notification tell, too.
func TestEndOfWhatPartsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"digest: {after: 1, drop_resolved: true}\n", "a")
		w.begin()
		defer w.end()
		start := time.Now().Add(time.Second).Format(time.RFC3339)
		since := func(a map[string]any) map[string]any { a["startsAt"] = start; return a }
		first := giant("g", "Zeta")
		first["alerts"] = append(first["alerts"].([]map[string]any), since(alert("Told", "warning")))
		w.post("ops", first)
		w.waitFor("the empty queue", 10*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		if !strings.Contains(w.said(), "Told") {
			t.Fatal("it was not told")
		}
		time.Sleep(10 * time.Minute)
		before := len(w.said())
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":-1,"errmsg":"busy"}`})
		w.post("ops", payload("x", alert("Stays", "warning")))
		time.Sleep(time.Second)
		w.post("ops", payload("g", since(alert("Told", "warning"))))
		w.post("ops", payload("g", since(alert("Told", "resolved"))))
		w.waitFor("the empty queue", 10*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		if said := w.said()[before:]; !strings.Contains(said, "Told") {
			t.Errorf("the end was not told:\n%s", said)
		}
	})
}

// TestUnreadableNotification: one that cannot be read back is a dead letter, and keeps
// the others from nothing.
func TestUnreadableNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":-1,"errmsg":"busy"}`})
		w.begin()
		defer w.end()
		w.post("ops", payload("first", alert("First", "warning")))
		time.Sleep(time.Second)
		damaged := spool.Item{Entry: spool.Entry{Target: "ops", Kind: spool.Payload, Rank: rankResolved, Count: 1, Group: 1}, Body: []byte("{")}
		if err := w.spool.Add(damaged); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			w.post("ops", payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Alert%02d", i), "warning")))
		}
		time.Sleep(3 * time.Minute)
		if n := len(w.robots.Received()); n > 3 || w.spool.Depth("ops") != 0 || w.metric("dead_letters_total", "target", "ops") != 1 {
			t.Errorf("%d messages, %d waiting, %v dead letters", n, w.spool.Depth("ops"), w.metric("dead_letters_total", "target", "ops"))
		}
		if dead, _, err := w.spool.DeadLetters(1); err != nil || len(dead) != 1 ||
			dead[0].Reason != unreadable+"the body is not a webhook of Alertmanager: unexpected end of JSON input, at byte 1" {
			t.Errorf("the dead letter is %+v, %v", dead, err)
		}
		for i := range 50 {
			if name := fmt.Sprintf("Alert%02d", i); !strings.Contains(w.said(), name) {
				t.Errorf("%s was not told", name)
			}
		}
	})
}

// TestNobodyStarves: a storm of critical messages leaves some of a robot that two targets
// share to the others, and the other way round.
func TestNobodyStarves(t *testing.T) {
	for _, storm := range []string{"critical", "warning"} {
		t.Run(storm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "targets: {ops: {robots: &r [{{robot a}}]}, loud: {robots: *r}}\n", "a")
				w.begin()
				defer w.end()
				var stormed, calm time.Time
				for i := range 150 { // five minutes
					w.post("loud", payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Storm%03d", i), storm)))
					if i == 60 {
						stormed = time.Now()
						w.post("ops", payload("calm", alert("Calm", "warning")))
					}
					time.Sleep(2 * time.Second)
					if calm.IsZero() && strings.Contains(w.said(), "Calm") {
						calm = time.Now()
					}
				}
				if calm.IsZero() || calm.Sub(stormed) > 100*time.Second {
					t.Errorf("after %v nothing was said", calm.Sub(stormed))
				}
				w.waitFor("the empty queue", 2*time.Minute, func() bool { return w.spool.Depth("loud")+w.spool.Depth("ops") == 0 })
				for i := range 150 {
					if name := fmt.Sprintf("Storm%03d", i); !strings.Contains(w.said(), name) {
						t.Errorf("%s was not told", name)
					}
				}
				if w.metric("rate_limited_total", "robot", "a") != 0 {
					t.Error("the robot was banned")
				}
			})
		})
	}
}

// picky answers what it is told to messages with a word in them, instead of DingTalk.
type picky struct {
	next       http.RoundTripper
	word, says string
}

func (p picky) RoundTrip(r *http.Request) (*http.Response, error) { return answerTo(p, r) }

// TestPoison: a message that DingTalk never takes, for a reason that could be the
// robot's, holds the others up for minutes and not for ever, and ends as a dead letter.
func TestPoison(t *testing.T) {
	for name, says := range map[string]string{
		"unknown code": `{"errcode":400999,"errmsg":"something new"}`,
		"keyword":      `{"errcode":310000,"errmsg":"keywords not in content, more: [https://example.com]"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneRobot+"digest: {after: 1000}\n", "a")
				w.tune = func(o *Options) { o.Transport = picky{o.Transport, "Poison", says} }
				w.begin()
				defer w.end()
				w.post("ops", payload("p", alert("Poison", "critical")))
				w.post("ops", payload("g", alert("Good", "warning")))
				w.waitFor("the good message", 15*time.Minute, func() bool { return strings.Contains(w.said(), "Good") })
				for i := range 30 {
					time.Sleep(time.Minute)
					w.post("ops", payload(fmt.Sprint("more", i), alert(fmt.Sprintf("More%02d", i), "warning")))
				}
				w.waitFor("the empty queue", 15*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
				if w.metric("dead_letters_total", "target", "ops") != 1 || !strings.Contains(w.said(), "More29") {
					t.Errorf("%v dead letters; said:\n%s", w.metric("dead_letters_total", "target", "ops"), w.said())
				}
			})
		})
	}
}

// TestRobotThatTakesNothing: while a robot takes no message at all none is given up.
func TestRobotThatTakesNothing(t *testing.T) {
	for name, says := range map[string]string{
		"unknown code": `{"errcode":400999,"errmsg":"something new"}`,
		"keyword":      `{"errcode":310000,"errmsg":"keywords not in content"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneRobot, "a")
				w.robots.Always("a", &dingtalktest.Fault{Body: says})
				w.begin()
				defer w.end()
				for i := range 3 {
					w.post("ops", payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Alert%02d", i), "warning")))
				}
				time.Sleep(6 * time.Hour)
				if w.spool.Depth("ops") != 3 || w.metric("dead_letters_total", "target", "ops") != 0 {
					t.Errorf("%d wait, %v dead letters", w.spool.Depth("ops"), w.metric("dead_letters_total", "target", "ops"))
				}
				w.robots.Always("a", nil)
				w.waitFor("the messages", 2*time.Hour, func() bool { return strings.Contains(w.said(), "Alert00") && strings.Contains(w.said(), "Alert02") })
			})
		})
	}
}
