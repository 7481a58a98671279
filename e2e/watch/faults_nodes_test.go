//go:build linux

package watch

import (
	"testing"
	"time"
)

// nodeFaults are about push nodes and allocators as processes.
func nodeFaults() []scenario {
	return []scenario{
		{
			name: "a push node is killed", how: "SIGKILL", alerts: []string{"FanfareNodeDown"},
			labels: map[string]string{"node": "node-2"}, names: []string{"node-2"}, needs: []string{"node-2"}, alone: true,
			inject: func(t *testing.T, s *stack) { s.nodes[1].kill(t) },
			repair: func(t *testing.T, s *stack) { s.nodes[1].start(t); s.awaitNode(t, s.nodes[1]) },
			during: func(t *testing.T, s *stack, began time.Time) { s.noDetails(t, "node-2", began) },
		},
		{
			name: "an allocator is killed", how: "SIGKILL", alerts: []string{"FanfareAllocatorDown"},
			names: []string{"alloc-2"}, needs: []string{"alloc-2"}, alone: true,
			inject: func(t *testing.T, s *stack) { s.allocators[1].kill(t) },
			repair: func(t *testing.T, s *stack) {
				s.allocators[1].start(t)
				eventually(t, "alloc-2 serves", func() string { return ready(s.allocators[1].address) })
			},
		},
	}
}

// noDetails checks that of a dead node nothing was said but that.
func (s *stack) noDetails(t *testing.T, node string, began time.Time) {
	t.Helper()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for _, n := range s.ledger.heard {
		if n.at.After(began) && n.firing && n.labels["node"] == node && n.alert() != "FanfareNodeDown" {
			t.Errorf("%s is down, and %s was said, too: %v", node, n.alert(), n.labels)
		}
	}
}
