//go:build linux

package cluster

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// scenario is something that fails under load.
type scenario struct {
	name string
	// intact: no connection of a device may end, and so nothing that was sent is lost.
	intact bool
	// losses are what else than success senders may be told; see [sent.result]. Some only
	// over a gateway.
	losses []string
	// fail makes it fail, waits, and makes it whole again.
	fail func(t *testing.T, w *world, f *failure)
	// goesOn picks the messages that have to get through all the while.
	goesOn func(f *failure, m *sent) bool
}

// leaving is what may become of messages to a device that leaves.
var leaving = []string{"offline", "ack_timeout", "no answer"}

// failure is a scenario that runs.
type failure struct {
	stream *stream
	victim *node
	users  map[string]map[string]bool // of each node, when it began
	began  time.Time
	healed time.Time
	gone   []*device // disconnected for good while something was broken
}

// lasts waits while something is broken; that is all it is for.
func (f *failure) lasts(d time.Duration) { time.Sleep(d) }

// blind waits until all of these say that they miss a part, and that alone.
func (f *failure) blind(t *testing.T, part, other string, all ...*process) {
	t.Helper()
	for _, p := range all {
		eventually(t, p.name+" misses its "+part, func() string {
			ok, why := p.ready()
			return unless(!ok && strings.Contains(why, part) && !strings.Contains(why, other), "ready %t: %s", ok, why)
		})
	}
}

// on tells whether a user was on a node.
func (f *failure) on(n *node, user string) bool { return f.users[n.id][user] }

const (
	warmUp     = time.Second
	leaveAfter = 20 * time.Millisecond // from the failure until some devices leave for good
)

// run is one scenario from start to report.
func (sc *scenario) run(t *testing.T, w *world) {
	before, victim := snapshot(w), w.usual()
	f := &failure{stream: startStream(w), victim: victim, users: make(map[string]map[string]bool)}
	f.lasts(warmUp)
	for _, n := range w.nodes {
		f.users[n.id] = w.crowd.on(n)
	}
	affected := f.users[victim.id]
	f.began = time.Now()
	f.gone = w.crowd.some(15, len(w.streams))
	var goodbyes sync.WaitGroup
	goodbyes.Go(func() {
		f.lasts(leaveAfter)
		w.crowd.disconnect(f.gone)
	})
	sc.fail(t, w, f)
	goodbyes.Wait()
	f.healed = time.Now()
	eventually(t, "all devices are connected", w.crowd.missing)
	var through time.Duration
	eventually(t, "a push reaches those who were on "+victim.id, func() string {
		var ok bool
		through, ok = f.stream.firstThrough(f.began, affected)
		return unless(ok, "none did of %d", len(affected))
	})
	eventually(t, "the cluster is whole", w.incomplete)
	whole := time.Since(f.healed)
	f.lasts(warmUp / 2)
	f.stream.stop(t)
	lastBack := time.Duration(0)
	if at := w.crowd.lastBack(); at.After(f.began) {
		lastBack = at.Sub(f.began)
	}
	sc.report(t, w, f, before, lastBack, through, whole)
}

// report checks everything and says what happened.
func (sc *scenario) report(t *testing.T, w *world, f *failure, before []series, lastBack, through, whole time.Duration) {
	t.Helper()
	after := snapshot(w)
	api, gateway := f.stream.told()
	met, passed := 0, 0
	for _, m := range f.stream.all {
		if sc.goesOn(f, m) && m.begun.After(f.began) && m.ended.Before(f.healed) {
			met++
			if m.reached() {
				passed++
			}
		}
	}
	lost := checkMessages(t, w, f.stream, sc.intact)
	checkRoutes(t, w)
	checkGone(t, w, f.gone)
	checkProbe(t, w, f.stream)
	checkBooks(t, w)
	closed := int(change(before, after, "fanfare_connections_closed_total"))
	t.Logf("%s, which had %d devices: %d pushes (%d not made); told over the API %v, over gateways %v; sent and lost with a connection %d; retried %v; "+
		"untouched ones meanwhile %d of %d; connections closed %v; failure lasted %v, last device back after %v, first push through after %v, whole %v after the end",
		f.victim.id, len(f.users[f.victim.id]), len(f.stream.all), f.stream.skipped, api, gateway, lost, change(before, after, "fanfare_pushes_retried_total"),
		passed, met, closed, f.healed.Sub(f.began).Round(time.Millisecond), lastBack.Round(time.Millisecond), through.Round(time.Millisecond), whole.Round(time.Millisecond))
	excused := func(m *sent, r string) bool {
		if m.entry == viaGateway && slices.Contains(sc.losses, "gateway: "+r) {
			return true
		}
		return slices.Contains(sc.losses, r) || m.user != "" && w.crowd.byUser[m.user].left() && slices.Contains(leaving, r)
	}
	wrong := &complaints{what: "messages were lost in a way that this does not excuse"}
	for _, m := range f.stream.all {
		if r := m.result(); !m.reached() && !excused(m, r) {
			wrong.add("%s to %q via %d of %d: %s, begun after %v, took %v", m.id, m.user, m.via, m.entry, r, m.begun.Sub(f.began), m.ended.Sub(m.begun))
		}
	}
	wrong.report(t)
	if sc.intact && closed > len(f.gone) {
		t.Errorf("%d connections of devices ended, want those %d that left", closed, len(f.gone))
	}
	if n := w.crowd.kicks; n != 0 {
		t.Errorf("devices were kicked %d times, though each user has but one", n)
	}
	if passed == 0 {
		t.Errorf("none of %d pushes got through that nothing stood in the way of", met)
	}
	w.back(t, f.gone)
	gone := w.crowd.some(6, len(w.streams))
	w.crowd.disconnect(gone)
	checkGone(t, w, gone)
	w.back(t, gone)
}

// usual picks the node that has neither the most devices nor the fewest.
func (w *world) usual() *node {
	sorted := slices.SortedFunc(slices.Values(w.nodes), func(a, b *node) int { return len(w.crowd.on(a)) - len(w.crowd.on(b)) })
	return sorted[len(sorted)/2]
}

// snapshot reads the metrics of all processes.
func snapshot(w *world) (all []series) {
	for _, p := range w.processes() {
		all = append(all, p.metrics())
	}
	return all
}

// change is by how much a counter grew, over all processes; one that was started again
// counts from nothing.
func change(before, after []series, metric string) (total float64) {
	for i := range after {
		now, then := after[i].sum(metric), before[i].sum(metric)
		if now < then {
			then = 0
		}
		total += now - then
	}
	return total
}
