//go:build linux

package watch

import (
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
)

// unicastRate is push.unicast_rate of the second node: more than all scenarios together
// want of it, but for one.
const unicastRate = "1000"

// promiseFaults are about messages that are late or do not arrive.
func promiseFaults() []scenario {
	return []scenario{
		heldFault(),
		promiseFault("devices do not acknowledge", "300 pushes a second to them", "FanfareDeliveryBudgetBurn", "mute",
			func(*client.Message) {}),
		promiseFault("devices acknowledge after 1.2 s", "300 pushes a second to them", "FanfareLatencyBudgetBurn", "slow",
			func(m *client.Message) {
				time.AfterFunc(1200*time.Millisecond, func() { _ = m.Ack() }) // the connection may have ended
			}),
	}
}

// heldFault has a back end that sends faster than a node may.
func heldFault() scenario {
	var backEnd *sender
	return scenario{
		name: "a back end sends more than a node may", how: "400 pushes are always under way, and push.unicast_rate is " + unicastRate,
		alerts: []string{"FanfareFlowControlHolds"}, labels: map[string]string{"node": "node-2"}, names: []string{"node-2"},
		prepare: func(t *testing.T, s *stack) {
			s.listening(t, s.nodes[1], []string{"paced"}, func(*client.Message) {})
			backEnd = newSender(t, s.nodes[1].gateway)
		},
		inject: func(*testing.T, *stack) { backEnd.always(400, "paced") },
		repair: func(*testing.T, *stack) { backEnd.stop() },
	}
}

// promiseFault has devices that do to messages what makes an alert. That goes on for as
// long as the promises look back, which is why it comes last.
func promiseFault(name, how, alert, users string, do func(*client.Message)) scenario {
	const devices = 8
	stop := func() {}
	return scenario{
		name: name, how: how, alerts: []string{alert}, labels: map[string]string{"window": "1h"}, window: 5 * time.Minute, last: true,
		inject: func(t *testing.T, s *stack) {
			var all []string
			for i := range devices {
				all = append(all, users+"-"+user(i))
			}
			n := s.nodes[1]
			s.listening(t, n, all, do)
			stop = newSender(t, n.gateway).steadily(all, time.Second/300, 2*time.Second)
			t.Cleanup(stop)
		},
		repair: func(*testing.T, *stack) { stop() },
	}
}
