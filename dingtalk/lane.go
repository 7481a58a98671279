package dingtalk

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// Urgency of what waits, see [spool.Entry.Rank].
const (
	rankDeadman  = iota // nothing else may work
	rankCritical        // a critical alert fires
	rankStarted         // the rest of a digest whose beginning was sent
	rankWarning
	rankFiring
	rankResolved
)

// Remedies that were tried on an entry, see [spool.Entry.Tried].
const (
	triedCut   = 1 << iota // cut in two, because it was too long
	triedPlain             // without links and marks, because the filter refused it
	isDigest               // not a remedy: the message merges notifications
)

// diskPause is how long a lane waits after the spool could not be read or written.
const diskPause = 2 * time.Second

// forever is a pause that only a kick ends.
const forever = time.Duration(-1)

// lane sends what waits for one target, one message at a time.
type lane struct {
	*Bridge
	name      string
	kick      chan struct{}
	anew      atomic.Bool         // the configuration is another one
	urgent    uint8               // rank of the most urgent entry at the last look
	announced map[string]struct{} // alerts that people were told of as firing, for drop_resolved
	forgot    time.Time           // what it was told before this is not in announced
	doubts    map[uint64]doubt    // of entries, by sequence
	held      map[uint64][]uint64 // groups of the messages that were made already, by sequence
}

// wake makes the lane look again.
func (l *lane) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *lane) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		pause := l.step()
		if pause == 0 {
			continue
		}
		if pause > 0 {
			timer.Reset(pause)
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
				again = true
			case <-l.kick:
				again = pause == forever || l.changed()
			}
		}
	}
}

// changed reports whether there is a reason to look before the time has come: a new
// configuration, or something more urgent than what waits. Looking at a long queue for
// each notification that joins it would cost more than the notification.
func (l *lane) changed() bool {
	return l.anew.Swap(false) || int(l.spool.Urgent(l.name)) < int(l.urgent)
}

// step sends one message if one may be sent, and returns when to look again.
func (l *lane) step() time.Duration {
	s, now := l.setup.Load(), l.options.Now()
	waiting := l.spool.Waiting(l.name)
	if len(waiting) == 0 {
		return forever
	}
	if old := expired(waiting, now.Add(-s.config.Limits.MaxAge)); len(old) > 0 {
		return l.expire(s, old)
	}
	l.urgent = waiting[0].Rank
	expiry := oldest(waiting).Add(s.config.Limits.MaxAge + 1).Sub(now)
	t := s.targets[l.name]
	if t == nil { // it left the configuration; it may come back
		return expiry
	}
	if t.preview() {
		return l.show(s, t, waiting)
	}
	waiting, pause := t.ripe(waiting, now)
	if len(waiting) == 0 {
		return min(pause, expiry)
	}
	waiting = l.doubtfulLast(waiting)
	limit, h := s.config.Limits.PerMinute, hasteOf(waiting, now)
	r, at := t.usable(now, limit, h)
	if r.Robot == nil {
		return min(l.aging(at, waiting, h, now), expiry)
	}
	d, err := l.composed(s, t, waiting, r.gate.short(now, limit))
	if err != nil {
		return l.trouble(err)
	}
	if d == nil || !r.gate.reserve(now, limit, h) {
		return 0
	}
	return l.send(s, r, d)
}

// aging is how long to wait until a time, but no longer than until what waits has aged.
func (l *lane) aging(at time.Time, waiting []spool.Entry, h haste, now time.Time) time.Duration {
	pause := max(at.Sub(now), time.Millisecond)
	if old := oldest(waiting).Add(agedAfter + time.Millisecond).Sub(now); h == usual && old > 0 {
		pause = min(pause, old)
	}
	return pause
}

// send makes one attempt. The place it takes in the robot's minute is on disk before the
// request leaves: a crash must not make the robot forget it.
func (l *lane) send(s *setup, r post, d *draft) time.Duration {
	l.keep(r.gate)
	result, ended := l.attempt(l.name, r, d.message)
	if ended {
		return forever // the message stays in the spool
	}
	pause := l.settle(s, r, d, result)
	l.keep(r.gate)
	return pause
}

// show is what preview mode does instead of sending.
func (l *lane) show(s *setup, t *target, waiting []spool.Entry) time.Duration {
	d, err := l.composed(s, t, waiting, false)
	if err != nil {
		return l.trouble(err)
	}
	if d == nil {
		return 0
	}
	l.preview(l.name, d.message)
	l.finish(d, notePreview)
	return 0
}

// trouble is a spool that cannot be read or written.
func (l *lane) trouble(err error) time.Duration {
	l.spoolLog.Error(l.options.Logger, "what waits could not be read or changed; trying again", "target", l.name, "err", err)
	return diskPause
}

// finish takes what was sent out of the spool. An error is not repeated here: the spool
// remembers that the entries are gone, and logs.
func (l *lane) finish(d *draft, result string) {
	_ = l.spool.Replace(d.entries)
	if d.digest && result == noteSent {
		result = noteDigested
	}
	l.metrics.notes.WithLabelValues(l.name, result).Add(float64(count(d.entries)))
	l.metrics.truncated.WithLabelValues(l.name).Add(float64(d.message.Truncated))
	if d.digest {
		l.metrics.digests.WithLabelValues(l.name).Inc()
	}
	l.announce(d)
}

// drop takes out what needs no message, for the reason given as the result.
func (l *lane) drop(entries []spool.Entry, result string) error {
	if err := l.spool.Replace(entries); err != nil {
		return err
	}
	l.metrics.notes.WithLabelValues(l.name, result).Add(float64(count(entries)))
	return nil
}

func (l *lane) expire(s *setup, old []spool.Entry) time.Duration {
	first := stored{}
	if old[0].Kind == spool.Payload {
		if p, err := l.payload(old[0]); err == nil { // else the letter says only how many they are
			first = storedOf(s.templates.Fallback(message.Input{Target: l.name, Payload: p}))
		}
	}
	if err := l.bury(old, &first, "waited longer than limits.max_age, "+s.config.Limits.MaxAge.String()); err != nil {
		return l.trouble(err)
	}
	return 0
}

func expired(waiting []spool.Entry, before time.Time) (old []spool.Entry) {
	for _, e := range waiting {
		if e.Received.Before(before) && len(old) < maxMerge {
			old = append(old, e)
		}
	}
	return old
}

func oldest(waiting []spool.Entry) time.Time {
	t := waiting[0].Received
	for _, e := range waiting {
		t = earlier(t, e.Received)
	}
	return t
}

func count(entries []spool.Entry) (n int) {
	for _, e := range entries {
		n += int(e.Count)
	}
	return n
}
