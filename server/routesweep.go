package server

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/store"
)

// Bounds of the sweeps where the options say nothing.
const (
	defaultSweepEvery = time.Hour
	defaultSweepRate  = 5000
	// goneLease keeps the other nodes from looking for the routes of the same dead node.
	// It is not much longer than they need to see that it is dead: it may come back and
	// die once more.
	goneLease = 10 * time.Second
	// newRoute is the age up to which a route to a node that is not known is let be,
	// unless the node was seen to vanish since: the registry may be about to tell of it.
	newRoute = 10 * time.Second
)

// sweepIn is the time to the next regular sweep, different on each node.
func (n *Node) sweepIn() time.Duration {
	every := n.opt.SweepEvery
	if every <= 0 {
		every = defaultSweepEvery
	}
	return every/2 + rand.N(every)
}

// lookAfterRoutes sweeps for stale routes when that is wanted, after a node vanished
// and now and then, until the node stops.
func (n *Node) lookAfterRoutes() {
	ctx, cancel := n.life()
	defer cancel()
	regular := time.NewTimer(n.sweepIn())
	defer regular.Stop()
	gone := time.NewTimer(time.Hour)
	gone.Stop()
	defer gone.Stop()
	again := time.NewTicker(dropRetry)
	defer again.Stop()
	for {
		select {
		case <-n.quit:
			return
		case <-n.keeper.sweeping:
		case <-again.C: // a sweep that failed is still wanted
		case <-n.keeper.vanished:
			gone.Reset(deadGrace + rand.N(time.Second))
			continue
		case <-gone.C:
			if !n.takeGone() {
				gone.Reset(dropRetry)
				continue
			}
		case <-regular.C:
			regular.Reset(n.sweepIn())
			n.keeper.wantResync() // for what nobody told this node, such as a kick that was lost
			if taken, err := n.lease("sweep:all", n.sweepIn()/2); err != nil || !taken {
				continue
			}
			n.keeper.wantSweep(sweepAll)
		}
		n.sweepWanted(ctx)
	}
}

func (k *keeper) wantSweep(kind sweepKind) {
	k.mu.Lock()
	k.sweep = max(k.sweep, kind)
	k.mu.Unlock()
	poke(k.sweeping)
}

// sweepWanted does the sweep that is wanted, if one is. One that fails stays wanted.
func (n *Node) sweepWanted(ctx context.Context) {
	k := &n.keeper
	k.mu.Lock()
	kind := k.sweep
	k.sweep = sweepNone
	k.mu.Unlock()
	if kind == sweepNone || n.sweepRoutes(ctx, kind) {
		return
	}
	k.mu.Lock()
	k.sweep = max(k.sweep, kind)
	k.mu.Unlock()
}

// takeGone wants a sweep for the routes of nodes that vanished, on one node of those
// left. It is false if that cannot be told now.
func (n *Node) takeGone() (ok bool) {
	k := &n.keeper
	k.mu.Lock()
	gone := k.gone
	k.gone = nil
	k.mu.Unlock()
	for i, gateway := range gone {
		taken, err := false, n.registryErr()
		if err == nil && n.dead(gateway) {
			taken, err = n.lease("sweep:"+gateway, goneLease)
		}
		if err != nil {
			k.mu.Lock()
			k.gone = append(k.gone, gone[i:]...)
			k.mu.Unlock()
			return false
		}
		if taken {
			k.wantSweep(sweepAll) // which finds those of the others too
			return true
		}
	}
	return true
}

// lease takes a lease; it is an error if nobody knows who has it.
func (n *Node) lease(name string, ttl time.Duration) (taken bool, err error) {
	if err = n.storeErr(); err != nil {
		return false, err
	}
	err = n.ask(exporter.StoreLease, func(ctx context.Context) (err error) {
		taken, err = n.opt.Store.Lease(ctx, name, ttl)
		return err
	})
	return taken, err
}

