package dingtalk

import (
	"cmp"
	"crypto/sha256"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// Targets may share their robots, as "ops" and "critical" do while there is only one
// group. What Alertmanager sends to both would stand in the group twice: it is said once,
// by the target that calls the more people.
const (
	twinWindow = 15 * time.Second // between the two notifications
	twinPause  = 2 * time.Second  // that the quieter target waits for the louder one's
	maxTwins   = 20000            // notifications that are remembered
)

// twins remembers what targets that share their robots have accepted lately. A restart
// forgets it: at worst something is said twice.
type twins struct {
	mu    sync.Mutex
	byKey map[spool.Key][]heard
	order []spool.Key // oldest first
}

// heard is a notification that a target accepted.
type heard struct {
	target string
	at     time.Time
}

// contentKey is equal for notifications of the same alerts in the same states, of
// whatever group and receiver.
func contentKey(p *message.Payload) spool.Key {
	h := sha256.New()
	io.WriteString(h, strings.Join(alertLines(p), "\n"))
	return spool.Key(h.Sum(nil))
}

// note remembers a notification that is about to be accepted: the lane may see it before
// the webhook is answered. The function that it returns forgets it, if it was not.
func (ts *twins) note(target string, p *message.Payload, now time.Time) (forget func()) {
	key, own := contentKey(p), heard{target, now}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.byKey == nil {
		ts.byKey = map[spool.Key][]heard{}
	}
	for len(ts.order) > 0 {
		list := ts.byKey[ts.order[0]]
		if len(ts.order) < maxTwins && now.Sub(list[0].at) <= 2*time.Hour {
			break
		}
		if ts.byKey[ts.order[0]] = list[1:]; len(list) == 1 {
			delete(ts.byKey, ts.order[0])
		}
		ts.order = ts.order[1:]
	}
	ts.byKey[key] = append(ts.byKey[key], own)
	ts.order = append(ts.order, key)
	return func() { ts.forget(key, own) }
}

func (ts *twins) forget(key spool.Key, own heard) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	at := slices.Index(ts.byKey[key], own)
	if at < 0 { // long ago
		return
	}
	if ts.byKey[key] = slices.Delete(ts.byKey[key], at, at+1); len(ts.byKey[key]) == 0 {
		delete(ts.byKey, key)
	}
	for i, k := range slices.Backward(ts.order) {
		if k == key {
			ts.order = slices.Delete(ts.order, i, i+1)
			return
		}
	}
}

// about returns who has accepted the same as a notification that was accepted then, and
// when the target itself did.
func (ts *twins) about(target string, p *message.Payload, received time.Time) (others []heard, own heard) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, h := range ts.byKey[contentKey(p)] {
		switch {
		case h.at.Sub(received).Abs() > twinWindow:
		case h.target != target:
			others = append(others, h)
		case own.target == "":
			own = h
		}
	}
	return others, own
}

// elsewhere reports whether another target with the same robots says it: one that calls
// everybody whom this one calls, and was first if they call the same.
func (l *lane) elsewhere(s *setup, t *target, e spool.Entry, p *message.Payload) bool {
	if len(t.twins) == 0 {
		return false
	}
	others, own := l.twins.about(t.Name, p, e.Received)
	if own.target == "" { // before the last restart
		return false
	}
	return slices.ContainsFunc(others, func(h heard) bool {
		if !slices.Contains(t.twins, h.target) {
			return false
		}
		other := s.targets[h.target]
		if !other.covers(t, p) {
			return false
		}
		return !t.covers(other, p) || cmp.Or(h.at.Compare(own.at), strings.Compare(h.target, own.target)) < 0
	})
}

// covers reports whether a message of the target calls everybody whom one of another
// target calls.
func (t *target) covers(other *target, p *message.Payload) bool {
	if !calls(other, p) {
		return true
	}
	if !calls(t, p) {
		return false
	}
	within := func(some, all []string) bool {
		return !slices.ContainsFunc(some, func(who string) bool { return !slices.Contains(all, who) })
	}
	return t.Mention.All || !other.Mention.All && within(other.Mention.Mobiles, t.Mention.Mobiles) && within(other.Mention.UserIDs, t.Mention.UserIDs)
}

// calls reports whether a message of the target about p calls anybody.
func calls(t *target, p *message.Payload) bool {
	m := t.Mention
	if !m.All && len(m.Mobiles)+len(m.UserIDs) == 0 {
		return false
	}
	return len(m.Severities) == 0 || slices.ContainsFunc(p.Alerts.Firing(), func(a message.Alert) bool {
		return slices.ContainsFunc(m.Severities, func(s string) bool { return strings.EqualFold(s, a.Severity()) })
	})
}

// robotSet is equal for targets with the same robots, "" without any.
func (t *target) robotSet() string {
	var keys []string
	for _, r := range t.robots {
		keys = append(keys, r.Key())
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// findTwins finds for each target the others with the same robots, and whether it has to
// wait for a louder one.
func (s *setup) findTwins() {
	byRobots := map[string][]*target{}
	for _, name := range s.config.TargetNames() {
		t := s.targets[name]
		if key := t.robotSet(); key != "" {
			byRobots[key] = append(byRobots[key], t)
		}
	}
	for _, all := range byRobots {
		for _, t := range all {
			t.patience = -1
			for _, other := range all {
				if other == t {
					continue
				}
				t.twins = append(t.twins, other.Name)
				switch m := other.Mention; {
				case !m.All && len(m.Mobiles)+len(m.UserIDs) == 0:
				case len(m.Severities) == 1 && strings.EqualFold(m.Severities[0], "critical"):
					t.patience = max(t.patience, rankCritical)
				default:
					t.patience = rankResolved
				}
			}
		}
	}
}

// ripe leaves out what a louder target may be about to accept, too; if nothing is left
// pause says how long.
func (t *target) ripe(waiting []spool.Entry, now time.Time) (ripe []spool.Entry, pause time.Duration) {
	if len(t.twins) == 0 {
		return waiting, 0
	}
	pause = twinPause
	ripe = slices.DeleteFunc(slices.Clone(waiting), func(e spool.Entry) bool {
		left := twinPause - now.Sub(e.Received)
		if e.Kind != spool.Payload || int(e.Rank) > t.patience || left <= 0 || left > twinPause { // more: the clock was set back
			return false
		}
		pause = min(pause, left)
		return true
	})
	return ripe, pause
}
