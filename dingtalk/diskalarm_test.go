//go:build unix

package dingtalk

import (
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// breakDisk has the spool fail until repair is called.
func (w *world) breakDisk() (repair func()) {
	w.Helper()
	mend, err := dingtalktest.BreakDisk(filepath.Join(w.Bridge.options.DataDir, "spool.db"))
	if err != nil {
		w.Fatal(err)
	}
	return func() {
		w.Helper()
		if err := mend(); err != nil {
			w.Fatal(err)
		}
	}
}

// refusedBy sends a webhook that the disk does not take.
func (w *world) refusedBy(target, alertname string) {
	w.Helper()
	if rec := w.do(http.MethodPost, "/dingtalk/"+target+"/send", encode(w.T, payload(alertname, alert(alertname, "warning")))); rec.Code != http.StatusServiceUnavailable {
		w.Fatalf("the bridge answered %d: %s", rec.Code, rec.Body)
	}
}

// titles are those of the messages that DingTalk took, with the robot.
func (w *world) titles() (all []string) {
	for _, m := range w.robots.Received() {
		all = append(all, m.Token+" "+m.Title)
	}
	return all
}

// expect compares the beginnings of the titles.
func (w *world) expect(when string, want ...string) {
	w.Helper()
	got := w.titles()
	ok := len(got) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		w.Fatalf("%s: DingTalk took\n%s\nwant\n%s\nlog:\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"), w.log)
	}
}

const (
	diskFails = " 🔴 The alert bridge cannot write"
	diskWorks = " 🟢 The alert bridge can write"
	inEnglish = "language: en\n"
)

// TestDiskAlarm: people are told past the spool after half a minute, again and again, and
// once that it is over, before what waited for the disk.
func TestDiskAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+inEnglish, "a")
		w.begin()
		defer w.end()
		repair := w.breakDisk()
		time.Sleep(5 * time.Minute)
		w.expect("while nothing was refused")
		w.refusedBy("ops", "One")
		time.Sleep(diskPatience - time.Second)
		w.expect("before the time")
		time.Sleep(2 * time.Second)
		w.expect("after the time", "a"+diskFails)
		text := w.robots.Received()[0].Text
		for _, want := range []string{"#dingtalkspoolfailing", filepath.Base(w.Bridge.options.DataDir), "spool.db: bad file descriptor"} {
			if !strings.Contains(text, want) {
				t.Errorf("the message does not say %q:\n%s", want, text)
			}
		}
		if w.metric("api_responses_total", "robot", "a", "errcode", "0") != 1 || w.metric("last_success_timestamp_seconds", "target", "ops") < 1 {
			t.Error("the metrics do not show it")
		}
		if page := w.do(http.MethodGet, "/ui?lang=en", nil).Body.String(); !strings.Contains(page, "cannot write to its disk") {
			t.Error("the page does not show it")
		}
		time.Sleep(diskRepeat - 5*time.Second)
		w.refusedBy("ops", "One")
		w.expect("before it is said again", "a"+diskFails)
		time.Sleep(10 * time.Second)
		w.expect("when it is said again", "a"+diskFails, "a"+diskFails)
		repair()
		w.waitFor("the end", 10*time.Second, func() bool { return len(w.robots.Received()) == 3 })
		w.post("ops", payload("One", alert("One", "warning")))
		time.Sleep(time.Hour)
		w.expect("at the end", "a"+diskFails, "a"+diskFails, "a"+diskWorks, "a 🟠")
		if text := w.robots.Received()[2].Text; !strings.Contains(text, "for 30m") {
			t.Errorf("it does not say how long it lasted:\n%s", text)
		}
		if strings.Contains(w.log.String(), "SECa") || strings.Contains(w.log.String(), "access_token=a") {
			t.Error("the log has a secret")
		}
	})
}

// TestDiskAlarmIsPatient: a disk that works again within half a minute wakes nobody,
// however often it fails.
func TestDiskAlarmIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+inEnglish, "a")
		w.begin()
		defer w.end()
		for range 10 {
			repair := w.breakDisk()
			w.refusedBy("ops", "One")
			time.Sleep(25 * time.Second)
			repair()
			time.Sleep(3 * time.Second) // the spool finds out
		}
		time.Sleep(time.Hour)
		w.expect("after moments")
	})
}

