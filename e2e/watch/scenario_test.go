//go:build linux

package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// scenario is a fault, the alerts that tell people of it, and its repair.
type scenario struct {
	name   string            // what breaks, as the table says it
	alerts []string          // that have to arrive, and to be resolved
	labels map[string]string // that these have
	names  []string          // what the message must say beside the alert, such as the node
	// also may come along, since it is as true; it need not.
	also []string
	// how says how real the fault is: what was done, or "at the scrape: ..." for what
	// cannot be done on one machine.
	how string
	// needs are what no other scenario may touch meanwhile, such as a node. The alerts
	// themselves are among it.
	needs []string
	// alone keeps every other scenario away.
	alone bool
	// last is for alerts that look back for days, so that it is not quiet again after them.
	last bool
	// window is how long the rule looks back, in real time, if that is why it takes longer.
	window time.Duration

	// prepare makes ready what is to be broken, which takes a while.
	prepare func(t *testing.T, s *stack)
	inject  func(t *testing.T, s *stack)
	repair  func(t *testing.T, s *stack)
	// mended is when inject itself has ended what is broken, since nobody can be told before.
	mended func() time.Time
	// during looks at what else has to be so while it is broken.
	during func(t *testing.T, s *stack, began time.Time)
	// after looks at what else has to be so when it is well again.
	after func(t *testing.T, s *stack)
	// then goes on with what this one left behind.
	then *scenario
}

const (
	// promised is how long a message may take beyond what the rule waits, in real time
	// even if time is lapsed.
	promised = 30 * time.Second
	// settling is how long it may take to be well again, beyond what is configured.
	settling = 45 * time.Second
)

// run is one scenario from fault to resolved message.
func (sc *scenario) run(t *testing.T, s *stack) {
	defer s.lock(append(slices.Clone(sc.needs), sc.alerts...))()
	over := s.ledger.expect(sc.name, append(slices.Clone(sc.alerts), sc.also...)...)
	defer over()
	if sc.prepare != nil {
		sc.prepare(t, s)
	}
	began := time.Now()
	broken := true
	repair := func() {
		if broken {
			broken = false
			sc.repair(t, s)
		}
	}
	defer repair()
	sc.inject(t, s)
	from := began // nobody can be told before
	if sc.mended != nil {
		from = sc.mended()
	}
	lines := make([]result, len(sc.alerts))
	for i, alert := range sc.alerts {
		rule := s.rule(t, alert)
		lines[i] = result{fault: sc.name, alert: alert, severity: rule.severity, how: sc.how, wait: rule.wait}
		limit := rule.wait + s.lapse.of(sc.window+time.Minute) + promised
		if !sc.alone { // others in its group may just have been told of
			limit += s.lapse.wait(s.groupInterval(rule))
		}
		lines[i].message = from.Sub(began) + s.awaitMessage(t, alert, sc, true, from, limit)
	}
	if sc.during != nil {
		sc.during(t, s, began)
	}
	if t.Failed() {
		return
	}
	repaired := time.Now()
	if sc.mended != nil {
		repaired = sc.mended()
	}
	repair()
	for i, alert := range sc.alerts {
		rule := s.rule(t, alert)
		limit := rule.keep + s.lapse.of(sc.window) + s.lapse.wait(s.groupInterval(rule)) + settling
		lines[i].resolved = s.awaitMessage(t, alert, sc, false, repaired, limit)
		s.results.add(lines[i])
		t.Logf("%s: message after %v, resolved %v after the repair", alert, lines[i].message.Round(100*time.Millisecond), lines[i].resolved.Round(100*time.Millisecond))
	}
	if sc.after != nil {
		sc.after(t, s)
	}
	if sc.then != nil {
		t.Run(sc.then.name, func(t *testing.T) { sc.then.run(t, s) })
	}
	if sc.alone {
		s.settle(t)
	}
}

// settle waits until no alert is pending or fires, so that what follows begins with none.
func (s *stack) settle(t *testing.T) {
	t.Helper()
	within(t, s.lapse.of(10*time.Minute)+settling, "it is quiet again", s.unsettled)
}

// groupInterval is how long Alertmanager waits, at most, with news of a group.
func (s *stack) groupInterval(r alertRule) time.Duration {
	if r.severity == "info" {
		return time.Hour
	}
	return 5 * time.Minute
}

// awaitMessage waits until Alertmanager told the bridge of an alert, and then until a
// message at DingTalk names it. It returns how long that took.
func (s *stack) awaitMessage(t *testing.T, alert string, sc *scenario, firing bool, after time.Time, limit time.Duration) time.Duration {
	t.Helper()
	deadline := after.Add(limit)
	what := map[bool]string{true: "firing", false: "resolved"}[firing]
	var told notice
	within(t, time.Until(deadline), alert+" is "+what, func() string {
		var ok bool
		told, ok = s.ledger.find(alert, sc.labels, firing, after)
		return unless(ok, "the bridge was not told of it")
	}, func() string {
		return fmt.Sprintf(", only of %v; pending or firing: %v", names(s.ledger.since(after)), s.active())
	})
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	m, err := s.dingtalk.Wait(ctx, func(r dingtalktest.Received) bool {
		return !r.At.Before(told.at) && says(r, alert)
	})
	if err != nil {
		t.Fatalf("%s is %s, the bridge was told after %v, and no message at DingTalk names it within %v", alert, what, told.at.Sub(after), limit)
	}
	for _, name := range sc.names {
		if !says(m, name) {
			t.Errorf("the message of %s does not say %s:\n%s\n%s", alert, name, m.Title, m.Text)
		}
	}
	return m.At.Sub(after)
}

func says(m dingtalktest.Received, what string) bool {
	return strings.Contains(strings.ToLower(m.Title+"\n"+m.Text), strings.ToLower(what))
}

// active are the alerts that are pending or fire anywhere.
func (s *stack) active() (all []string) {
	for _, p := range []*prometheus{s.leader, s.follower1, s.follower2} {
		for _, a := range p.activeAlerts() {
			if a != "Watchdog" {
				all = append(all, p.name+": "+a)
			}
		}
	}
	return all
}

// lock keeps others away from what a scenario needs.
func (s *stack) lock(needs []string) (unlock func()) {
	slices.Sort(needs)
	var held []*sync.Mutex
	for _, name := range slices.Compact(needs) {
		s.mu.Lock()
		if s.locks[name] == nil {
			s.locks[name] = new(sync.Mutex)
		}
		m := s.locks[name]
		s.mu.Unlock()
		m.Lock()
		held = append(held, m)
	}
	return func() {
		for _, m := range held {
			m.Unlock()
		}
	}
}
