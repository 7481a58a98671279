//go:build linux

package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// complaints are errors of which only the first are worth reading.
type complaints struct {
	what  string
	count int
	text  strings.Builder
}

func (c *complaints) add(format string, args ...any) {
	if c.count++; c.count <= 8 {
		fmt.Fprintf(&c.text, "\n\t"+format, args...)
	}
}

func (c *complaints) report(t *testing.T) {
	t.Helper()
	if c.count > 0 {
		t.Errorf("%d %s:%s", c.count, c.what, &c.text)
	}
}

// checkMessages compares what senders were told with what arrived. With intact no
// connection of a device broke: then what was sent has arrived.
func checkMessages(t *testing.T, w *world, s *stream, intact bool) (lost int) {
	t.Helper()
	wrong := &complaints{what: "messages are not what their senders were told"}
	defer wrong.report(t)
	for _, m := range s.all {
		if m.entry == viaAPI && m.err != nil {
			wrong.add("the call for %s failed: %v", m.id, m.err)
			continue
		}
		if m.user == "" {
			lost += checkBroadcast(wrong, w, m, intact)
			continue
		}
		n, left := w.crowd.arrived(m.id, m.user), w.crowd.byUser[m.user].left()
		switch {
		case n > 1:
			wrong.add("%s came %d times to %s; its sender was told %v", m.id, n, m.user, m.outcome)
		case n == 0 && m.outcome == protocol.OutcomeSent && (left || !intact):
			lost++ // it was in the socket's buffer when the connection broke
		case n == 0 && m.reached():
			wrong.add("%s to %s is %v but never arrived", m.id, m.user, m.outcome)
		case n == 1 && (m.outcome == protocol.OutcomeOffline || m.outcome == protocol.OutcomeRejected):
			wrong.add("%s to %s is %v but arrived", m.id, m.user, m.outcome)
		}
	}
	return lost
}

func checkBroadcast(wrong *complaints, w *world, m *sent, intact bool) (lost int) {
	arrived := 0
	for _, d := range w.crowd.devices {
		n := w.crowd.arrived(m.id, d.user)
		if n > 1 {
			wrong.add("broadcast %s came %d times to %s", m.id, n, d.user)
		}
		arrived += min(n, 1)
	}
	told := m.deliveries[protocol.OutcomeSent]
	if left := len(w.crowd.devices) - len(w.crowd.present()); arrived < told-left && intact {
		wrong.add("broadcast %s was sent to %d devices and came to %d", m.id, told, arrived)
	}
	return max(0, told-arrived)
}

// checkBooks waits until nothing is under way and compares the books of every process
// with themselves, and those of the allocators with what their callers were told.
func checkBooks(t *testing.T, w *world) {
	t.Helper()
	for _, p := range w.processes() {
		eventually(t, p.name+" has ended everything", func() string {
			m := p.metrics()
			busy := m.sum("fanfare_messages_in_flight") + m.sum("fanfare_deliveries_in_flight") + m.sum("fanfare_link_queue_bytes")
			return unless(m != nil && busy == 0, "%v are under way", busy)
		})
		m := p.metrics()
		if accepted, ended := m.sum("fanfare_messages_accepted_total"), m.sum("fanfare_messages_total"); accepted != ended {
			t.Errorf("%s accepted %v messages and ended %v", p.name, accepted, ended)
		}
	}
	for _, e := range []entry{viaAPI, viaGateway} {
		checkTold(t, w, e)
	}
}

