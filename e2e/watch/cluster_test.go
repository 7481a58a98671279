//go:build linux

package watch

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

const (
	nodes      = 3
	allocators = 2
	// defaultSession is registry.zookeeper.session_timeout. It is lapsed like the rules,
	// which give a node that died so long to be forgotten.
	defaultSession = 5 * time.Second
	// canary.every and canary.timeout, and the least of the former here: a node says that a
	// push is slow from 0.99 s, however time is lapsed, and it has to end before the next.
	defaultCanary, defaultCanaryTimeout = 10 * time.Second, 5 * time.Second
	shortestCanary                      = 2 * time.Second
	// store.redis.sweep_every, and the least of it that can be set.
	defaultSweep, shortestSweep = time.Hour, time.Minute
)

// node is a push node with a network of its own to Redis and to ZooKeeper.
type node struct {
	*process
	id                         string
	device, websocket, gateway string
	ops                        string // where its metrics really are
	scrape                     *relay // where others find them
	redis, zookeeper           *backing.Proxy
	links                      *crossing // how other nodes and allocators get to its gateway
}

// allocator is the same for an allocator.
type allocator struct {
	*process
	id, address      string
	scrape           *relay
	redis, zookeeper *backing.Proxy
}

func (s *stack) startCluster(t *testing.T) {
	t.Helper()
	for i := range nodes {
		s.nodes = append(s.nodes, s.newNode(t, i))
	}
	for i := range allocators {
		s.allocators = append(s.allocators, s.newAllocator(t, i))
	}
	for _, n := range s.nodes {
		n.start(t)
	}
	for _, a := range s.allocators {
		a.start(t)
	}
}

// settings makes the command line of a shipped file and what differs here.
func settings(command, config string, all ...string) []string {
	args := []string{command, "--config", config}
	for _, s := range all {
		args = append(args, "--set", s)
	}
	return args
}

// common is what the containers have from their volumes and network.
func (s *stack) common(redis, zookeeper *backing.Proxy) []string {
	canary := max(s.lapse.of(defaultCanary), shortestCanary)
	return []string{
		"store.redis.addresses=" + redis.Addr, "store.redis.password_file=" + s.secrets + "/redis/password",
		"store.redis.sweep_every=" + max(s.lapse.of(defaultSweep), shortestSweep).String(),
		"registry.zookeeper.servers=" + zookeeper.Addr,
		"registry.zookeeper.session_timeout=" + s.lapse.interval(defaultSession).String(),
		"security.gateway_secret_file=" + s.secrets + "/fanfare/gateway-secret",
		"canary.every=" + canary.String(), "canary.timeout=" + min(canary*3/4, defaultCanaryTimeout).String(),
	}
}

func (s *stack) newNode(t *testing.T, i int) *node {
	t.Helper()
	n := &node{
		id: fmt.Sprintf("node-%d", i+1), device: freeAddress(t), websocket: freeAddress(t), gateway: freeAddress(t), ops: freeAddress(t),
		redis: backing.StartProxy(t, s.redis.Addr), zookeeper: backing.StartProxy(t, s.zookeeper.Addr),
	}
	n.links = newCrossing(t, n.gateway)
	n.scrape = s.net.add(n.id+":9310", n.ops)
	s.net.add(n.links.address, n.gateway) // probes come another way
	s.net.add(n.id+":3000", n.device)     // a probe goes there, see startExporters
	s.net.add(n.id+":8008", n.websocket)
	var own []string
	if i == 1 {
		own = []string{"push.unicast_rate=" + unicastRate}
	}
	n.process = newProcess(t, n.id, fanfare, settings("node", shipped(t, "fanfare/cluster/node.yaml"), append(append(s.common(n.redis, n.zookeeper), own...),
		"node.id="+n.id, "node.public_ip="+n.id,
		"node.listen.device="+n.device, "node.listen.websocket="+n.websocket, "node.listen.gateway="+n.gateway, "node.listen.ops="+n.ops, "node.listen.admin=",
		"node.advertise.device="+n.device, "node.advertise.websocket="+n.websocket, "node.advertise.gateway="+n.links.address, "node.advertise.ops="+n.id+":9310",
		"security.private_key_file="+s.secrets+"/fanfare/private.pem", "push.drain_timeout=1s",
		"limits.min_heartbeat=1s")...)...) // for devices that ask for it: minutes of silence are too long for a test
	return n
}

func (s *stack) newAllocator(t *testing.T, i int) *allocator {
	t.Helper()
	a := &allocator{
		id: fmt.Sprintf("alloc-%d", i+1), address: freeAddress(t),
		redis: backing.StartProxy(t, s.redis.Addr), zookeeper: backing.StartProxy(t, s.zookeeper.Addr),
	}
	a.scrape = s.net.add(a.id+":9999", a.address)
	a.process = newProcess(t, a.id, fanfare, settings("alloc", shipped(t, "fanfare/cluster/alloc.yaml"), append(s.common(a.redis, a.zookeeper),
		"node.id="+a.id, "alloc.listen="+a.address,
		"api.tokens_file="+s.secrets+"/fanfare/api-tokens")...)...)
	return a
}

// ready tells why a process of the program does not serve; nothing if it does.
func ready(address string) string {
	code, text, err := fetch(address, "/-/ready")
	if err != nil {
		return err.Error()
	}
	return unless(code == http.StatusOK, "%d: %s", code, text)
}

// awaitNode waits until a node that was started serves again.
func (s *stack) awaitNode(t *testing.T, n *node) {
	t.Helper()
	eventually(t, n.id+" serves", func() string { return ready(n.ops) })
}
