// Package servertest runs real nodes in the process of a test.
package servertest

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/store"
)

// Node is a node under test with everything that belongs to it.
type Node struct {
	*server.Node
	Registry *prometheus.Registry
	Metrics  *exporter.Metrics
	Ledger   *ledger.Ledger
	Store    store.Store
	Embedded *store.Embedded // what Store is, unless the node is one of a cluster
}

// Start runs a node on free loopback ports with MPush's demo key and an embedded
// store in memory. adjust may change its options. The node stops with the test,
// which fails if it does not stop in time.
func Start(t testing.TB, adjust ...func(*server.Options)) *Node {
	t.Helper()
	embedded, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := blank()
	n.Embedded = embedded
	n.prepare(t, embedded, adjust...)
	n.start(t)
	return n
}

// blank has what a node reports to.
func blank() *Node {
	registry := prometheus.NewPedanticRegistry()
	metrics := exporter.New(registry)
	return &Node{Registry: registry, Metrics: metrics, Ledger: ledger.New(ledger.Options{Metrics: metrics})}
}

// prepare makes the node and stops it with the test.
func (n *Node) prepare(t testing.TB, shared store.Store, adjust ...func(*server.Options)) {
	t.Helper()
	n.Store = shared
	key, err := protocol.DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	opt := server.DefaultOptions()
	opt.ID, opt.Version, opt.Key = "node-1", "test", key
	opt.Listen = server.Endpoints{Device: "127.0.0.1:0", WebSocket: "127.0.0.1:0", Gateway: "127.0.0.1:0"}
	opt.MinHeartbeat = 10 * time.Second // as the recordings of MPush
	opt.Logger, opt.Metrics, opt.Store, opt.Ledger = slog.New(slog.DiscardHandler), n.Metrics, shared, n.Ledger
	for _, change := range adjust {
		change(&opt)
	}
	if n.Node, err = server.New(opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.stop(t)
		if err := shared.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (n *Node) start(t testing.TB) {
	t.Helper()
	if err := n.Node.Start(); err != nil {
		t.Fatal(err)
	}
}

func (n *Node) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// Devices lists the devices of a user that are bound, and those that the store
// remembers as offline.
func (n *Node) Devices(user string) []cluster.Device {
	devices := n.Node.Devices(user)
	all, err := n.Store.Routes(context.Background(), user)
	if err != nil {
		return devices
	}
	for _, r := range all[0] {
		known := slices.ContainsFunc(devices, func(d cluster.Device) bool { return d.ClientType == r.ClientType })
		if !known && !r.Online {
			devices = append(devices, cluster.Device{
				ClientType: r.ClientType, Node: r.Node, Since: r.Since, DeviceID: r.DeviceID,
				OSName: r.OSName, OSVersion: r.OSVersion, ClientVersion: r.ClientVersion,
			})
		}
	}
	return devices
}

// DeviceAddress is where devices of the binary protocol connect to.
func (n *Node) DeviceAddress() string { return n.Info().Device }

// WebSocketURL is where devices of the JSON protocol connect to.
func (n *Node) WebSocketURL() string { return n.Info().WebSocket }

// GatewayAddress is where back ends connect to.
func (n *Node) GatewayAddress() string { return n.Info().Gateway }

// Dial logs a device in and binds it to the user, if one is given. It is closed
// with the test.
func (n *Node) Dial(t testing.TB, device, user string, adjust ...func(*client.DeviceOptions)) *client.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	opt := client.DeviceOptions{Address: n.DeviceAddress(), DemoKey: true, DeviceID: device, OSName: "android", OSVersion: "12", ClientVersion: "1.0"}
	for _, change := range adjust {
		change(&opt)
	}
	c, err := client.Dial(ctx, opt)
	if err != nil {
		t.Fatalf("device %s: %v", device, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if user != "" {
		if err := c.Bind(ctx, user, opt.Tags, ""); err != nil {
			t.Fatalf("device %s: bind %s: %v", device, user, err)
		}
	}
	return c
}

// Tracker waits for the result of a push.
type Tracker struct {
	entry *ledger.Entry
	once  sync.Once
	done  chan cluster.Result
}

// Reached implements cluster.Tracker.
func (k *Tracker) Reached(s protocol.Stage, node string, at time.Time) { k.entry.Reached(s, node, at) }

// Progress implements cluster.Tracker.
func (k *Tracker) Progress(r cluster.Result) { k.entry.Progress(r) }

// Done implements cluster.Tracker.
func (k *Tracker) Done(r cluster.Result) {
	k.entry.Done(r)
	k.once.Do(func() { k.done <- r })
}

// Result is where the result arrives.
func (k *Tracker) Result() <-chan cluster.Result { return k.done }

// Track opens the books for a push and returns its tracker.
func (n *Node) Track(t testing.TB, p *cluster.Push, broadcast bool) *Tracker {
	t.Helper()
	entry, _, err := n.Ledger.Accept(ledger.Request{
		ID: p.ID, Source: exporter.SourceAPI, Broadcast: broadcast, Targets: 1, Digest: sha256.Sum256(p.Content), Ack: p.Ack, Received: p.Accepted,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Tracker{entry: entry, done: make(chan cluster.Result, 1)}
}

// Send pushes to a user, or to everybody if user is empty, and returns where the
// result arrives.
func (n *Node) Send(t testing.TB, p cluster.Push, user string) <-chan cluster.Result {
	t.Helper()
	if p.ID == "" {
		p.ID = t.Name() + "-" + time.Now().Format(time.RFC3339Nano)
	}
	p.Accepted = time.Now()
	k := n.Track(t, &p, user == "")
	if user == "" {
		n.Broadcast(&p, k)
	} else {
		n.Push(&p, user, k)
	}
	return k.done
}

// Outcome waits for the outcome of a push.
func Outcome(t testing.TB, done <-chan cluster.Result) cluster.Result {
	t.Helper()
	select {
	case r := <-done:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("push did not end")
		return cluster.Result{}
	}
}

// Eventually polls until ok returns true and fails the test if it does not within
// twenty seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		<-tick.C
	}
}
