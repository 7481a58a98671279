package server

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/store"
)

// Bounds of the sweeps where the options say nothing.
const (
	defaultSweepEvery = time.Hour
	defaultSweepRate  = 5000
	// goneLease keeps the other nodes from looking for the routes of the same dead node.
	goneLease = time.Minute
	// newRoute is the age up to which a route to a node that is not known is let be:
	// the registry may be about to tell of the node.
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

// sweepGone looks for the routes of nodes that vanished, on one node of those left.
func (n *Node) sweepGone(ctx context.Context) {
	n.keeper.mu.Lock()
	gone := n.keeper.gone
	n.keeper.gone = nil
	n.keeper.mu.Unlock()
	for _, gateway := range gone {
		if n.dead(gateway) && n.lease(ctx, "sweep:"+gateway, goneLease) {
			n.sweepRoutes(ctx, sweepAll, "")
			return // which found those of the others too
		}
	}
}

// lease takes a lease; a store that does not answer is as good as a lease of somebody else.
func (n *Node) lease(_ context.Context, name string, ttl time.Duration) (taken bool) {
	err := n.ask(exporter.StoreLease, func(ctx context.Context) (err error) {
		taken, err = n.opt.Store.Lease(ctx, name, ttl)
		return err
	})
	return err == nil && taken
}

// sweepRoutes takes stale routes offline: those to connections that this node does not
// have, and with sweepAll those to nodes that are gone. lease, if given for all, keeps
// others from doing the same.
func (n *Node) sweepRoutes(ctx context.Context, kind sweepKind, lease string) {
	if kind == sweepNone || n.storeErr() != nil || n.place.Address == "" {
		return
	}
	if kind == sweepAll && lease != "" && !n.lease(ctx, "sweep:"+lease, n.sweepIn()/2) {
		return
	}
	rate := n.opt.SweepRate
	if rate <= 0 {
		rate = defaultSweepRate
	}
	began := time.Now()
	report, err := n.opt.Store.Sweep(ctx, rate, n.place.PublicIP, func(user string, r store.Route) bool {
		return n.stale(user, r, kind)
	})
	if ctx.Err() != nil {
		return
	}
	result := exporter.ResultOK
	if err != nil {
		result = exporter.ResultError
	}
	n.metrics.StoreDuration(exporter.StoreSweep, result).Observe(time.Since(began).Seconds())
	n.metrics.RouteSweeps(err == nil).Inc()
	if err != nil {
		n.log.Warn("the sweep for stale routes did not come to its end", "err", err)
		return
	}
	n.metrics.RoutesSweptAt.SetToCurrentTime()
	n.log.Info("stale routes were swept", "routes", report.Routes, "stale", report.Stale,
		"taken_off_online_list", report.Unlisted, "took", time.Since(began).Round(time.Millisecond))
}

// stale tells whether a route leads nowhere.
func (n *Node) stale(user string, r store.Route, kind sweepKind) bool {
	if !r.Online {
		return false
	}
	if r.Address == n.place.Address {
		// Asked in this order: a connection goes from the first to the second.
		if n.binding.has(r.Connection) || n.bound(user, r.Connection) != nil {
			return false
		}
		n.metrics.RoutesStale(exporter.StaleConnection).Inc()
		return true
	}
	if kind != sweepAll || time.Since(r.Since) < newRoute || !n.dead(r.Address) {
		return false
	}
	n.metrics.RoutesStale(exporter.StaleNode).Inc()
	return true
}
