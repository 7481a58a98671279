package server_test

import (
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// countPush is everything that is counted and observed for one push to one device, from
// the entry point's books to the ack.
func countPush(m *exporter.Metrics) {
	m.Accepted(exporter.SourceAPI, false).Inc()
	m.MessagesInFlight.Inc()
	m.DeliveriesInFlight.Add(1)
	for _, s := range protocol.Stages() {
		m.StageDuration(s).Observe(0.0004)
	}
	m.Deliveries(protocol.OutcomeAcked).Inc()
	m.DeliveriesInFlight.Dec()
	m.DeliveryDuration(protocol.AckAuto).Observe(0.002)
	m.Messages(protocol.OutcomeAcked).Inc()
	m.MessagesInFlight.Dec()
}

// TestCountingTakesNoMemory: what is on the way of every push must not make garbage.
func TestCountingTakesNoMemory(t *testing.T) {
	m := exporter.New(prometheus.NewRegistry())
	if allocs := testing.AllocsPerRun(1000, func() { countPush(m) }); allocs != 0 {
		t.Errorf("a push takes %v allocations for its metrics", allocs)
	}
}

// BenchmarkMetricsOfPush tells which part of a push's time its metrics are. A push is
// one with a place in the books to a device in this process, so the device's part is in
// the whole.
func BenchmarkMetricsOfPush(b *testing.B) {
	n := servertest.Start(b)
	device := n.Dial(b, "device", "alice")
	var reading sync.WaitGroup
	reading.Go(func() { receiveAll(device) })
	b.ResetTimer()
	for range b.N {
		p := cluster.Push{Content: make([]byte, 100), Ack: protocol.AckAuto}
		servertest.Outcome(b, n.Send(b, p, "alice"))
	}
	b.StopTimer()
	whole := b.Elapsed()
	began := time.Now()
	for range b.N {
		countPush(n.Metrics)
	}
	metrics := time.Since(began)
	b.ReportMetric(float64(metrics.Nanoseconds())/float64(b.N), "metrics-ns/op")
	b.ReportMetric(100*metrics.Seconds()/whole.Seconds(), "metrics-%")
	_ = device.Close()
	reading.Wait()
}
