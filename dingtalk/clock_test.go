package dingtalk

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestGateClockSetBack: a ban does not grow, and the limit is not forgotten, because the
// clock was set back while the bridge was down.
func TestGateClockSetBack(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	g := newGate("k", nil, now)
	for range 18 {
		if !g.reserve(now, 1000, urgent) {
			t.Fatal("no room")
		}
	}
	g.ban(now.Add(banTime))
	state := g.state(now.Add(20 * time.Second))
	for _, step := range []time.Duration{-25 * time.Hour, -time.Minute, 0} {
		then := now.Add(20 * time.Second).Add(step)
		banned, _, used := newGate("k", state, then).status(then)
		if left := banned.Sub(then); used != 18 || left != banTime-20*time.Second {
			t.Errorf("set back by %v: %d used, banned for %v", -step, used, left)
		}
	}
	ahead := now.Add(time.Hour)
	if banned, _, used := newGate("k", state, ahead).status(ahead); used != 0 || !banned.IsZero() {
		t.Errorf("set forward: %d used, banned until %v", used, banned)
	}
}

// TestDeadmanClockSetBack: a switch whose beats are missing is told of again in time
// although the clock was set back meanwhile.
func TestDeadmanClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDeadman, "a")
		w.begin()
		state, err := json.Marshal(deadmanState{Last: time.Now().Add(24 * time.Hour), Missing: time.Now().Add(24 * time.Hour), Told: time.Now().Add(24 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.spool.SetState("deadman", "watchdog", state); err != nil {
			t.Fatal(err)
		}
		w.end()
		w.begin()
		defer w.end()
		time.Sleep(time.Hour + 3*time.Minute)
		if n := len(w.robots.Received()); n != 1 {
			t.Errorf("%d messages within the hour, want 1", n)
		}
		if rec := w.do(http.MethodPost, "/deadman/watchdog", encode(t, payload("w", alert("Watchdog", "none")))); rec.Code != http.StatusOK {
			t.Fatal(rec.Code)
		}
		time.Sleep(time.Minute)
		if n := len(w.robots.Received()); n != 2 {
			t.Errorf("%d messages after the beats came back, want 2", n)
		}
	})
}
