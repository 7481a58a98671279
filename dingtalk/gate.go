package dingtalk

import (
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// How a robot is spared. DingTalk takes 20 messages in any minute and bans a robot that
// sends more for ten minutes.
const (
	window        = time.Minute
	banTime       = 10 * time.Minute
	disableTime   = time.Hour
	busyTime      = 30 * time.Second
	busyRetries   = 3
	firstBackoff  = time.Second
	longestWait   = time.Minute
	leastForAlarm = 6 // a sixth of the limit is kept for critical messages
	agedAfter     = time.Minute
)

// haste says how soon a message should go.
type haste int

// The degrees of haste: urgent messages may use all of the limit; what has waited for
// more than agedAfter takes turns with them.
const (
	usual haste = iota
	aged
	urgent
)

func hasteOf(waiting []spool.Entry, now time.Time) haste {
	switch {
	case waiting[0].Rank <= rankCritical:
		return urgent
	case now.Sub(oldest(waiting)) > agedAfter:
		return aged
	}
	return usual
}

// gate knows when a robot may send. It belongs to the robot's address, not to a target:
// targets that share a robot share its gate.
type gate struct {
	key string

	mu       sync.Mutex
	sent     []time.Time // in the last minute, oldest first
	hasty    bool        // the last of them was urgent
	success  time.Time   // of the last message that DingTalk took
	banned   time.Time   // until then
	disabled time.Time   // until then
	rest     time.Time   // until then, after a failure of the network
	failures int         // of the network, in a row
	busy     int         // answers in a row
}

// gateState is what a restart must not forget.
type gateState struct {
	Sent     []time.Time `json:"sent,omitempty"`
	Banned   time.Time   `json:"banned,omitzero"`
	Disabled time.Time   `json:"disabled,omitzero"`
	At       time.Time   `json:"at,omitzero"` // when this was written
}

func newGate(key string, stored []byte, now time.Time) *gate {
	g := &gate{key: key}
	var s gateState
	if len(stored) == 0 || json.Unmarshal(stored, &s) != nil {
		return g
	}
	back := max(s.At.Sub(now), 0) // so far the clock was set back
	for _, t := range s.Sent {
		g.sent = append(g.sent, earlier(t.Add(-back), now))
	}
	g.banned, g.disabled = earlier(s.Banned.Add(-back), now.Add(time.Hour)), earlier(s.Disabled.Add(-back), now.Add(disableTime))
	return g
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// state is for the spool.
func (g *gate) state(now time.Time) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, err := json.Marshal(gateState{Sent: g.sent, Banned: g.banned, Disabled: g.disabled, At: now})
	if err != nil {
		return nil // times only: it cannot fail before the year 10000
	}
	return b
}

// forget drops what has left the window.
func (g *gate) forget(now time.Time) {
	n := 0
	for n < len(g.sent) && !g.sent[n].After(now.Add(-window)) {
		n++
	}
	g.sent = append(g.sent[:0], g.sent[n:]...)
}

// room says how much of the limit a message may use: the last of it is for the
// critical ones.
func room(limit int, h haste) int {
	if h == urgent {
		return limit
	}
	return max(limit-limit/leastForAlarm, 1)
}

// free is when the next message may go: now or earlier means at once.
//
// Half of a minute's messages go as they come. The others are spread over the minute,
// so that what comes in a burst waits seconds for the next digest and not a minute for
// the window to move.
func (g *gate) free(now time.Time, limit int, h haste) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return later(later(g.banned, g.disabled), later(g.rest, g.paced(now, limit, h)))
}

func (g *gate) paced(now time.Time, limit int, h haste) time.Time {
	g.forget(now)
	allowed, n := room(limit, h), len(g.sent)
	if n >= allowed {
		return g.sent[n-allowed].Add(window)
	}
	if n < (allowed+1)/2 {
		return time.Time{}
	}
	gap := spacing(allowed)
	if h == aged && g.hasty { // its turn, a little before that of the next urgent one
		gap = min(gap, spacing(limit)*9/10)
	}
	return g.sent[n-1].Add(gap)
}

// spacing is the time between two messages of the second half of a minute's.
func spacing(allowed int) time.Duration { return window / time.Duration(allowed-(allowed+1)/2+1) }

// short reports whether messages are worth saving.
func (g *gate) short(now time.Time, limit int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(now)
	return len(g.sent) >= (limit+1)/2
}

// reserve takes the place of one message, unless somebody was faster.
func (g *gate) reserve(now time.Time, limit int, h haste) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if later(later(g.banned, g.disabled), later(g.rest, g.paced(now, limit, h))).After(now) {
		return false
	}
	g.sent, g.hasty = append(g.sent, now), h == urgent
	return true
}

func (g *gate) succeeded(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures, g.busy, g.success = 0, 0, now
	g.rest = time.Time{} // a ban stays: another target's message may have caused it since
}

// tookSince reports whether DingTalk has taken a message of the robot since a time.
func (g *gate) tookSince(t time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.success.After(t)
}

func (g *gate) ban(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.banned, g.busy = later(g.banned, until), 0
}

func (g *gate) disable(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disabled = until
}

// enable gives a disabled robot another chance.
func (g *gate) enable() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.disabled, g.rest = time.Time{}, time.Time{}
}

// wasBusy notes that DingTalk cannot now. After three retries the robot rests as if it
// were banned.
func (g *gate) wasBusy(now time.Time) (banned bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy++; g.busy > busyRetries {
		g.banned, g.busy = later(g.banned, now.Add(banTime)), 0
		return true
	}
	g.rest = now.Add(busyTime)
	return false
}

// failed notes a failure of the network and returns the pause until the next attempt:
// a second at first, doubled up to a minute, a quarter of it by chance.
func (g *gate) failed(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	pause := min(firstBackoff<<min(g.failures, 10), longestWait)
	pause += time.Duration(rand.Int64N(int64(pause)/4 + 1))
	g.failures++
	g.rest = now.Add(pause)
	return pause
}

// status is for metrics and pages.
func (g *gate) status(now time.Time) (banned time.Time, disabled bool, used int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(now)
	if g.banned.After(now) {
		banned = g.banned
	}
	return banned, g.disabled.After(now), len(g.sent)
}

// resting reports whether the network failed a moment ago.
func (g *gate) resting(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rest.After(now)
}
