//go:build linux

package watch

import (
	"testing"
	"time"
)

// deliveryFaults are about messages and their books.
func deliveryFaults() []scenario {
	return []scenario{
		{
			name: "a message is missing in the books of an allocator", how: "at the scrape", alerts: []string{"FanfareLedgerUnbalanced"},
			labels: map[string]string{"job": "fanfare-alloc"}, // which allocator, the alert does not say
			needs:  []string{"ledger"}, window: 3 * time.Minute,
			inject: func(_ *testing.T, s *stack) {
				s.allocators[0].scrape.fault("ledger", trouble{path: "/metrics", lines: addValue(`fanfare_messages_accepted_total{kind="unicast",source="api"}`, 3)})
			},
			repair: func(_ *testing.T, s *stack) { s.allocators[0].scrape.heal("ledger") },
		},
	}
}
