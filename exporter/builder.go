package exporter

import "github.com/prometheus/client_golang/prometheus"

// prefix is what every metric of Fanfare starts with.
const prefix = "fanfare_"

// builder makes vectors and registers them.
type builder struct{ reg prometheus.Registerer }

func (b builder) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	b.reg.MustRegister(v)
	return v
}

func (b builder) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, labels)
	b.reg.MustRegister(v)
	return v
}

func (b builder) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels)
	b.reg.MustRegister(v)
	return v
}

// The bounds of the histograms, in seconds. None is a whole number: Prometheus 3
// renames le="1" to le="1.0" and Prometheus 2 does not, so a rule that selects a
// whole number works with one of them only. All have 0.25, the bound of the
// objectives, so that a rule can select it everywhere.

// deliveryBuckets reach from a device in the same room to the longest ack timeout.
func deliveryBuckets() []float64 {
	return []float64{0.0005, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.99, 2.5, 4.5, 9.5, 29.5, 59.5}
}

// stageBuckets start lower: most stages are steps within one process.
func stageBuckets() []float64 {
	return []float64{0.00005, 0.00025, 0.0005, 0.0025, 0.01, 0.05, 0.25, 0.99, 2.5, 9.5, 29.5}
}

// handshakeBuckets start at the cost of an RSA decryption.
func handshakeBuckets() []float64 {
	return []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.99, 2.5, 9.5}
}

// lifeBuckets reach from a page that is closed at once to a phone that stays for a week.
func lifeBuckets() []float64 {
	return []float64{0.25, 0.99, 4.5, 29.5, 59.5, 299.5, 899.5, 3599.5, 14399.5, 43199.5, 86399.5, 604799.5}
}

// storeBuckets reach from memory to a Redis in trouble.
func storeBuckets() []float64 {
	return []float64{0.00005, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.25, 0.99, 2.5}
}
