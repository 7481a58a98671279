package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// Node is one push node. It implements [cluster.Member].
type Node struct {
	opt      Options
	log      *slog.Logger
	metrics  *exporter.Metrics
	hub      *hub
	wsPolicy wsPolicy
	since    time.Time // as operators see it
	born     time.Time // zero of clock

	listeners []*listener
	capacity  int // device connections

	rsa, store *pool
	tasks      sync.WaitGroup // readers, flushers, jobs, broadcasts
	casts      broadcasts     // those that run
	flow       *flow          // of pushes to single users; nil without a limit
	outbound   atomic.Int64   // bytes waiting on all connections
	pushes     atomic.Uint32  // see nextSession
	connIDs    atomic.Uint64
	gateways   gateways
	http       httpProxy

	place      place
	binding    bindingSet // connections whose route is written and that are not in the hub yet
	keeper     keeper
	membership membership
	bindFailed exporter.Seldom
	dropFailed exporter.Seldom
	kickFailed exporter.Seldom
	saveFailed exporter.Seldom
	loadFailed exporter.Seldom
	draining   drainRun
	canary     canary

	deviceStreams, gatewayStreams streamEnv

	mu       sync.Mutex
	state    nodeState
	quit     chan struct{} // closed by Stop
	ended    chan struct{} // closed when nothing runs any more
	services sync.WaitGroup
}

type nodeState int

const (
	made nodeState = iota
	serving
	draining
	stopped
)

// New checks the options, fills in what may be left out and binds the listeners.
// The error names the address or option that is wrong. A node that was not started
// must still be stopped.
func New(opt Options) (*Node, error) {
	if err := opt.validate(); err != nil {
		return nil, fmt.Errorf("node options: %w", err)
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	if opt.ID == "" {
		opt.ID = "node-" + hex.EncodeToString(random[4:])
	}
	n := &Node{
		opt: opt, log: opt.Logger.With("node", opt.ID), metrics: opt.Metrics, hub: newHub(), since: time.Now().UTC(), born: time.Now(),
		wsPolicy: wsPolicy{Path: opt.WebSocketPath, Origins: opt.AllowedOrigins},
		quit:     make(chan struct{}), ended: make(chan struct{}),
	}
	if opt.Limits.UnicastRate > 0 {
		n.flow = newFlow(n)
	}
	n.deviceStreams = streamEnv{tasks: &n.tasks, limit: opt.Limits.OutboundBytes, total: &n.outbound}
	n.gatewayStreams = streamEnv{tasks: &n.tasks, limit: gatewayOutbound, total: &n.outbound}
	// Ids go on where no earlier life of the node has been, so that a route of that
	// life is never taken for one of this.
	n.connIDs.Store(uint64(binary.BigEndian.Uint32(random[:4])) << 32)
	n.capacity = n.capacityOf(opt.Limits.Connections)
	if err := n.listen(); err != nil {
		n.closeListeners()
		return nil, err
	}
	n.place = n.findPlace()
	n.keeper.init()
	n.draining.done = make(chan struct{})
	n.canary = newCanary()
	l, m := opt.Limits, opt.Metrics
	n.rsa = newPool(l.RSAWorkers, 1, l.RSAQueue, &n.tasks, m.PoolQueue(exporter.PoolRSA), m.PoolRejected(exporter.PoolRSA))
	n.store = newPool(l.StoreWorkers, l.StoreWorkers, l.StoreQueue, &n.tasks, m.PoolQueue(exporter.PoolStore), m.PoolRejected(exporter.PoolStore))
	return n, nil
}

// Start serves. It returns at once.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != made {
		return errors.New("node was started before")
	}
	n.state = serving
	for _, l := range n.listeners {
		n.services.Go(l.serve)
	}
	n.services.Go(n.sweep)
	n.services.Go(n.keep)
	n.services.Go(n.lookAfterRoutes)
	n.services.Go(n.tellRegistry)
	if n.opt.Canary {
		n.services.Go(n.keepCanary)
	}
	n.log.Info("node is serving", "device", n.address(kindDevice), "websocket", n.address(kindWebSocket),
		"gateway", n.address(kindGateway), "capacity", n.capacity)
	return nil
}

