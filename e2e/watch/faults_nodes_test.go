//go:build linux

package watch

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// nodeFaults are about push nodes and allocators as processes.
func nodeFaults() []scenario {
	return []scenario{
		{
			name: "a push node is killed", how: "SIGKILL", alerts: []string{"FanfareNodeDown"},
			labels: map[string]string{"node": "node-2"}, names: []string{"node-2"}, alone: true,
			inject: func(t *testing.T, s *stack) { s.nodes[1].kill(t) },
			repair: func(t *testing.T, s *stack) { s.nodes[1].start(t); s.awaitNode(t, s.nodes[1]) },
			during: func(t *testing.T, s *stack, began time.Time) { s.noDetails(t, "node-2", "FanfareNodeDown", began) },
		},
		{
			name: "a push node dies and the allocators, started anew, do not know of it", how: "SIGKILL of three processes",
			alerts: []string{"FanfareNodeVanished"}, also: []string{"FanfareNodeDown", "FanfareAllocatorDown",
				"ProbeFailed"}, // between the end of NodeDown and Vanished nothing holds it back
			labels: map[string]string{"node": "node-3"}, names: []string{"node-3"}, alone: true,
			inject: func(t *testing.T, s *stack) {
				s.nodes[2].kill(t)
				eventually(t, "the allocators take node-3 for lost", func() string { return s.listed("node-3", "lost") })
				for _, a := range s.allocators {
					a.kill(t)
				}
				for _, a := range s.allocators {
					a.start(t)
				}
				s.awaitAllocators(t)
			},
			repair: func(t *testing.T, s *stack) { s.nodes[2].start(t); s.awaitNode(t, s.nodes[2]) },
		},
		{
			name: "an allocator is killed", how: "SIGKILL", alerts: []string{"FanfareAllocatorDown"},
			names: []string{"alloc-2"}, alone: true,
			inject: func(t *testing.T, s *stack) { s.allocators[1].kill(t) },
			repair: func(t *testing.T, s *stack) { s.allocators[1].start(t); s.awaitAllocators(t) },
		},
		{
			name: "the certificate of a node ends in ten days", how: "at the scrape", alerts: []string{"FanfareCertificateExpiry"},
			labels: map[string]string{"node": "node-1"}, names: []string{"node-1"}, needs: []string{"warnings of node-1"},
			inject: func(_ *testing.T, s *stack) { s.nodes[0].scrape.fault("certificate", certificateFor(10*24*time.Hour)) },
			repair: func(_ *testing.T, s *stack) { s.nodes[0].scrape.heal("certificate") },
		},
		{
			name: "the certificate of a node ends tomorrow", how: "at the scrape", alerts: []string{"FanfareCertificateExpiresSoon"},
			labels: map[string]string{"node": "node-2"}, names: []string{"node-2"},
			inject: func(_ *testing.T, s *stack) { s.nodes[1].scrape.fault("certificate", certificateFor(24*time.Hour)) },
			repair: func(_ *testing.T, s *stack) { s.nodes[1].scrape.heal("certificate") },
		},
	}
}

// stoppedInOrder ends a node as an upgrade does, quicker than anybody looks. Nobody is to
// hear of it, or every upgrade would wake somebody.
func stoppedInOrder(t *testing.T, s *stack) {
	began, n := time.Now(), s.nodes[2]
	var early []string
	if s.lapse.factor > 1 { // Prometheus forgets a target after 5 s, however time is lapsed
		early = []string{"FanfareNodeDown", "ProbeFailed"}
	}
	defer s.ledger.expect("a push node is stopped in order", early...)()
	n.terminate(t)
	gone := s.rule(t, "FanfareNodeVanished").wait + s.lapse.of(3*time.Minute)
	last := fmt.Sprintf(`time() - max(max_over_time(timestamp(up{job="fanfare-node",node=%q} == 1)[%s:1s])) > %g`, n.id, formatDuration(2*gone), gone.Seconds())
	within(t, gone+patience, n.id+" has been gone for long", func() string {
		return unless(len(s.follower1.query(t, last)) > 0, "it has not")
	})
	s.only(t, began, early...)
	n.start(t)
	s.awaitNode(t, n)
	s.settle(t)
}

// certificateFor has a process say that its certificate ends in so long.
func certificateFor(d time.Duration) trouble {
	return trouble{path: "/metrics", add: fmt.Sprintf("fanfare_certificate_expiry_timestamp_seconds %d", time.Now().Add(d).Unix())}
}

// noDetails checks that of a dead node nothing was said but that.
func (s *stack) noDetails(t *testing.T, node, alert string, began time.Time) {
	t.Helper()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for _, n := range s.ledger.heard {
		if n.at.After(began) && n.firing && n.labels["node"] == node && n.alert() != alert {
			t.Errorf("%s is down, and %s was said, too: %v", node, n.alert(), n.labels)
		}
	}
}

// listed tells what is wrong unless all allocators list a node in a state.
func (s *stack) listed(id, state string) string {
	for _, a := range s.allocators {
		_, text, err := fetch(a.address, "/sd/prometheus")
		if err != nil {
			return err.Error()
		}
		var groups []struct{ Labels map[string]string }
		if err := json.Unmarshal([]byte(text), &groups); err != nil {
			return text
		}
		found := ""
		for _, g := range groups {
			if g.Labels["__meta_fanfare_node"] == id {
				found = g.Labels["__meta_fanfare_state"]
			}
		}
		if found != state {
			return fmt.Sprintf("%s lists %s as %q", a.id, id, found)
		}
	}
	return ""
}

// awaitAllocators waits until both serve.
func (s *stack) awaitAllocators(t *testing.T) {
	t.Helper()
	for _, a := range s.allocators {
		eventually(t, a.id+" serves", func() string { return ready(a.address) })
	}
}
