package exporter

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CanaryMetrics are the instruments of the pushes that an entry point sends to the
// canaries of the nodes. A pair of entry point and node has series from
// [CanaryMetrics.Pair] until [CanaryMetrics.Forget].
type CanaryMetrics struct {
	from         string
	seconds      *prometheus.GaugeVec
	pushes, lost *prometheus.CounterVec
}

// CanaryPair are the instruments of one pair.
type CanaryPair struct {
	// Pushes counts those that were acknowledged or lost, Lost the latter.
	Pushes, Lost prometheus.Counter

	seconds *prometheus.GaugeVec
	labels  []string
}

// Took shows the time from the last push that came through to its ack. There is no such
// series before the first; it keeps its value while pushes are lost.
func (p CanaryPair) Took(d time.Duration) { p.seconds.WithLabelValues(p.labels...).Set(d.Seconds()) }

// NewCanaryMetrics registers the instruments of the entry point named from, a node's or
// an allocator's id. It panics if reg already has them.
func NewCanaryMetrics(reg prometheus.Registerer, from string) *CanaryMetrics {
	b := builder{reg}
	return &CanaryMetrics{
		from:    labelValue(from),
		seconds: b.gauge("canary_seconds", "Time from sending the last push to a node's own device until its ack.", "from", "to"),
		pushes:  b.counter("canary_pushes_total", "Pushes to a node's own device that were acknowledged or lost.", "from", "to"),
		lost:    b.counter("canary_lost_total", "Pushes to a node's own device that were not acknowledged in time.", "from", "to"),
	}
}

// Pair are the instruments of the pair with a node; its counters begin at zero.
func (m *CanaryMetrics) Pair(to string) CanaryPair {
	labels := m.labels(to)
	return CanaryPair{
		Pushes: m.pushes.WithLabelValues(labels...), Lost: m.lost.WithLabelValues(labels...),
		seconds: m.seconds, labels: labels,
	}
}

// Forget takes the series of a pair away.
func (m *CanaryMetrics) Forget(to string) {
	labels := m.labels(to)
	m.seconds.DeleteLabelValues(labels...)
	m.pushes.DeleteLabelValues(labels...)
	m.lost.DeleteLabelValues(labels...)
}

func (m *CanaryMetrics) labels(to string) []string { return []string{m.from, labelValue(to)} }

// labelValue is an id as the value of a label, which must be UTF-8.
func labelValue(id string) string { return strings.ToValidUTF8(id, "\uFFFD") }
