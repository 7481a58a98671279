package exporter

import "github.com/prometheus/client_golang/prometheus"

// RouterMetrics are the instruments of what finds the node of a user.
type RouterMetrics struct {
	retried [numResults]prometheus.Counter
}

func (m *RouterMetrics) addRouter(b builder) {
	retried := b.counter("pushes_retried_total",
		"Pushes that were handed over a second time because the user had moved or the first node never got them, by the result of that.", "result")
	for r := range Result(numResults) {
		m.retried[r] = retried.WithLabelValues(r.String())
	}
}

// PushesRetried counts second attempts of pushes.
func (m *RouterMetrics) PushesRetried(r Result) prometheus.Counter {
	return m.retried[clamp(r, numResults)]
}
