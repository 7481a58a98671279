//go:build linux

package watch

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
)

// Numbers of devices, a little above the thresholds of the rules.
const (
	strangers = 1200 // at once at one node: it has 500 more than its share
	stormy    = 65   // of them for each second of the minute that the rule looks back
	deaf      = 220  // of whom each has some 50 KB waiting
	silent    = 90
)

// connectionFaults are about devices: how they come and go, and what they do not do.
func connectionFaults() []scenario {
	return []scenario{stormFault(), deafFault(), silentFault(), wrongKeyFault(), saturatedFault()}
}

// stormFault has devices come that were told of one node only. More come, and then all go.
func stormFault() scenario {
	var devices *crowd
	stop := func() {}
	gone := scenario{
		name: "the network of most devices is gone", how: "1,200 connections are closed", alerts: []string{"FanfareMassDisconnect"},
		window: 2 * time.Minute,
		inject: func(*testing.T, *stack) { devices.leave() },
		repair: func(*testing.T, *stack) {}, // after a while it is usual that they are not there
	}
	skew := scenario{
		name: "one node has most devices and gets all that come", how: "connections past the allocators", alerts: []string{"FanfarePlacementSkew"},
		labels: map[string]string{"node": "node-1"}, names: []string{"node-1"},
		inject: func(_ *testing.T, s *stack) { stop = passing(s.nodes[0].device, gently) },
		repair: func(*testing.T, *stack) { stop() }, // the others get the next ones
		then:   &gone,
	}
	return scenario{
		name: "1,200 devices come at once", how: "handshakes", alerts: []string{"FanfareConnectionStorm"},
		prepare: func(t *testing.T, s *stack) {
			ago := s.lapse.of(5 * time.Minute)
			within(t, ago+patience, "there is a time before", func() string {
				before := s.follower1.query(t, "cluster:fanfare_connections_arriving:rate1m offset "+formatDuration(ago))
				return unless(len(before) > 0, "storms are compared with none")
			})
		},
		inject: func(t *testing.T, s *stack) {
			devices = newCrowd(t, "stranger")
			devices.storm(t, s, s.nodes[0], max(strangers, int(s.lapse.of(time.Minute).Seconds())*stormy))
		},
		repair: func(*testing.T, *stack) {}, // all are there
		then:   &skew,
	}
}

// deafFault has devices that do not take what they get.
func deafFault() scenario {
	const (
		want = 9 << 20 // bytes that wait, where the rule says 8 MiB
		size = 8000    // of a message; a device for which 64 KB wait is closed, and few broadcasts may run at once
	)
	var devices *crowd
	content := bytes.Repeat([]byte("deaf"), size/4)
	return scenario{
		name: "220 devices do not read what is sent to them", how: "connections", alerts: []string{"FanfareSlowConsumers", "FanfareOutboundQueueHigh"},
		labels: map[string]string{"node": "node-2"}, names: []string{"node-2"},
		also:   []string{"FanfareMassDisconnect"}, // they go at once
		needs:  []string{"node-2"},
		window: 150 * time.Second, // ten seconds that are not lapsed
		prepare: func(t *testing.T, s *stack) {
			devices = newCrowd(t, "deaf")
			devices.join(t, s, s.nodes[1], deaf, 4*time.Minute, gently)
			devices.bind(t)
			for range 4 { // what the kernel has room for
				devices.tell(t, s, content)
			}
		},
		inject: func(t *testing.T, s *stack) {
			for sent, now := 0, int64(0); now < want; now = s.waiting(t, s.nodes[1]) {
				more := int64(1) // fills what is left of the kernel's room
				if now > 0 {
					more = (want - now + deaf*size - 1) / (deaf * size)
				}
				for range more {
					devices.tell(t, s, content)
				}
				if sent += int(more); sent > 20 {
					t.Fatalf("%d messages were sent to each, and %d bytes wait", sent, now)
				}
			}
		},
		repair: func(*testing.T, *stack) { devices.leave() }, // those who read what waited would be told late, which is another alert
	}
}

