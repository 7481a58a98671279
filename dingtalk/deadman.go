package dingtalk

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/config"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// keepBeatEvery bounds how often the time of a beat is written. After a crash a switch
// waits a full period anyway; the time is only for people.
const keepBeatEvery = 10 * time.Second

// deadmen are the dead man's switches.
type deadmen struct {
	spool  *spool.Spool
	now    func() time.Time
	log    *slog.Logger
	wake   func(target string)
	unkept func() // a message could not be kept on disk
	kick   chan struct{}

	mu     sync.Mutex
	byName map[string]*deadman
}

// deadman is one switch.
type deadman struct {
	config config.Deadman
	state  deadmanState
	since  time.Time // waits from then on: the last beat, or the start if that is later
	kept   time.Time // when the state was written
}

// deadmanState is what survives a restart.
type deadmanState struct {
	Last    time.Time `json:"last,omitzero"`    // beat; zero: never
	Missing time.Time `json:"missing,omitzero"` // since when people know; zero: it beats
	Told    time.Time `json:"told,omitzero"`    // when they were told last
}

func newDeadmen(s *spool.Spool, now func() time.Time, log *slog.Logger, wake func(string), unkept func()) *deadmen {
	return &deadmen{spool: s, now: now, log: log, wake: wake, unkept: unkept, kick: make(chan struct{}, 1), byName: map[string]*deadman{}}
}

// configure takes a configuration into use. A new switch waits a full period; one that
// stays goes on as it was.
func (ds *deadmen) configure(all map[string]config.Deadman) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for name := range ds.byName {
		if _, ok := all[name]; !ok {
			delete(ds.byName, name)
		}
	}
	for name, c := range all {
		if d := ds.byName[name]; d != nil {
			d.config = c
			continue
		}
		d := &deadman{config: c, since: ds.now()}
		if value, err := ds.spool.State("deadman", name); err == nil && len(value) > 0 {
			if err := json.Unmarshal(value, &d.state); err != nil {
				ds.log.Warn("the state of a switch cannot be read; it starts anew", "name", name, "err", err)
			}
		}
		// What lies ahead was written before the clock was set back.
		d.state.Last, d.state.Missing, d.state.Told = earlier(d.state.Last, d.since), earlier(d.state.Missing, d.since), earlier(d.state.Told, d.since)
		ds.byName[name] = d
	}
	ds.nudge()
}

func (ds *deadmen) nudge() {
	select {
	case ds.kick <- struct{}{}:
	default:
	}
}

// states returns a copy for metrics and pages.
func (ds *deadmen) states() map[string]deadmanState {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	all := make(map[string]deadmanState, len(ds.byName))
	for name, d := range ds.byName {
		all[name] = d.state
	}
	return all
}

// beat notes a beat. known is false if there is no such switch; the error is the disk's.
func (ds *deadmen) beat(name string) (known bool, err error) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.byName[name]
	if d == nil {
		return false, nil
	}
	now := ds.now()
	back := !d.state.Missing.IsZero()
	if back {
		// The message first: if it cannot be kept the beat did not count, and the next
		// one says it.
		if err := ds.tell(d, beat{Name: name, Last: lastOr(d.state), Back: true}, now); err != nil {
			return true, err
		}
		ds.log.Info("the beats of a switch have come back", "name", name, "missing", now.Sub(d.state.Missing).Round(time.Second))
	}
	d.state.Last, d.since = now, now
	d.state.Missing, d.state.Told = time.Time{}, time.Time{}
	if back || now.Sub(d.kept) >= keepBeatEvery {
		ds.keep(name, d, now)
	}
	ds.nudge()
	return true, nil
}

// lastOr is when the beats stopped as far as anybody knows.
func lastOr(s deadmanState) time.Time {
	if s.Last.IsZero() {
		return s.Missing
	}
	return s.Last
}

// tell puts a message for each target into the spool.
func (ds *deadmen) tell(d *deadman, b beat, now time.Time) error {
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	for _, target := range d.config.Targets {
		e := spool.Entry{Target: target, Kind: spool.Deadman, Rank: rankDeadman, Count: 1, Received: now}
		if err := ds.spool.Add(spool.Item{Entry: e, Body: body}); err != nil {
			ds.unkept()
			return err
		}
		ds.wake(target)
	}
	return nil
}

func (ds *deadmen) keep(name string, d *deadman, now time.Time) {
	value, err := json.Marshal(d.state)
	if err == nil {
		err = ds.spool.SetState("deadman", name, value)
	}
	if err == nil {
		d.kept = now
	}
}

// run watches the switches until ctx ends.
func (ds *deadmen) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-ds.kick:
		}
		timer.Reset(ds.check())
	}
}

// check tells people of switches that miss their beats, and returns when to look again.
func (ds *deadmen) check() time.Duration {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	next := time.Hour
	for name, d := range ds.byName {
		now := ds.now()
		due := d.since.Add(d.config.Period()) // a restart waits a full period, too
		if !d.state.Told.IsZero() {
			due = later(due, d.state.Told.Add(d.config.Repeat))
		}
		if wait := due.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		if err := ds.tell(d, beat{Name: name, Last: d.state.Last}, now); err != nil {
			next = min(next, diskPause)
			continue
		}
		if d.state.Missing.IsZero() {
			d.state.Missing = now
			ds.log.Error("the beats of a switch have stopped; people are told", "name", name, "last", d.state.Last)
		}
		d.state.Told = now
		ds.keep(name, d, now)
		next = min(next, d.config.Repeat)
	}
	return max(next, time.Millisecond)
}
