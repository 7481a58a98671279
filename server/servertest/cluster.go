package servertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
	"github.com/fanfare-push/fanfare/server/store"
)

// SessionTimeout is how long a member may be silent before the others take it for dead.
const SessionTimeout = 2 * time.Second

// Cluster is some nodes in the process of a test that share a real Redis and a real
// ZooKeeper. Each reaches them, and the others, through a network of its own that the
// test can cut.
type Cluster struct {
	Redis     *backing.Redis
	ZooKeeper *backing.ZooKeeper
	Members   []*Member
}

// Member is one node of a cluster.
type Member struct {
	*Node
	Guard     *store.Guard
	ZooKeeper *cluster.ZooKeeper
	Mesh      *cluster.Mesh
	Router    *cluster.Router

	RedisNet, ZooKeeperNet *backing.Proxy // between the member and what it shares
	GatewayNet             *backing.Proxy // between the others and the member
	peers                  *dialer
}

// StartCluster starts size nodes, node-1 and so on, and waits until each sees all.
// adjust may change the options of the i-th, from 0. Everything ends with the test.
func StartCluster(t testing.TB, size int, adjust ...func(i int, o *server.Options)) *Cluster {
	t.Helper()
	c := &Cluster{Redis: backing.StartRedis(t), ZooKeeper: backing.StartZooKeeper(t)}
	for i := range size {
		c.Add(t, i, adjust...)
	}
	c.AwaitMembers(t, size)
	return c
}

// Add starts another node with the number i.
func (c *Cluster) Add(t testing.TB, i int, adjust ...func(i int, o *server.Options)) *Member {
	t.Helper()
	gateway := net.JoinHostPort("127.0.0.1", strconv.Itoa(backing.FreePort(t)))
	m := &Member{Node: blank(),
		RedisNet: backing.StartProxy(t, c.Redis.Addr), ZooKeeperNet: backing.StartProxy(t, c.ZooKeeper.Addr),
		GatewayNet: backing.StartProxy(t, gateway), peers: &dialer{open: map[net.Conn]struct{}{}},
	}
	quiet := slog.New(slog.DiscardHandler)
	redis, err := store.OpenRedis(store.RedisOptions{Mode: "single", Addresses: []string{m.RedisNet.Addr}, Timeout: time.Second, Logger: quiet, Metrics: m.Metrics})
	if err != nil {
		t.Fatal(err)
	}
	m.Guard = store.NewGuard(redis, store.GuardOptions{Every: 200 * time.Millisecond, Timeout: time.Second, Logger: quiet})
	m.ZooKeeper, err = cluster.OpenZooKeeper(cluster.ZooKeeperOptions{Servers: []string{m.ZooKeeperNet.Addr}, SessionTimeout: SessionTimeout, Metrics: m.Metrics, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.ZooKeeper.Close() })
	m.prepare(t, m.Guard, func(o *server.Options) {
		o.ID = fmt.Sprintf("node-%d", i+1)
		o.Listen.Gateway, o.Advertise.Gateway = gateway, m.GatewayNet.Addr
		o.PublicIP = fmt.Sprintf("127.0.1.%d", i+1)
		o.Registry = m.ZooKeeper
		for _, change := range adjust {
			change(i, o)
		}
	})
	m.Mesh = cluster.NewMesh(cluster.MeshOptions{Registry: m.ZooKeeper, Local: m.Node.Node, LocalID: m.Info().ID, Link: cluster.LinkOptions{
		Self: m.Info().ID, Dial: m.peers.dial, Metrics: m.Metrics, Logger: quiet}})
	t.Cleanup(func() { m.closing(t, m.Mesh.Close) })
	m.Router, err = cluster.NewRouter(cluster.RouterOptions{Members: m.Mesh, Local: m.Node.Node, Store: m.Guard, Metrics: m.Metrics, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.closing(t, m.Router.Close) })
	m.UseRouter(m.Router)
	m.start(t)
	m.closing(t, m.Join)
	t.Cleanup(func() {
		m.RedisNet.Heal()
		m.ZooKeeperNet.Heal()
		m.GatewayNet.Heal()
		m.closing(t, m.Leave)
		m.stop(t)
	})
	c.Members = append(c.Members, m)
	return m
}

// closing calls what is bounded by a context.
func (m *Member) closing(t testing.TB, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := call(ctx); err != nil {
		t.Error(err)
	}
}

// AwaitMembers waits until every member sees so many serving nodes.
func (c *Cluster) AwaitMembers(t testing.TB, size int) {
	t.Helper()
	for _, m := range c.Members {
		Eventually(t, fmt.Sprintf("%s sees %d nodes", m.Info().ID, size), func() bool { return m.Sees() == size })
	}
}

// Sees is how many serving nodes the member knows and could hand work to.
func (m *Member) Sees() (serving int) {
	members, _ := m.Mesh.List()
	for _, other := range members {
		if other.Info().State == cluster.Serving {
			serving++
		}
	}
	return serving
}

// CutPeers cuts the member off from the other nodes, in both directions.
func (m *Member) CutPeers() {
	m.GatewayNet.Cut()
	m.peers.block(true)
}

// CutTo cuts the member's own link to another one; that one's to the member stays.
func (m *Member) CutTo(other *Member) { m.peers.blockTo(other.GatewayNet.Addr) }

// HealPeers undoes CutPeers and CutTo.
func (m *Member) HealPeers() {
	m.GatewayNet.Heal()
	m.peers.block(false)
}

// dialer opens connections until it is blocked, which ends them.
type dialer struct {
	mu      sync.Mutex
	blocked bool
	cut     string // address that alone is blocked; empty: none
	open    map[net.Conn]struct{}
}

var errBlocked = errors.New("the network is cut")

func (d *dialer) dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.blocked || d.cut == address {
		_ = c.Close()
		return nil, errBlocked
	}
	for old := range d.open {
		if _, err := old.Write(nil); err != nil {
			delete(d.open, old)
		}
	}
	d.open[c] = struct{}{}
	return c, nil
}

func (d *dialer) block(blocked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.blocked = blocked
	if !blocked {
		d.cut = ""
		return
	}
	for c := range d.open {
		_ = c.Close()
	}
	clear(d.open)
}

func (d *dialer) blockTo(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = address
	for c := range d.open {
		if c.RemoteAddr().String() == address {
			_ = c.Close()
			delete(d.open, c)
		}
	}
}