// silentFault has devices that are gone without a word.
func silentFault() scenario {
	return scenario{
		name: "90 devices fall silent", how: "connections", alerts: []string{"FanfareHeartbeatsLost"},
		labels: map[string]string{"node": "node-2"}, names: []string{"node-2"},
		also:   []string{"FanfareMassDisconnect"}, // the node closes them
		window: 5 * time.Minute,
		inject: func(t *testing.T, s *stack) {
			newCrowd(t, "silent").join(t, s, s.nodes[1], silent, time.Second, gently)
		},
		repair: func(*testing.T, *stack) {}, // those that the node took for gone are gone
	}
}

// wrongKeyFault has devices that know another cluster's key.
func wrongKeyFault() scenario {
	stop := func() {}
	return scenario{
		name: "devices have the key of another cluster", how: "handshakes with MPush's demo key", alerts: []string{"FanfareHandshakeFailures"},
		labels: map[string]string{"node": "node-1"}, names: []string{"node-1"},
		window: 5 * time.Minute,
		inject: func(t *testing.T, s *stack) {
			stop = repeatedly(300*time.Millisecond, func() { shakeHands(client.DeviceOptions{Address: s.nodes[0].device, DemoKey: true}) })
		},
		repair: func(*testing.T, *stack) { stop() },
	}
}

// saturatedFault has more devices shake hands than a node can compute keys for.
func saturatedFault() scenario {
	stop := func() {}
	return scenario{
		name: "a node cannot compute all key exchanges", how: "ten at a time, and limits.rsa_queue of 1", alerts: []string{"FanfareRSASaturated"},
		labels: map[string]string{"node": "node-3"}, names: []string{"node-3"},
		// To set the limit and to take it back, beside what else starts the node anew; and its
		// ports close first, which discovery tells seconds later, however time is lapsed.
		also:    []string{"FanfareNodeRestarting", "FanfareNodeDown", "ProbeFailed"},
		needs:   []string{"node-3"},
		prepare: func(t *testing.T, s *stack) { s.restart(t, s.nodes[2], "limits.rsa_workers=1", "limits.rsa_queue=1") },
		inject: func(t *testing.T, s *stack) {
			key := s.publicKey(t)
			stop = repeatedly(500*time.Millisecond, func() {
				var work sync.WaitGroup
				for range 10 {
					work.Go(func() { shakeHands(client.DeviceOptions{Address: s.nodes[2].device, PublicKey: key}) })
				}
				work.Wait()
			})
		},
		repair: func(t *testing.T, s *stack) { stop(); s.restart(t, s.nodes[2]) },
	}
}

// shakeHands connects a device once, in vain or not.
func shakeHands(o client.DeviceOptions) {
	o.DeviceID, o.ManualHeartbeat, o.ConnectTimeout = "passer-by", true, 5*time.Second
	if c, err := client.Dial(context.Background(), o); err == nil {
		_ = c.Close() // always nil
	}
}

// restart ends a node in good order and starts it with settings beside its own.
func (s *stack) restart(t *testing.T, n *node, more ...string) {
	t.Helper()
	usual := n.args
	defer func() { n.args = usual }()
	for _, m := range more {
		n.args = append(n.args[:len(n.args):len(n.args)], "--set", m)
	}
	n.terminate(t)
	n.start(t)
	s.awaitNode(t, n)
}

// waiting is how many bytes wait on a node for devices, a second after it was asked.
func (s *stack) waiting(t *testing.T, n *node) int64 {
	t.Helper()
	time.Sleep(1100 * time.Millisecond) // the node counts once a second
	_, text, err := fetch(n.ops, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "fanfare_outbound_queue_bytes "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(f)
		}
	}
	t.Fatalf("%s does not say how many bytes wait", n.id)
	return 0
}
