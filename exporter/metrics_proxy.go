package exporter

import "github.com/prometheus/client_golang/prometheus"

// proxyMetrics are the instruments of the HTTP proxy for devices.
type proxyMetrics struct {
	// ProxyRunning is how many requests of devices are being made now.
	ProxyRunning prometheus.Gauge

	proxyRequests [numProxyResults]prometheus.Counter
	proxyDuration prometheus.Observer
}

func (m *Metrics) addProxy(b builder) {
	requests := b.counter("http_proxy_requests_total", "Requests of devices through the HTTP proxy, by how they ended.", "result")
	for r := range ProxyResult(numProxyResults) {
		m.proxyRequests[r] = requests.WithLabelValues(r.String())
	}
	m.proxyDuration = b.histogram("http_proxy_duration_seconds",
		"Time from a device's request through the HTTP proxy to its answer.", proxyBuckets()).WithLabelValues()
	m.ProxyRunning = b.gauge("http_proxy_running", "Requests of devices that the HTTP proxy is making now.").WithLabelValues()
}

// proxyBuckets reach from a service next door to the longest timeout.
func proxyBuckets() []float64 {
	return []float64{0.0025, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.99, 2.5, 4.5, 9.5, 29.5, 59.5}
}

// ProxyRequests counts requests through the HTTP proxy by how they ended.
func (m *Metrics) ProxyRequests(r ProxyResult) prometheus.Counter {
	return m.proxyRequests[clamp(r, numProxyResults)]
}

// ProxyDuration observes how long they took, in seconds.
func (m *Metrics) ProxyDuration() prometheus.Observer { return m.proxyDuration }