// hangDisk begins a write that does not end, nor any after it, until the function that it
// returns is called.
func (w *world) hangDisk() (goOn func()) {
	synctest.Wait() // nobody writes
	gate := make(chan struct{})
	field := reflect.ValueOf(w.Bridge.spool).Elem().FieldByName("update")
	update := (*func(func(*bolt.Tx) error) error)(field.Addr().UnsafePointer())
	usual := *update
	*update = func(write func(*bolt.Tx) error) error {
		<-gate
		return usual(write)
	}
	go func() { _ = w.spool.SetState("test", "hang", nil) }() // it is refused after a while
	synctest.Wait()
	return func() { close(gate) }
}

// TestDiskAlarmHangs: a disk that does not answer is told as one that fails. Alertmanager
// gets an answer in time, and what the disk takes in the end is sent without another word
// from it, once.
func TestDiskAlarmHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+inEnglish, "a")
		w.begin()
		defer w.end()
		goOn := w.hangDisk()
		w.refusedBy("ops", "One")
		synctest.Wait() // all that is due at this moment was done
		if w.metric("spool_errors_total") != 1 || w.do(http.MethodGet, "/-/ready", nil).Code != http.StatusServiceUnavailable {
			t.Error("neither the metric nor /-/ready shows it")
		}
		w.refusedBy("ops", "One")
		time.Sleep(diskPatience - time.Second)
		w.expect("before the time")
		time.Sleep(4 * time.Second)
		w.expect("after the time", "a"+diskFails)
		if text := w.robots.Received()[0].Text; !strings.Contains(text, "the disk does not answer: a write has been under way for ") {
			t.Errorf("the message does not say what is wrong:\n%s", text)
		}
		goOn()
		time.Sleep(10 * time.Second)
		w.expect("when it answers", "a"+diskFails, "a 🟠", "a"+diskWorks)
		w.post("ops", payload("One", alert("One", "warning"))) // Alertmanager tries again
		time.Sleep(time.Hour)
		w.expect("at the end", "a"+diskFails, "a 🟠", "a"+diskWorks)
		if log := w.log.String(); strings.Count(log, "does not answer") != 1 || strings.Count(log, "answers again") != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestDiskAlarmFailsOver: a robot that is banned leaves it to the next one; the ban is on
// disk for a restart as soon as the disk works again.
func TestDiskAlarmFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, twoRobots+inEnglish, "a", "b")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":130101,"errmsg":"send too fast"}`})
		w.begin()
		repair := w.breakDisk()
		w.refusedBy("ops", "One")
		time.Sleep(diskPatience + time.Second)
		w.expect("while a is banned", "b"+diskFails)
		if w.metric("rate_limited_total", "robot", "a") != 1 {
			t.Error("the metrics do not show the ban")
		}
		repair()
		time.Sleep(5 * time.Second)
		w.expect("while a is still banned", "b"+diskFails, "b"+diskWorks)
		w.end()
		w.begin()
		defer w.end()
		if w.metric("robot_banned_until_timestamp_seconds", "robot", "a") < float64(time.Now().Add(5*time.Minute).Unix()) {
			t.Error("the restart forgot the ban")
		}
	})
}

// TestDiskAlarmTriesAgain: what DingTalk cannot take now it takes later, and what it
// refuses for its content it gets in a plain form, and then no more.
func TestDiskAlarmTriesAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fault dingtalktest.Fault
		times int
		took  int
		says  string
	}{
		"network":      {dingtalktest.Fault{Drop: true}, 5, 1, "RUNBOOK.md"},
		"unsafe once":  {dingtalktest.Fault{Body: `{"errcode":430102,"errmsg":"unsafe text"}`}, 1, 1, "Runbook"},
		"unsafe twice": {dingtalktest.Fault{Body: `{"errcode":430102,"errmsg":"unsafe text"}`}, 2, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, oneRobot+inEnglish, "a")
				for range c.times {
					w.robots.Next("a", c.fault)
				}
				w.begin()
				defer w.end()
				defer w.breakDisk()()
				w.refusedBy("ops", "One")
				time.Sleep(20 * time.Minute)
				got := w.robots.Received()
				if len(got) != c.took || !strings.Contains(w.said(), c.says) {
					t.Fatalf("%d messages:\n%s\n%s", len(got), w.said(), w.log)
				}
				time.Sleep(20 * time.Minute)
				if again := len(w.robots.Received()); again != c.took+1 {
					t.Errorf("%d messages after half an hour, want %d", again, c.took+1)
				}
			})
		})
	}
}

