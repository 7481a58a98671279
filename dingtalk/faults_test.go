package dingtalk

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// TestBanFailsOver: every way in which DingTalk says "too fast" leaves the robot alone
// for ten minutes, across a restart, and the message takes the next robot.
func TestBanFailsOver(t *testing.T) {
	for name, body := range map[string]string{
		"130101":  `{"errcode":130101,"errmsg":"send too fast"}`,
		"410100":  `{"errcode":410100,"errmsg":"发送速度太快而限流"}`,
		"x5":      `{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"u"}`,
		"nothing": `{}`,
		"HTML":    `<html><body>punish</body></html>`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, twoRobots, "a", "b")
				w.robots.Next("a", dingtalktest.Fault{Body: body})
				w.begin()
				w.post("ops", payload("g1", alert("One", "warning")))
				w.waitFor("the message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
				until := w.metric("robot_banned_until_timestamp_seconds", "robot", "a")
				if w.robots.Received()[0].Token != "b" || until < float64(time.Now().Add(9*time.Minute).Unix()) {
					t.Errorf("sent by %s, a is banned until %v", w.robots.Received()[0].Token, until)
				}
				w.end()
				w.begin() // the ban outlives a restart
				defer w.end()
				time.Sleep(8 * time.Minute)
				w.post("ops", payload("g2", alert("Two", "warning")))
				w.waitFor("the second message", time.Minute, func() bool { return len(w.robots.Received()) == 2 })
				time.Sleep(2 * time.Minute)
				w.post("ops", payload("g3", alert("Three", "warning")))
				w.waitFor("the third message", time.Minute, func() bool { return len(w.robots.Received()) == 3 })
				got := w.robots.Received()
				if got[1].Token != "b" || got[2].Token != "a" {
					t.Errorf("during the ban %s sent, after it %s", got[1].Token, got[2].Token)
				}
			})
		})
	}
}

// TestDigestAfterBan: what gathers while the only robot is banned becomes one message.
func TestDigestAfterBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":130101,"errmsg":"send too fast"}`})
		w.begin()
		defer w.end()
		for i := range 50 {
			w.post("ops", payload(fmt.Sprint("g", i), alert(fmt.Sprintf("Alert%02dX", i), "warning")))
		}
		time.Sleep(11 * time.Minute)
		said := w.said()
		for i := range 50 {
			if !strings.Contains(said, fmt.Sprintf("Alert%02dX", i)) {
				t.Errorf("alert %d is missing", i)
			}
		}
		if n := len(w.robots.Received()); n > 3 || w.metric("digests_total", "target", "ops") < 1 || w.metric("rate_limited_total", "robot", "a") != 1 {
			t.Errorf("%d messages, %v digests", n, w.metric("digests_total", "target", "ops"))
		}
	})
}

func TestDisabledRobotIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, twoRobots, "a", "b")
		w.robots.Stop("a")
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("One", "warning")))
		w.waitFor("the message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
		if w.robots.Received()[0].Token != "b" || w.metric("robot_disabled", "robot", "a") != 1 || w.metric("robot_disabled", "robot", "b") != 0 {
			t.Errorf("sent by %s", w.robots.Received()[0].Token)
		}
		w.robots.Add(dingtalktest.Robot{Token: "a", Secret: "SECa"}) // somebody repairs it
		w.post("ops", payload("g2", alert("Two", "warning")))
		w.waitFor("the second message", time.Minute, func() bool { return len(w.robots.Received()) == 2 })
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		w.post("ops", payload("g3", alert("Three", "warning")))
		w.waitFor("the third message", time.Minute, func() bool { return len(w.robots.Received()) == 3 })
		if got := w.robots.Received(); got[1].Token != "b" || got[2].Token != "a" {
			t.Errorf("before the reload %s sent, after it %s", got[1].Token, got[2].Token)
		}
	})
}

// TestWrongSecret: nothing is lost while a robot is wrongly configured.
func TestWrongSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot)
		w.robots.Add(dingtalktest.Robot{Token: "a", Secret: "another"})
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("One", "warning")))
		time.Sleep(30 * time.Minute)
		if n := w.robots.Answers("a")["310000"]; n != 1 || w.metric("robot_disabled", "robot", "a") != 1 || w.spool.Depth("ops") != 1 {
			t.Errorf("%d attempts in half an hour, %d waiting", n, w.spool.Depth("ops"))
		}
		if strings.Contains(w.log.String(), "SECa") || strings.Contains(w.log.String(), "access_token=a") {
			t.Error("the log has a secret")
		}
		w.robots.Add(dingtalktest.Robot{Token: "a", Secret: "SECa"})
		w.waitFor("the message", time.Hour, func() bool { return len(w.robots.Received()) == 1 })
	})
}

func TestBusyIsRetriedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.robots.Always("a", &dingtalktest.Fault{Body: `{"errcode":-1,"errmsg":"系统繁忙"}`})
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("One", "warning")))
		time.Sleep(9 * time.Minute)
		if n := w.metric("api_responses_total", "robot", "a", "errcode", "-1"); n != 4 {
			t.Errorf("%v attempts in nine minutes, want one and three retries", n)
		}
		w.robots.Always("a", nil)
		w.waitFor("the message", 10*time.Minute, func() bool { return len(w.robots.Received()) == 1 })
	})
}

func TestNetworkIsRetriedUntilItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.robots.Always("a", &dingtalktest.Fault{Status: 502, Body: "bad gateway"})
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("One", "warning")))
		time.Sleep(3 * time.Hour)
		n := w.metric("api_responses_total", "robot", "a", "errcode", "http")
		if n < 100 || n > 200 {
			t.Errorf("%v attempts in three hours", n)
		}
		w.robots.Always("a", nil)
		w.waitFor("the message", 2*time.Minute, func() bool { return len(w.robots.Received()) == 1 })
	})
}

