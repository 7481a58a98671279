package dingtalk

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/robot"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

const (
	// diskPatience is how long nothing can be written, or a write hangs, before people are
	// told. One slow moment must not wake anybody: Alertmanager tries again within seconds,
	// and what comes half a minute late is not late.
	diskPatience = 30 * time.Second
	// diskRepeat is how often they are told again while it lasts: whoever missed it hears
	// of it before long, and who repairs it has no flood to read.
	diskRepeat = 30 * time.Minute
)

// diskAlarm tells people that the disk fails. All other messages go through the spool, and
// with it fails even the one that says so; this one never touches the disk.
type diskAlarm struct {
	*Bridge
	kick chan struct{}

	// The rest belongs to run.
	since   time.Time           // the disk fails; zero: it works, or nothing was refused
	due     time.Time           // people are told, or told again
	waiting map[string]struct{} // targets that have not been told this time
	refused map[string]int      // how often robots did not take the text this time, by gate
	told    map[string]struct{} // targets that know that it fails
}

func newDiskAlarm(b *Bridge) *diskAlarm {
	return &diskAlarm{Bridge: b, kick: make(chan struct{}, 1), told: map[string]struct{}{}}
}

// unkept notes that a message could not be kept on disk, or not yet.
func (a *diskAlarm) unkept() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// run watches the disk from the first message that it does not take until it works again.
// It need not write for that: the spool does, as long as the disk fails.
func (a *diskAlarm) run(ctx context.Context) {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-a.kick:
		}
		if pause := a.step(ctx); pause == forever {
			timer.Stop()
		} else {
			timer.Reset(pause)
		}
	}
}

// step does what there is to do, and returns when to look again.
func (a *diskAlarm) step(ctx context.Context) time.Duration {
	since, err := a.spool.Failing()
	if err == nil {
		return a.over()
	}
	now := a.options.Now()
	if a.since.IsZero() || len(a.told) == 0 && !since.Equal(a.since) { // it worked in between
		a.since, a.due, a.waiting = since, now.Add(diskPatience), nil
	}
	s := a.setup.Load()
	listeners := s.listeners()
	if !now.Before(a.due) {
		a.due, a.waiting, a.refused = now.Add(diskRepeat), map[string]struct{}{}, map[string]int{}
		for _, l := range listeners {
			a.waiting[l.Name] = struct{}{}
		}
	}
	for _, l := range listeners {
		if _, ok := a.waiting[l.Name]; ok && ctx.Err() == nil {
			mention := l.Mention
			mention.Severities = nil // it is critical
			a.tell(s, l.target, storedOf(s.templates.DiskFails(a.trouble(err.Error()), mention)))
		}
	}
	return min(max(a.due.Sub(a.options.Now()), time.Millisecond), diskPause)
}

func (a *diskAlarm) trouble(cause string) message.DiskTrouble {
	dir := a.options.DataDir
	if whole, err := filepath.Abs(dir); err == nil { // else it is named as it was given
		dir = whole
	}
	return message.DiskTrouble{Dir: dir, Cause: cause, Since: a.since}
}

// tell sends a message by the first robot of a target that takes it. If none may send now
// the target goes on waiting.
func (a *diskAlarm) tell(s *setup, t *target, m stored) {
	if t.preview() {
		a.preview(t.Name, m)
		a.heard(t)
		return
	}
	limit := s.config.Limits.PerMinute
	for {
		left := a.willing(t)
		if left.preview() {
			a.options.Logger.Error("no robot takes the message that the disk fails", "target", t.Name)
			delete(a.waiting, t.Name) // until it is said again
			return
		}
		now := a.options.Now()
		r, _ := left.usable(now, limit, urgent)
		if r.Robot == nil || !r.gate.reserve(now, limit, urgent) {
			return
		}
		form := m
		if a.refused[r.gate.key] > 0 {
			form = m.stripped()
		}
		result, ended := a.attempt(t.Name, r, form)
		if ended {
			return
		}
		now = a.options.Now()
		log := a.logOf(t.Name, r, result)
		switch result.Kind {
		case robot.Sent:
			a.succeeded(t.Name, r, now)
			log.Warn("the disk fails; people were told of it past the queue", "since", a.since)
			a.heard(t)
			return
		case robot.TooLong, robot.Unsafe, robot.Malformed:
			a.refused[r.gate.key]++
			log.Error("DingTalk does not take the message that the disk fails", "why", result.Kind.String())
		default:
			a.spare(r, result, now, log)
		}
	}
}

// willing is a target without the robots that do not take the text, even in its plain form.
func (a *diskAlarm) willing(t *target) *target {
	left := *t
	left.robots = slices.DeleteFunc(slices.Clone(t.robots), func(r post) bool { return a.refused[r.gate.key] > 1 })
	return &left
}

func (a *diskAlarm) heard(t *target) {
	delete(a.waiting, t.Name)
	a.told[t.Name] = struct{}{}
}

// over tells those who know that the disk fails that it works again. It works, so this
// takes the usual way: it is not forgotten, and comes before what waits.
func (a *diskAlarm) over() time.Duration {
	if a.since.IsZero() {
		return forever
	}
	s := a.setup.Load()
	d := a.trouble("")
	for _, l := range s.listeners() { // the disk did not take what the message has done to them
		for _, r := range l.robots {
			a.keep(r.gate)
		}
	}
	body := storedOf(s.templates.DiskWorks(d)).json()
	for _, name := range slices.Sorted(maps.Keys(a.told)) {
		if s.targets[name] != nil { // else it left the configuration
			e := spool.Entry{Target: name, Kind: spool.Ready, Rank: rankDeadman, Count: 1, Received: a.options.Now()}
			if err := a.spool.Add(spool.Item{Entry: e, Body: body}); err != nil {
				return diskPause // it fails again: the alarm goes on
			}
			a.wake(name)
		}
		delete(a.told, name)
	}
	a.since, a.waiting = time.Time{}, nil
	return forever
}

// listener is a target that is told, and whom its message calls.
type listener struct {
	*target
	Mention message.Mention
}

// listeners are the targets of the dead man's switches, whose people look after the path
// that alerts take, or all targets if there is no switch. Of those with the same robots one
// stands for all, and calls whom any of them calls.
func (s *setup) listeners() []listener {
	var names []string
	for _, d := range s.config.Deadman {
		names = append(names, d.Targets...)
	}
	if len(names) == 0 {
		names = s.config.TargetNames()
	}
	slices.Sort(names)
	var all []listener
	byRobots := map[string]int{} // its place in all
	for _, name := range slices.Compact(names) {
		t := s.targets[name]
		set := t.robotSet()
		if at, ok := byRobots[set]; ok && set != "" {
			all[at].Mention = both(all[at].Mention, t.Mention)
			continue
		}
		byRobots[set] = len(all)
		all = append(all, listener{t, t.Mention})
	}
	return all
}

// both calls whom either of two calls.
func both(a, b message.Mention) message.Mention {
	union := func(a, b []string) []string {
		all := slices.Clone(a)
		for _, who := range b {
			if !slices.Contains(all, who) {
				all = append(all, who)
			}
		}
		return all
	}
	return message.Mention{All: a.All || b.All, Mobiles: union(a.Mobiles, b.Mobiles), UserIDs: union(a.UserIDs, b.UserIDs)}
}
