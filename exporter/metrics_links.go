package exporter

import "github.com/prometheus/client_golang/prometheus"

// LinkMetrics are the instruments of the links to other nodes.
type LinkMetrics struct {
	// LinkQueueBytes is the sum of bytes that wait for other nodes to take them.
	LinkQueueBytes prometheus.Gauge
	// LinkReconnects counts connections to other nodes that ended and were to be made again.
	LinkReconnects prometheus.Counter
	// LinkRoundTrip is the time a node takes to answer a ping.
	LinkRoundTrip prometheus.Observer

	linkStates [numLinkStates]prometheus.Gauge
}

// Links counts links to other nodes by their state.
func (m *Metrics) Links(s LinkState) prometheus.Gauge { return m.linkStates[clamp(s, numLinkStates)] }

func (m *Metrics) addLinks(b builder) {
	states := b.gauge("links", "Links to other nodes, by whether they are connected.", "state")
	for s := range LinkState(numLinkStates) {
		m.linkStates[s] = states.WithLabelValues(s.String())
	}
	m.LinkQueueBytes = b.gauge("link_queue_bytes", "Bytes of requests that wait for other nodes to take them.").WithLabelValues()
	m.LinkReconnects = b.counter("link_reconnects_total", "Connections to other nodes that ended while they were needed.").WithLabelValues()
	m.LinkRoundTrip = b.histogram("link_round_trip_seconds", "Time from a ping to another node until its answer.", storeBuckets()).WithLabelValues()
}