// checkTold compares the books of all entry points of a kind with what the callers were
// told. The books of a process that was killed are gone with it, so then there is
// nothing to compare with.
func checkTold(t *testing.T, w *world, e entry) {
	t.Helper()
	told, books := make(map[string]int), make(map[string]int)
	for _, s := range w.streams {
		for _, m := range s.all {
			if m.entry == e {
				told[m.result()]++
			}
		}
	}
	doors := w.processes()[:nodes]
	if e == viaAPI {
		doors = w.processes()[nodes:]
	}
	for _, p := range doors {
		if p.lives > 1 {
			return
		}
		m := p.metrics()
		for _, o := range protocol.Outcomes() {
			books[e.hears(o)] += int(m.sum("fanfare_messages_total", fmt.Sprintf("outcome=%q", o)))
		}
	}
	maps.DeleteFunc(books, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(books, told) {
		t.Errorf("by the books of %s and the others of its kind messages ended as %v, their callers were told %v", doors[0].name, books, told)
	}
}

// hears is what a caller is told of an outcome: MPush's gateway knows fewer.
func (e entry) hears(o protocol.Outcome) string {
	switch {
	case e == viaAPI || o == protocol.OutcomeAcked || o == protocol.OutcomeSent || o == protocol.OutcomeOffline:
		return o.String()
	case o == protocol.OutcomeAckTimeout:
		return "no answer"
	}
	return "failed"
}

// each calls check for all devices, some at a time.
func (c *crowd) each(check func(i int, d *device)) {
	var all sync.WaitGroup
	for lane := range 8 {
		all.Go(func() {
			for i := lane; i < len(c.devices); i += 8 {
				check(i, c.devices[i])
			}
		})
	}
	all.Wait()
}

// checkRoutes waits until each user has exactly one route, which leads to the node
// where the device is.
func checkRoutes(t *testing.T, w *world) {
	t.Helper()
	ids := make(map[string]string)
	for _, n := range w.nodes {
		ids[n.device] = n.id
	}
	eventually(t, "every route leads to the device", func() string {
		var mu sync.Mutex
		var wrong []string
		w.crowd.each(func(i int, d *device) {
			if d.left() {
				return
			}
			routes, err := w.allocators[i%allocators].pusher.User(context.Background(), d.user)
			if at := ids[d.at()]; err != nil || len(routes) != 1 || !routes[0].Online || routes[0].Node != at {
				mu.Lock()
				wrong = append(wrong, fmt.Sprintf("%s is on %s, its routes are %+v, %v", d.user, at, routes, err))
				mu.Unlock()
			}
		})
		return unless(len(wrong) == 0, "%d are not: %.600s", len(wrong), strings.Join(wrong, "; "))
	})
}

// checkProbe pushes to everybody: what the cluster believes has to be true at once.
func checkProbe(t *testing.T, w *world, s *stream) {
	t.Helper()
	w.crowd.each(func(i int, d *device) {
		if d.left() {
			return
		}
		m := &sent{id: s.name + "-probe-" + d.user, user: d.user, ack: true, via: i % allocators, begun: time.Now()}
		s.push(m)
		s.mu.Lock()
		s.all = append(s.all, m)
		s.mu.Unlock()
		if m.later {
			s.ask(t, m)
		}
		if m.err != nil || m.outcome != protocol.OutcomeAcked {
			t.Errorf("after everything a push to %s ends as %v, %v (later: %v)", d.user, m.outcome, m.err, m.later)
		}
	})
}

// checkGone waits until nobody shows devices online that were disconnected for good.
func checkGone(t *testing.T, w *world, gone []*device) {
	t.Helper()
	for i, d := range gone {
		eventually(t, d.user+" is shown offline", func() string {
			routes, err := w.allocators[i%allocators].pusher.User(context.Background(), d.user)
			online := slices.ContainsFunc(routes, func(r client.UserDevice) bool { return r.Online })
			return unless(err == nil && !online, "%+v, %v", routes, err)
		})
	}
	eventually(t, "nobody else is on the nodes' lists of online users", func() string {
		listed := 0
		for i := range w.nodes {
			if n, ok := w.redis.Do("ZCARD", fmt.Sprintf("mp:oul:127.0.1.%d", i+1)).(int64); ok {
				listed += int(n)
			}
		}
		return unless(listed == population-len(gone), "%d are, %d are connected", listed, population-len(gone))
	})
}

// back connects devices again that were disconnected for good.
func (w *world) back(t *testing.T, gone []*device) {
	t.Helper()
	for _, d := range gone {
		d.start(t)
	}
	eventually(t, "they are back", w.crowd.missing)
}

// told counts what the senders of a stream were told.
func (s *stream) told() (api, gateway map[string]int) {
	api, gateway = make(map[string]int), make(map[string]int)
	for _, m := range s.all {
		if m.entry == viaAPI {
			api[m.result()]++
		} else {
			gateway[m.result()]++
		}
	}
	return api, gateway
}
