package dingtalk

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const withDeadman = oneRobot + "deadman: {watchdog: {interval: 30s, misses: 3, targets: [ops]}}\n"

func (w *world) beats(severity string) int {
	return w.do(http.MethodPost, "/deadman/watchdog", encode(w.T, payload("watchdog", alert("Watchdog", severity)))).Code
}

func TestDeadman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDeadman, "a")
		w.begin()
		defer func() { w.end() }()
		for range 10 {
			if code := w.beats("none"); code != http.StatusOK {
				t.Fatalf("a beat was answered %d", code)
			}
			time.Sleep(30 * time.Second)
		}
		if n := len(w.robots.Received()); n != 0 || w.metric("deadman_missing", "name", "watchdog") != 0 {
			t.Fatalf("%d messages while it beats", n)
		}
		stopped := time.Now()
		w.beats("resolved") // is no beat
		w.waitFor("the alarm", 2*time.Minute, func() bool { return len(w.robots.Received()) == 1 })
		if after := time.Since(stopped); after < 55*time.Second || after > 65*time.Second { // the last beat was half a minute before
			t.Errorf("the alarm came after %v", after)
		}
		if w.metric("deadman_missing", "name", "watchdog") != 1 {
			t.Error("the metric does not say so")
		}
		time.Sleep(time.Hour + time.Minute)
		if n := len(w.robots.Received()); n != 2 {
			t.Errorf("%d messages after an hour, want 2", n)
		}
		w.end()
		w.begin() // a restart does not ask for patience once more, nor forget
		time.Sleep(30 * time.Minute)
		if n := len(w.robots.Received()); n != 2 || w.metric("deadman_missing", "name", "watchdog") != 1 {
			t.Errorf("%d messages after a restart, want 2", n)
		}
		w.beats("none")
		w.waitFor("the relief", time.Minute, func() bool { return len(w.robots.Received()) == 3 })
		if m := w.robots.Received()[2]; !strings.Contains(m.Text, "1 小时") {
			t.Errorf("the relief does not say how long: %s", m.Text)
		}
		if w.metric("deadman_missing", "name", "watchdog") != 0 {
			t.Error("still missing")
		}
	})
}

// TestDeadmanAfterStart: a bridge that just started waits a full period, whatever it
// remembers, and then does not.
func TestDeadmanAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDeadman, "a")
		w.begin()
		w.beats("none")
		w.end()
		time.Sleep(10 * time.Hour)
		w.begin()
		defer w.end()
		time.Sleep(85 * time.Second)
		if n := len(w.robots.Received()); n != 0 {
			t.Fatalf("%d messages within the period after a start", n)
		}
		time.Sleep(10 * time.Second)
		if n := len(w.robots.Received()); n != 1 {
			t.Errorf("%d messages after the period, want 1", n)
		}
	})
}

func TestDeadmanAnswers(t *testing.T) {
	w := newWorld(t, withDeadman, "a")
	w.begin()
	defer w.end()
	if rec := w.do(http.MethodPost, "/deadman/other", []byte("{}")); rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), "watchdog") {
		t.Errorf("an unknown switch: %d %s", rec.Code, rec.Body)
	}
	if rec := w.do(http.MethodPost, "/deadman/watchdog", []byte("beat")); rec.Code != http.StatusBadRequest {
		t.Errorf("a malformed beat: %d", rec.Code)
	}
	w.beats("none")
	w.beats("resolved")
	for series, want := range map[[2]string]float64{
		{"", "unknown"}: 1, {"watchdog", "malformed"}: 1, {"watchdog", "accepted"}: 1, {"watchdog", "silent"}: 1, {"watchdog", "disk"}: 0,
	} {
		if got := w.metric("deadman_beats_total", "name", series[0], "result", series[1]); got != want {
			t.Errorf("%v beats of %q are %s, want %v", got, series[0], series[1], want)
		}
	}
}