// TestDiskAlarmAndDeadman: a switch whose beats stop while the disk fails wakes people,
// too; what it has to say comes when the disk works.
func TestDiskAlarmAndDeadman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDeadman+inEnglish, "a")
		w.begin()
		defer w.end()
		w.beats("none")
		repair := w.breakDisk()
		time.Sleep(119 * time.Second) // one and a half minutes of beats, then its patience
		w.expect("before the time")
		time.Sleep(3 * time.Second)
		w.expect("after the time", "a"+diskFails)
		repair()
		time.Sleep(10 * time.Second)
		if got := strings.Join(w.titles(), "\n"); len(w.titles()) != 3 || !strings.Contains(got, diskWorks) || !strings.Contains(got, "Alerts may not reach you") {
			t.Errorf("DingTalk took\n%s", got)
		}
	})
}

// TestDiskAlarmHangsAndDeadman: a disk that hangs when the beats stop keeps nobody from
// seeing it.
func TestDiskAlarmHangsAndDeadman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDeadman+inEnglish, "a")
		w.begin()
		defer w.end()
		w.beats("none")
		goOn := w.hangDisk()
		time.Sleep(3 * time.Minute) // the alarm of the switch after one and a half, then two kinds of patience
		w.expect("after the time", "a"+diskFails)
		if w.metric("deadman_last_beat_timestamp_seconds", "name", "watchdog") == 0 { // the switch can be seen, too
			t.Error("the metrics do not show the last beat")
		}
		goOn()
		time.Sleep(10 * time.Second)
		if got := strings.Join(w.titles(), "\n"); !strings.Contains(got, diskWorks) || !strings.Contains(got, "Alerts may not reach you") {
			t.Errorf("DingTalk took\n%s", got)
		}
	})
}

// TestDiskAlarmListeners: the targets of switches are told, or all of them; once for a set
// of robots, with everybody called; a preview shows it.
func TestDiskAlarmListeners(t *testing.T) {
	const targets = `targets:
  loud: {robots: [{{robot a}}], mention: {mobiles: ["13800138000"], severities: [critical]}}
  other: {robots: [{{robot a}}], mention: {mobiles: ["13900139000"]}}
  apart: {robots: [{{robot b}}]}
  shown: {url: "${URL:-}"}
`
	for name, c := range map[string]struct {
		deadman string
		robots  string
		shown   bool
	}{
		"all":    {"", "b a", true},
		"switch": {"deadman: {watchdog: {interval: 24h, targets: [loud, other]}}\n", "a", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, targets+inEnglish+c.deadman, "a", "b")
				w.begin()
				defer w.end()
				repair := w.breakDisk()
				w.refusedBy("apart", "One")
				time.Sleep(time.Minute)
				var robots []string
				for _, m := range w.robots.Received() {
					robots = append(robots, m.Token)
					if m.Token == "a" && (!strings.Contains(m.Text, "@13800138000") || !strings.Contains(m.Text, "@13900139000")) {
						t.Errorf("it does not call everybody:\n%s", m.Text)
					}
				}
				if got := strings.Join(robots, " "); got != c.robots {
					t.Errorf("told by %q, want %q", got, c.robots)
				}
				repair()
				time.Sleep(time.Minute)
				if n := len(w.robots.Received()); n != 2*len(robots) {
					t.Errorf("%d messages at the end, want %d", n, 2*len(robots))
				}
				last := w.robots.Received()[len(robots)]
				if !strings.Contains(last.Title, diskWorks[1:]) || strings.Contains(last.Text, "@") {
					t.Errorf("the end is %s\n%s", last.Title, last.Text)
				}
				for _, want := range []string{diskFails, diskWorks} {
					if shown := strings.Count(w.log.String(), "target=shown title=\""+want[1:]); (shown == 1) != c.shown {
						t.Errorf("shown %d times that %q; log:\n%s", shown, want, w.log)
					}
				}
			})
		})
	}
}

// TestDiskAlarmEnds: a bridge that ends while it alarms leaves nothing behind, also if
// DingTalk does not answer.
func TestDiskAlarmEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+inEnglish, "a")
		w.robots.Always("a", &dingtalktest.Fault{Delay: time.Hour})
		w.begin()
		w.breakDisk() // the bridge closes the file before it could be repaired
		w.refusedBy("ops", "One")
		time.Sleep(diskPatience + 2*time.Second) // it waits for DingTalk's answer
		w.end()
		if n := len(w.robots.Received()); n != 0 {
			t.Errorf("%d messages", n)
		}
	})
}

func TestBothCalls(t *testing.T) {
	got := both(message.Mention{Mobiles: []string{"1", "2"}}, message.Mention{All: true, Mobiles: []string{"2", "3"}, UserIDs: []string{"u"}})
	if !got.All || strings.Join(got.Mobiles, " ") != "1 2 3" || strings.Join(got.UserIDs, " ") != "u" {
		t.Errorf("%+v", got)
	}
}
