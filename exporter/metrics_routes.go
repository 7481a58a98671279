package exporter

import "github.com/prometheus/client_golang/prometheus"

// RouteMetrics are the instruments of what keeps routes true.
type RouteMetrics struct {
	// RoutesRestored counts routes that were written again after the store was away.
	RoutesRestored prometheus.Counter
	// RoutesSweptAt is when the last sweep for stale routes ended, in seconds since the
	// epoch; 0 before the first.
	RoutesSweptAt prometheus.Gauge
	// RouteDropsWaiting is how many routes could not be taken back and will be.
	RouteDropsWaiting prometheus.Gauge

	sweeps [2]prometheus.Counter
	kicks  [numDirections][2]prometheus.Counter
}

func (m *Metrics) addRoutes(b builder) {
	m.RoutesRestored = b.counter("routes_restored_total", "Routes that were written again after the store or the registry was away.").WithLabelValues()
	m.RoutesSweptAt = b.gauge("routes_sweep_timestamp_seconds", "When the last sweep for stale routes ended, seconds since the epoch; 0 before the first.").WithLabelValues()
	m.RouteDropsWaiting = b.gauge("route_drops_waiting", "Routes of ended connections that could not be taken back yet.").WithLabelValues()
	sweeps := b.counter("route_sweeps_total", "Sweeps for stale routes, by their result.", "result")
	kicks := b.counter("kicks_total", "Kicks between nodes; in: found says whether the connection was still there, out: whether it could be sent.", "direction", "result")
	for i, result := range [2]string{ResultOK.String(), ResultError.String()} {
		m.sweeps[i] = sweeps.WithLabelValues(result)
		for d := range Direction(numDirections) {
			m.kicks[d][i] = kicks.WithLabelValues(d.String(), result)
		}
	}
}

// RouteSweeps counts sweeps for stale routes.
func (m *RouteMetrics) RouteSweeps(ok bool) prometheus.Counter { return m.sweeps[failed(ok)] }

// Kicks counts kicks between nodes: sent ones by whether that worked, received ones
// by whether the connection was still there.
func (m *RouteMetrics) Kicks(d Direction, ok bool) prometheus.Counter {
	return m.kicks[clamp(d, numDirections)][failed(ok)]
}

func failed(ok bool) int {
	if ok {
		return 0
	}
	return 1
}
