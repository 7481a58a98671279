//go:build linux

package cluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

const (
	nodes      = 3
	allocators = 2
	population = 300 // devices, each with a user of its own
	secret     = "the nodes of this test share it"
)

// node is a push node with a network of its own to each part that it needs.
type node struct {
	*process
	id, device, gateway string // gateway is where back ends connect to
	announced           *gateway
	redis, zookeeper    *backing.Proxy
}

// allocator is one with a pusher that uses it and tries nothing twice.
type allocator struct {
	*process
	pusher *client.Pusher
}

// world is the whole cluster.
type world struct {
	redis      *backing.Redis
	zookeeper  *backing.ZooKeeper
	nodes      []*node
	allocators []*allocator
	crowd      *crowd
	streams    []*stream // all there were
}

// startWorld starts everything, and devices, and waits until it stands.
func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{redis: backing.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always"), zookeeper: backing.StartZooKeeper(t)}
	for i := range nodes {
		w.addNode(t, i)
	}
	for i := range allocators {
		w.addAllocator(t, i)
	}
	eventually(t, "the cluster stands", w.incomplete)
	w.crowd = gather(t, w)
	eventually(t, "all devices are connected", w.crowd.missing)
	return w
}

func nodeID(i int) string { return fmt.Sprintf("node-%d", i+1) }

func allocatorID(i int) string { return fmt.Sprintf("alloc-%d", i+1) }

// set makes the command line of a list of settings.
func set(command string, settings ...string) []string {
	args := []string{command}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	return args
}

func shared(redis, zookeeper string) []string {
	return []string{
		"store.kind=redis", "store.redis.addresses=" + redis, "store.redis.timeout=1s",
		"registry.kind=zookeeper", "registry.zookeeper.servers=" + zookeeper, "registry.zookeeper.session_timeout=2s",
		"security.gateway_secret=" + secret, "push.ack_timeout=5s", "push.route_timeout=3s",
		"canary.enabled=false", // connections are counted to the last one
	}
}

func (w *world) addNode(t *testing.T, i int) {
	t.Helper()
	n := &node{id: nodeID(i), device: backing.FreeAddress(t), gateway: backing.FreeAddress(t),
		redis: backing.StartProxy(t, w.redis.Addr), zookeeper: backing.StartProxy(t, w.zookeeper.Addr)}
	var callers []string
	for k := range nodes {
		if k != i {
			callers = append(callers, nodeID(k))
		}
	}
	for k := range allocators {
		callers = append(callers, "alloc@"+allocatorID(k))
	}
	n.announced = newGateway(t, n.gateway, callers...)
	ops := backing.FreeAddress(t)
	n.process = newProcess(t, n.id, ops, set("node", append(shared(n.redis.Addr, n.zookeeper.Addr),
		"node.id="+n.id, "node.public_ip="+fmt.Sprintf("127.0.1.%d", i+1),
		"node.listen.device="+n.device, "node.listen.websocket=", "node.listen.admin=",
		"node.listen.gateway="+n.gateway, "node.advertise.gateway="+n.announced.address, "node.listen.ops="+ops,
		"security.demo_key=true", "limits.min_heartbeat=4s", "limits.max_heartbeat=4s",
		"push.drain_timeout=10s", "push.kick_grace=1s")...)...)
	w.nodes = append(w.nodes, n)
}

func (w *world) addAllocator(t *testing.T, i int) {
	t.Helper()
	address := backing.FreeAddress(t)
	a := &allocator{process: newProcess(t, allocatorID(i), address, set("alloc", append(shared(w.redis.Addr, w.zookeeper.Addr),
		"node.id="+allocatorID(i), "alloc.listen="+address, "api.rate=0")...)...)}
	var err error
	if a.pusher, err = client.NewPusher(client.PusherOptions{URL: "http://" + address, MaxRetries: -1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.pusher.Close)
	w.allocators = append(w.allocators, a)
}

// processes are the nodes and the allocators.
func (w *world) processes() (all []*process) {
	for _, n := range w.nodes {
		all = append(all, n.process)
	}
	for _, a := range w.allocators {
		all = append(all, a.process)
	}
	return all
}

// cutPeers cuts a node off from all others and from the allocators, both ways.
func (w *world) cutPeers(n *node) {
	for _, path := range w.pathsOf(n) {
		path.Cut()
	}
}

func (w *world) healPeers(n *node) {
	for _, path := range w.pathsOf(n) {
		path.Heal()
	}
}

func (w *world) pathsOf(n *node) (paths []*backing.Proxy) {
	for _, other := range w.nodes {
		for caller, path := range other.announced.paths {
			if other == n || caller == n.id {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// incomplete tells what keeps the cluster from being whole.
func (w *world) incomplete() string {
	for _, p := range w.processes() {
		if ok, why := p.ready(); !ok {
			return p.name + " is not ready: " + strings.TrimSpace(why)
		}
	}
	for _, a := range w.allocators {
		_, list, err := a.get("/")
		for _, n := range w.nodes {
			if err != nil || !strings.Contains(list, n.device) {
				return fmt.Sprintf("%s offers devices %q, %v", a.name, list, err)
			}
		}
		if links := a.metrics().sum("fanfare_links", `state="up"`); links != nodes {
			return fmt.Sprintf("%s has %v links", a.name, links)
		}
	}
	for _, n := range w.nodes {
		if links := n.metrics().sum("fanfare_links", `state="up"`); links != nodes-1 {
			return fmt.Sprintf("%s has %v links", n.name, links)
		}
	}
	return ""
}