// Stop closes listeners and connections and waits until nothing of the node runs,
// or until ctx ends. Further calls wait as well.
func (n *Node) Stop(ctx context.Context) error {
	n.mu.Lock()
	first := n.state != stopped
	n.state = stopped
	if first {
		close(n.quit)
		go n.end()
	}
	n.mu.Unlock()
	select {
	case <-n.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("node %s is still busy: %w", n.opt.ID, context.Cause(ctx))
	}
}

// end closes everything that is open and waits until nothing runs any more.
func (n *Node) end() {
	defer close(n.ended)
	n.closeListeners()
	n.services.Wait()
	n.gateways.closeAll()
	n.casts.wait() // they count whom they did not come to
	var conns []*conn
	for shard := range hubShards {
		conns = n.hub.open(shard, conns[:0])
		for _, c := range conns {
			c.close(protocol.CloseShutdown, false)
		}
	}
	n.tasks.Wait()
	n.rsa.stop()
	n.store.stop()
	n.measure(&slowCounts{})
}

// begin starts a task that nothing else keeps Stop from overtaking; false once the
// node is stopping. The caller calls tasks.Done.
func (n *Node) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == stopped {
		return false
	}
	n.tasks.Add(1)
	return true
}

// Info implements [cluster.Member].
func (n *Node) Info() cluster.Info {
	n.mu.Lock()
	state := cluster.Serving
	if n.state >= draining {
		state = cluster.Draining
	}
	n.mu.Unlock()
	return cluster.Info{
		ID: n.opt.ID, State: state, Version: n.opt.Version, Since: n.since,
		Device:    n.advertised(kindDevice, n.opt.Advertise.Device),
		WebSocket: n.webSocketURL(),
		Gateway:   n.advertised(kindGateway, n.opt.Advertise.Gateway),
		Ops:       n.opt.Ops, Weight: n.opt.Weight, Connections: n.hub.devices(), Users: int(n.hub.users.Load()),
		Canary: n.hub.hadCanary.Load(),
	}
}

// webSocketURL is where browsers connect to.
func (n *Node) webSocketURL() string {
	address := n.advertised(kindWebSocket, n.opt.Advertise.WebSocket)
	if address == "" {
		return ""
	}
	scheme := "ws://"
	if n.opt.TLS != nil {
		scheme = "wss://"
	}
	return scheme + address + n.opt.WebSocketPath
}

// advertised is the configured address, or the bound one with an unspecified host
// replaced by one that others can reach.
func (n *Node) advertised(k kind, configured string) string {
	if configured != "" {
		return configured
	}
	bound, ok := n.Addr(k).(*net.TCPAddr)
	if !ok {
		return ""
	}
	host := bound.IP.String()
	if bound.IP.IsUnspecified() {
		host = HostAddress()
	}
	return net.JoinHostPort(host, strconv.Itoa(bound.Port))
}

// HostAddress is the first IPv4 address of this machine that is not loopback, which
// is how MPush finds its own, or 127.0.0.1 if there is none.
func HostAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

// background runs job in the store pool, or in a goroutine of its own when the pool
// is full: it must not be lost, and the caller must not wait.
func (n *Node) background(lane uint64, job func()) {
	if !n.store.submit(lane, job) {
		n.tasks.Go(job)
	}
}

// clock is the time since the node was made. Setting the system's clock does not move
// it, or all connections would seem silent for as long as it was moved.
func (n *Node) clock() time.Duration { return time.Since(n.born) }

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// connName is a connection id as it is shown and stored.
func connName(id uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], id)
	return hex.EncodeToString(b[:])
}
