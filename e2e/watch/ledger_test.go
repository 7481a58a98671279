//go:build linux

package watch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// ledger hears everything that Alertmanager tells the bridge, and knows what was to be
// expected. One problem is one alert: what nobody expected is a mistake of the rules or
// of their inhibition.
type ledger struct {
	mu         sync.Mutex
	heard      []notice
	beats      map[string]time.Time // of dead man's switches
	expected   map[*expectation]bool
	unexpected []string
}

// notice is what was said about one alert.
type notice struct {
	at     time.Time
	target string
	firing bool
	labels map[string]string
}

func (n notice) alert() string { return n.labels["alertname"] }

// expectation is that alerts may come.
type expectation struct {
	scenario string
	alerts   map[string]bool
}

// newLedger makes a ledger whose test fails at its end for everything unexpected.
func newLedger(t *testing.T) *ledger {
	l := &ledger{beats: make(map[string]time.Time), expected: make(map[*expectation]bool)}
	t.Cleanup(func() {
		for _, u := range l.surprises() {
			t.Error(u)
		}
	})
	return l
}

// webhook is called with each request to the bridge.
func (l *ledger) webhook(path string, body []byte) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if name, ok := strings.CutPrefix(path, "/deadman/"); ok {
		l.beats[name] = now
		return
	}
	target, ok := strings.CutPrefix(path, "/dingtalk/")
	if !ok {
		return // a scrape
	}
	var payload struct {
		Alerts []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		l.unexpected = append(l.unexpected, fmt.Sprintf("%s got a body that cannot be read: %v", path, err))
		return
	}
	for _, a := range payload.Alerts {
		n := notice{at: now, target: strings.TrimSuffix(target, "/send"), firing: a.Status == "firing", labels: a.Labels}
		l.heard = append(l.heard, n)
		if n.firing && !l.foreseen(n) {
			l.unexpected = append(l.unexpected, fmt.Sprintf("nobody expected %s %v at %s: %s; under way: %s",
				n.alert(), a.Labels, n.target, a.Annotations["summary"], l.underWay()))
		}
	}
}

// slowMachine are alerts about latency in real time, which the machine of the test may
// really have, and about the promise of days: in lapsed time one day has all the faults of
// the test, which do lose messages. They are no mistake of the rules.
var slowMachine = []string{"FanfareStoreSlow", "FanfareCanarySlow", "FanfareLatencyBudgetBurn", "FanfareDeliveryBudgetBurn", "ProbeSlow", "ZooKeeperSlow"}

func (l *ledger) foreseen(n notice) bool {
	if slices.Contains(slowMachine, n.alert()) {
		return true
	}
	for e := range l.expected {
		if e.alerts[n.alert()] {
			return true
		}
	}
	return false
}

func (l *ledger) underWay() string {
	var names []string
	for e := range l.expected {
		names = append(names, e.scenario)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// expect has alerts be right until the function that it returns is called.
func (l *ledger) expect(scenario string, alerts ...string) (over func()) {
	e := &expectation{scenario: scenario, alerts: make(map[string]bool)}
	for _, a := range alerts {
		e.alerts[a] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected[e] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.expected, e)
	}
}

// surprises are what nobody expected so far.
func (l *ledger) surprises() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.unexpected)
}

// find returns the first notice after a time that is about an alert with labels.
func (l *ledger) find(alert string, labels map[string]string, firing bool, after time.Time) (notice, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.heard {
		if n.alert() == alert && n.firing == firing && n.at.After(after) && has(n.labels, labels) {
			return n, true
		}
	}
	return notice{}, false
}

// since lists the alerts that fired after a time, with how often that was said.
func (l *ledger) since(after time.Time) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]int)
	for _, n := range l.heard {
		if n.firing && n.at.After(after) {
			all[n.alert()]++
		}
	}
	return all
}

func has(labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// names are the keys of a map, in order, for messages.
func names(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
