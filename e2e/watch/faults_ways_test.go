//go:build linux

package watch

import (
	"testing"
	"time"
)

// wayFaults are about the network between what a cluster is made of.
func wayFaults() []scenario {
	return []scenario{
		{
			name: "nobody gets to the gateway of a node", how: "its network breaks", alerts: []string{"FanfareCanaryFailing"},
			labels: map[string]string{"node": "node-1", "to": "node-1"}, names: []string{"node-1"}, needs: []string{"links", "pace of links", "alloc-2"},
			also:   []string{"FanfareLinksDown"}, // a test push is doubted for 2 s, however time is lapsed
			inject: func(_ *testing.T, s *stack) { s.nodes[0].links.way.Break() },
			repair: func(_ *testing.T, s *stack) { s.nodes[0].links.way.Heal() },
		},
		{
			name: "one node cannot reach another", how: "the network between the two breaks, in one direction", alerts: []string{"FanfareLinksDown"},
			labels: map[string]string{"node": "node-2"}, names: []string{"node-2"},
			needs:  []string{"links", "alloc-2"}, // were another that pushes to node-1 broken meanwhile, FanfareCanaryFailing would hold it back
			inject: func(_ *testing.T, s *stack) { s.nodes[0].links.bar("node-2") },
			repair: func(_ *testing.T, s *stack) { s.nodes[0].links.open("node-2") },
		},
		{
			name: "the network to a node's gateway is slow", how: "0.6 s in each direction", alerts: []string{"FanfareCanarySlow"},
			labels: map[string]string{"node": "node-1"}, names: []string{"node-1"}, needs: []string{"pace of links"},
			inject: func(_ *testing.T, s *stack) { s.nodes[0].links.way.Slow(600 * time.Millisecond) },
			repair: func(_ *testing.T, s *stack) { s.nodes[0].links.way.Heal() },
		},
		{
			name: "a node is cut off from Redis", how: "its network breaks", alerts: []string{"FanfareStoreFailing"},
			labels: map[string]string{"node": "node-1"}, names: []string{"node-1"}, needs: []string{"redis of node-1"},
			inject: func(_ *testing.T, s *stack) { s.nodes[0].redis.Break() },
			repair: func(_ *testing.T, s *stack) { s.nodes[0].redis.Heal() },
		},
		slowStoreFault(),
		{
			name: "a node is cut off from ZooKeeper", how: "its network breaks", alerts: []string{"FanfareRegistryDisconnected"},
			labels: map[string]string{"node": "node-3"}, names: []string{"node-3"}, alone: true,
			inject: func(_ *testing.T, s *stack) { s.nodes[2].zookeeper.Break() },
			repair: func(t *testing.T, s *stack) { s.nodes[2].zookeeper.Heal(); s.awaitNode(t, s.nodes[2]) },
			during: func(t *testing.T, s *stack, began time.Time) {
				eventually(t, "the allocators take node-3 for lost", func() string { return s.listed("node-3", "lost") })
				s.only(t, began, "FanfareRegistryDisconnected")
			},
		},
		{
			name: "ZooKeeper takes long to answer", how: "its network to an allocator takes 0.15 s in each direction", alerts: []string{"ZooKeeperSlow"},
			needs:  []string{"zookeeper"},
			inject: func(_ *testing.T, s *stack) { s.allocators[0].zookeeper.Slow(150 * time.Millisecond) },
			repair: func(_ *testing.T, s *stack) { s.allocators[0].zookeeper.Heal() },
		},
	}
}

// slowStoreFault has a node's way to Redis take long, and somebody for whom it asks there:
// of a few calls a minute nothing is said.
func slowStoreFault() scenario {
	var backEnd *sender
	stop := func() {}
	return scenario{
		name: "the network from a node to Redis is slow", how: "0.1 s in each direction, and four pushes a second", alerts: []string{"FanfareStoreSlow"},
		labels: map[string]string{"node": "node-1"}, names: []string{"node-1"}, needs: []string{"redis of node-1"}, window: 2 * time.Minute,
		prepare: func(t *testing.T, s *stack) { backEnd = newSender(t, s.nodes[0].gateway) },
		inject: func(_ *testing.T, s *stack) {
			s.nodes[0].redis.Slow(100 * time.Millisecond)
			stop = backEnd.steadily([]string{"nobody"}, time.Second/4, patience)
		},
		repair: func(_ *testing.T, s *stack) {
			stop()
			backEnd.stop()
			s.nodes[0].redis.Heal()
		},
	}
}
