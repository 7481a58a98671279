package exporter

import "github.com/prometheus/client_golang/prometheus"

// storeMetrics are about what the nodes of a cluster share. Their durations are in
// [Metrics.StoreDuration].
type storeMetrics struct {
	// KicksListening is 1 while the node hears the kicks of other nodes.
	KicksListening prometheus.Gauge
	// KicksJoined counts how often it began to hear them; each time but the first
	// follows an interruption.
	KicksJoined prometheus.Counter

	storeUnreadable [NumStoreValues]prometheus.Counter
}

func (m *Metrics) addStore(b builder) {
	unreadable := b.counter("store_unreadable_total", "Values in the store that could not be read and were taken for absent.", "kind")
	for v := range StoreValue(NumStoreValues) {
		m.storeUnreadable[v] = unreadable.WithLabelValues(v.String())
	}
	m.KicksListening = b.gauge("kicks_listening", "Whether this node hears the kicks that other nodes send, 1 or 0.").WithLabelValues()
	m.KicksJoined = b.counter("kicks_joined_total", "How often this node began to hear the kicks that other nodes send.").WithLabelValues()
}

// StoreUnreadable counts values of a kind in the store that could not be read.
func (m *Metrics) StoreUnreadable(v StoreValue) prometheus.Counter {
	return m.storeUnreadable[clamp(v, NumStoreValues)]
}