// TestSlowAnswerEndsAtTheTimeout: the client's timeout is honoured.
func TestSlowAnswerEndsAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"timeout: 2s\n", "a")
		w.robots.Next("a", dingtalktest.Fault{Delay: time.Hour})
		w.begin()
		defer w.end()
		start := time.Now()
		w.post("ops", payload("g1", alert("One", "warning")))
		w.waitFor("the message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
		if took := time.Since(start); took < 2*time.Second || took > 10*time.Second {
			t.Errorf("the second attempt came after %v", took)
		}
	})
}

func TestMaxAgeMakesDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"limits: {max_age: 2h}\n", "a")
		w.robots.Always("a", &dingtalktest.Fault{Drop: true})
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("One", "warning")))
		time.Sleep(2*time.Hour + 2*time.Minute)
		if w.metric("dead_letters_total", "target", "ops") != 1 || w.spool.Depth("ops") != 0 {
			t.Errorf("%v dead letters, %d waiting", w.metric("dead_letters_total", "target", "ops"), w.spool.Depth("ops"))
		}
		if _, dead, _ := strings.Cut(w.do(http.MethodGet, "/ui?lang=en", nil).Body.String(), "Dead letters"); !strings.Contains(dead, "max_age") || !strings.Contains(dead, "One") {
			t.Error("the page does not list the dead letter")
		}
		w.end()
		w.robots.Always("a", nil)
		if letters, notifications, err := spool.Resend(w.options().DataDir); letters != 1 || notifications != 1 || err != nil {
			t.Fatal(letters, notifications, err)
		}
		w.begin()
		w.waitFor("the message", time.Minute, func() bool { return strings.Contains(w.said(), "One") })
	})
}

func TestRefusedContent(t *testing.T) {
	const unsafe, long = `{"errcode":430102,"errmsg":"unsafe text"}`, `{"errcode":460101,"errmsg":"message too long"}`
	for _, c := range []struct {
		name, fault string
		times       int
		messages    int
		dead        float64
		says        string
	}{
		{"unsafe once", unsafe, 1, 1, 0, "Rejected"},
		{"unsafe twice", unsafe, 2, 0, 1, ""},
		{"too long once", long, 1, 2, 0, "Rejected"},
		{"malformed", `{"errcode":40035,"errmsg":"missing parameter"}`, 1, 0, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneRobot, "a")
				for range c.times {
					w.robots.Next("a", dingtalktest.Fault{Body: c.fault})
				}
				w.begin()
				defer w.end()
				w.post("ops", payload("g1", alert("Rejected", "warning")))
				w.waitFor("the empty queue", 5*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
				if n := len(w.robots.Received()); n != c.messages || w.metric("dead_letters_total", "target", "ops") != c.dead || !strings.Contains(w.said(), c.says) {
					t.Errorf("%d messages, %v dead letters:\n%s", n, w.metric("dead_letters_total", "target", "ops"), w.said())
				}
				w.post("ops", payload("g2", alert("Next", "warning"))) // nothing stands in its way
				w.waitFor("the next message", time.Minute, func() bool { return strings.Contains(w.said(), "Next") })
			})
		})
	}
}

// TestTemplateThatFails: the message goes without it, and is counted.
func TestTemplateThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "targets: {ops: {robots: [{{robot a}}], message: {title: T, text: '{{ if eq .CommonLabels.boom \"1\" }}{{ index .Alerts 99 }}{{ end }}fine' }}}\n", "a")
		w.begin()
		defer w.end()
		p := payload("g1", alert("Broken", "warning"))
		p["commonLabels"] = map[string]string{"boom": "1"}
		w.post("ops", p)
		w.waitFor("the message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
		if !strings.Contains(w.said(), "Broken") || w.metric("template_errors_total", "target", "ops") != 1 {
			t.Errorf("template errors %v; said:\n%s", w.metric("template_errors_total", "target", "ops"), w.said())
		}
	})
}

func TestDropResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"digest: {after: 2, drop_resolved: true}\n", "a")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":-1,"errmsg":"busy"}`})
		w.begin()
		defer w.end()
		now := func(a map[string]any) map[string]any {
			a["startsAt"] = time.Now().Add(time.Second).Format(time.RFC3339)
			return a
		}
		brief := now(alert("Brief", "warning"))
		over := alert("Brief", "resolved")
		over["startsAt"] = brief["startsAt"]
		w.post("ops", payload("g0", alert("Stays", "warning")))
		w.post("ops", payload("g1", brief))
		w.post("ops", payload("g1", over))
		time.Sleep(2 * time.Minute)
		if said := w.said(); strings.Contains(said, "Brief") || !strings.Contains(said, "Stays") {
			t.Errorf("said:\n%s", said)
		}
	})
}

func TestPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "targets: {ops: {url: \"${URL:-}\"}}\n")
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("OnlyShown", "warning")))
		w.waitFor("the empty queue", time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		page := w.do(http.MethodGet, "/ui", nil).Body.String()
		if !strings.Contains(page, "OnlyShown") || !strings.Contains(w.log.String(), "OnlyShown") || w.metric("preview", "target", "ops") != 1 ||
			w.metric("notifications_total", "target", "ops", "result", "preview") != 1 {
			t.Errorf("log:\n%s", w.log)
		}
	})
}

// TestKeyIsKept: links work after a restart, and only the owner can read the key.
func TestKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := ownKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ownKey(dir)
	if err != nil || string(first) != string(second) || len(first) != 32 {
		t.Errorf("another key after a restart (%v)", err)
	}
	info, err := os.Stat(dir + "/" + keyFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}
