package cluster

import (
	"context"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/store"
)

// dropQueue is how many stale routes may wait to be taken offline. The next stays for
// whoever meets it again, or for the sweep.
const dropQueue = 4096

// newRoute is the age up to which a route to a node that is not known is let be: the
// registry may be about to tell of the node.
const newRoute = 2 * time.Second

// staleNode is for a route to a node that is gone. While the registry is away it may be
// of one that came since.
func (r *Router) staleNode(user string, route store.Route) {
	if r.directory.frozen() || r.options.Now().Sub(route.Since) < newRoute {
		return
	}
	r.stale(exporter.StaleNode, user, route)
}

// stale counts a route that led nowhere and takes it offline in the background, unless
// its user has come back meanwhile.
func (r *Router) stale(kind exporter.StaleRoute, user string, route store.Route) {
	r.options.Metrics.RoutesStale(kind).Inc()
	_ = r.enqueue(&r.drops, lookup{user: user, route: &route})
}

func (r *Router) staleConnections(user string, routes []store.Route) {
	for _, route := range routes {
		r.stale(exporter.StaleConnection, user, route)
	}
}

// dropAll takes routes offline that still belong to the connection that is not there.
func (r *Router) dropAll(chunk []lookup) {
	for _, l := range chunk {
		r.drop(l.user, *l.route)
		r.tasks.Done()
	}
}

func (r *Router) drop(user string, route store.Route) {
	ctx, cancel := context.WithTimeout(context.Background(), r.options.Timeout)
	defer cancel()
	start, result := time.Now(), exporter.ResultOK
	if _, err := r.options.Store.DropRoute(ctx, user, route); err != nil {
		result = exporter.ResultError
		if times := r.dropFailed.Due(r.options.Now()); times > 0 {
			r.options.Logger.Warn("stale routes are not taken offline; whoever meets them next or the sweep will", "err", err, "times", times)
		}
	}
	r.options.Metrics.StoreDuration(exporter.StoreDropRoute, result).Observe(time.Since(start).Seconds())
}
