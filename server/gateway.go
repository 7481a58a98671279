package server

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// gateways are the connections of back ends and other nodes.
type gateways struct {
	router  atomic.Pointer[cluster.Router] // finds users on other nodes; nil: there are none
	bytes   atomic.Int64                   // of pushes that were not answered, and of frames that are not complete
	refused exporter.Seldom
	full    exporter.Seldom
	bad     exporter.Seldom // pushes
	links   links           // of other nodes

	mu        sync.Mutex
	open      map[*gateway]struct{}
	strangers int // of those, how many have yet to prove who they are
	closed    bool
}

const (
	// gatewayOutbound may wait for one back end: replies are small, and MPush lets 20 MB
	// wait here.
	gatewayOutbound = 20 << 20
	// gatewayInbound bounds the content of all pushes that were not answered and all
	// frames that are not complete, in bytes. A push over it is answered with a failure; a
	// frame over it closes its connection.
	gatewayInbound = 256 << 20
)

// UseRouter makes the gateway find users who are connected to other nodes. It is called
// before Start; without it the gateway serves the users of this node.
func (n *Node) UseRouter(r *cluster.Router) { n.gateways.router.Store(r) }

// accept takes over a connection, if it may be and there is room.
func (g *gateways) accept(n *Node, nc net.Conn) {
	w := &gateway{node: n, slots: make(chan struct{}, n.opt.Limits.GatewayInFlight)}
	w.stream.init(nc, w, &n.gatewayStreams)
	w.stranger.Store(!n.opt.trusts(nc.RemoteAddr()))
	if w.stranger.Load() && n.opt.GatewaySecret == "" {
		n.metrics.GatewayRefused(exporter.GatewayRefusedAddress).Inc()
		g.refused.Warn(n.log, "gateway connection refused: only loopback, private addresses and security.gateway_allow may connect",
			"remote", nc.RemoteAddr().String())
		_ = nc.Close()
		return
	}
	if !g.enter(w) {
		n.metrics.GatewayRefused(exporter.GatewayRefusedFull).Inc()
		g.full.Warn(n.log, "gateway connection refused: too many", "remote", nc.RemoteAddr().String(), "limit", n.opt.Limits.GatewayConnections)
		_ = nc.Close()
		return
	}
	if w.stranger.Load() {
		w.awaitProof()
	}
	w.read()
}

// enter makes room for a connection; false if there is none.
func (g *gateways) enter(w *gateway) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed, len(g.open) >= w.node.opt.Limits.GatewayConnections:
		return false
	case w.stranger.Load():
		if g.strangers >= maxStrangers {
			return false
		}
		g.strangers++
	}
	if g.open == nil {
		g.open = make(map[*gateway]struct{})
	}
	g.open[w] = struct{}{}
	return true
}

// leave takes out a connection that enter let in.
func (g *gateways) leave(w *gateway) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, w)
	if w.stranger.Swap(false) {
		g.strangers--
		w.node.metrics.GatewayRefused(exporter.GatewayRefusedSecret).Inc()
	}
}

func (g *gateways) closeAll() {
	g.mu.Lock()
	g.closed = true
	all := make([]*gateway, 0, len(g.open))
	for w := range g.open {
		all = append(all, w)
	}
	g.mu.Unlock()
	for _, w := range all {
		w.end(protocol.CloseShutdown, false)
	}
}