// sweepRoutes takes stale routes offline: those to connections that this node does not
// have, and with sweepAll those to nodes that are gone. It is false if it is to be done
// again.
func (n *Node) sweepRoutes(ctx context.Context, kind sweepKind) (done bool) {
	if n.place.Address == "" {
		return true
	}
	if n.storeErr() != nil {
		return false
	}
	rate := n.opt.SweepRate
	if rate <= 0 {
		rate = defaultSweepRate
	}
	began := time.Now()
	n.keeper.probed = make(map[string]bool)
	report, err := n.opt.Store.Sweep(ctx, rate, n.place.PublicIP, func(user string, r store.Route) bool {
		return n.stale(user, r, kind)
	})
	if ctx.Err() != nil {
		return true
	}
	result := exporter.ResultOK
	if err != nil {
		result = exporter.ResultError
	}
	n.metrics.StoreDuration(exporter.StoreSweep, result).Observe(time.Since(began).Seconds())
	n.metrics.RouteSweeps(err == nil).Inc()
	if err != nil {
		n.log.Warn("the sweep for stale routes did not come to its end; it is done again", "err", err)
		return false
	}
	n.metrics.RoutesSweptAt.SetToCurrentTime()
	n.log.Info("stale routes were swept", "routes", report.Routes, "stale", report.Stale,
		"taken_off_online_list", report.Unlisted, "took", time.Since(began).Round(time.Millisecond))
	return true
}

// stale tells whether a route leads nowhere.
func (n *Node) stale(user string, r store.Route, kind sweepKind) bool {
	if !r.Online {
		return false
	}
	if r.Address == n.place.Address {
		// Asked in this order: a connection goes from the first to the second.
		if n.binding.has(r.Connection) || n.has(user, &r) || n.othersRoute(&r) {
			return false
		}
		n.metrics.RoutesStale(exporter.StaleConnection).Inc()
		return true
	}
	young := time.Since(r.Since) < newRoute && !n.keeper.wasLeft(&r)
	if kind != sweepAll || young || !n.dead(r.Address) || !n.keeper.hasLeft(r.Address) && n.answers(r.Address) {
		return false
	}
	n.metrics.RoutesStale(exporter.StaleNode).Inc()
	return true
}

// leftMemory is how long it is remembered that a gateway vanished.
const leftMemory = time.Hour

// forgetLeft forgets gateways that are back or vanished long ago. The caller holds mu.
func (k *keeper) forgetLeft(present map[string]bool) {
	if k.left == nil {
		k.left = make(map[string]time.Time)
	}
	maps.DeleteFunc(k.left, func(gateway string, at time.Time) bool {
		return present[gateway] || time.Since(at) > leftMemory
	})
}

// wasLeft reports whether the node of a route was seen to vanish after the route was
// written.
func (k *keeper) wasLeft(r *store.Route) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return r.Since.Before(k.left[r.Address])
}

// hasLeft reports whether the node at a gateway was seen to vanish.
func (k *keeper) hasLeft(gateway string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, left := k.left[gateway]
	return left
}

const (
	// probeTime is how long a gateway that the registry never named has to answer.
	probeTime = 500 * time.Millisecond
	// maxProbes bounds how many are asked in one sweep; the routes of more are left.
	maxProbes = 1000
)

// answers reports whether something listens at a gateway that the registry never
// named. Then the registry is not that of the nodes which share this store, and
// nothing it does not know is to be taken for dead. The sweep's goroutine calls it.
func (n *Node) answers(gateway string) bool {
	answered, asked := n.keeper.probed[gateway]
	if asked || len(n.keeper.probed) >= maxProbes {
		return answered || !asked
	}
	conn, err := net.DialTimeout("tcp", gateway, probeTime)
	if answered = err == nil; answered {
		_ = conn.Close()
		n.log.Warn("a gateway answers that the registry does not know; routes to it are left alone: are all nodes in one namespace of one registry?", "gateway", gateway)
	}
	n.keeper.probed[gateway] = answered
	return answered
}

// othersRoute reports whether a route to this node's address is of another node that the
// registry knows: two announce one address, which is a mistake, but no reason to take
// the devices of the other for gone.
func (n *Node) othersRoute(r *store.Route) bool {
	if n.opt.Registry == nil || r.Node == "" || r.Node == n.opt.ID {
		return false
	}
	peers, _ := n.opt.Registry.Peers()
	return slices.ContainsFunc(peers, func(p cluster.Peer) bool { return p.ID == r.Node })
}
