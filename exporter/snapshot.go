package exporter

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/fanfare-push/fanfare/protocol"
)

// Snapshot is a reading of the numbers that the console shows. Counters are
// totals since the start of the process.
type Snapshot struct {
	Connections        [protocol.NumTransports]int64 // open now, by [protocol.Transport]
	Bound              map[protocol.ClientType]int64 // bound now, with all four classes
	Opened             uint64                        // connections accepted
	Closed             uint64                        // connections ended
	Accepted           uint64                        // messages accepted, counted per target
	Messages           [protocol.NumOutcomes]uint64  // messages ended, by [protocol.Outcome]
	Deliveries         [protocol.NumOutcomes]uint64  // deliveries ended, by [protocol.Outcome]
	DeliveryDuration   Buckets                       // over all ack modes
	MessagesInFlight   int64                         // messages that have not ended
	DeliveriesInFlight int64                         // deliveries that have not ended
	Slow               [NumSlowOver]int64            // slow connections, by [SlowOver]
	OutboundQueueBytes int64                         // bytes that wait for devices
}

// Snapshot reads the numbers back. It costs about twenty microseconds and is meant to
// be called about once a second. The numbers are read one after the other, not at
// one instant.
func (m *Metrics) Snapshot() Snapshot {
	s := Snapshot{
		Bound:              make(map[protocol.ClientType]int64, len(clientTypes)),
		MessagesInFlight:   gaugeValue(m.MessagesInFlight),
		DeliveriesInFlight: gaugeValue(m.DeliveriesInFlight),
		OutboundQueueBytes: gaugeValue(m.OutboundQueueBytes),
		DeliveryDuration:   readBuckets(m.deliveryDuration[:]),
	}
	for t := range s.Connections {
		s.Connections[t] = gaugeValue(m.connections[t])
		s.Opened += counterValue(m.opened[t])
		for _, c := range m.closed[t][1:] { // 0 is the child of another reason again
			s.Closed += counterValue(c)
		}
	}
	for i, t := range clientTypes {
		s.Bound[t] = gaugeValue(m.bound[i])
	}
	for _, kinds := range m.accepted {
		s.Accepted += counterValue(kinds[0]) + counterValue(kinds[1])
	}
	for _, o := range protocol.Outcomes() {
		s.Messages[o] = counterValue(m.messages[o])
		s.Deliveries[o] = counterValue(m.deliveries[o])
	}
	for o := range s.Slow {
		s.Slow[o] = gaugeValue(m.slow[o])
	}
	return s
}

// Buckets are the cumulative buckets of a histogram. Both slices have the same
// length; the last bound is +Inf, so the last count is that of all observations.
type Buckets struct {
	UpperBounds []float64 // seconds, rising
	Counts      []uint64  // observations up to and with the bound
}

// Since is what was observed after the earlier reading old of the same histogram.
// The zero Buckets stand for the start of the process.
func (b Buckets) Since(old Buckets) Buckets {
	d := Buckets{UpperBounds: b.UpperBounds, Counts: append([]uint64(nil), b.Counts...)}
	for i := range min(len(d.Counts), len(old.Counts)) {
		d.Counts[i] -= min(old.Counts[i], d.Counts[i])
	}
	return d
}

// Quantile estimates the q-quantile in seconds, as histogram_quantile of PromQL
// does: linearly within the bucket it falls in, and the highest finite bound for
// what is above that. ok is false when nothing was observed. q is from 0 to 1.
func (b Buckets) Quantile(q float64) (seconds float64, ok bool) {
	if len(b.Counts) == 0 || b.Counts[len(b.Counts)-1] == 0 {
		return 0, false
	}
	rank := q * float64(b.Counts[len(b.Counts)-1])
	low, below := 0.0, uint64(0)
	for i, bound := range b.UpperBounds {
		count := b.Counts[i]
		if math.IsInf(bound, 1) {
			break
		}
		if float64(count) >= rank && count > below {
			return low + (bound-low)*(rank-float64(below))/float64(count-below), true
		}
		low, below = bound, count
	}
	return low, true
}

// readBuckets adds up histograms that have the same bounds.
func readBuckets(observers []prometheus.Observer) Buckets {
	var sum Buckets
	for _, o := range observers {
		h := read(o.(prometheus.Metric)).GetHistogram()
		if sum.Counts == nil {
			sum = emptyBuckets(h)
		}
		for i, b := range h.GetBucket() {
			sum.Counts[i] += b.GetCumulativeCount()
		}
		sum.Counts[len(sum.Counts)-1] += h.GetSampleCount()
	}
	return sum
}

func emptyBuckets(h *dto.Histogram) Buckets {
	n := len(h.GetBucket()) + 1
	b := Buckets{UpperBounds: make([]float64, 0, n), Counts: make([]uint64, n)}
	for _, bucket := range h.GetBucket() {
		b.UpperBounds = append(b.UpperBounds, bucket.GetUpperBound())
	}
	b.UpperBounds = append(b.UpperBounds, math.Inf(1))
	return b
}

func counterValue(c prometheus.Counter) uint64 { return uint64(read(c).GetCounter().GetValue()) }

func gaugeValue(g prometheus.Gauge) int64 { return int64(read(g).GetGauge().GetValue()) }

// read takes the value out of an instrument. Write fails only for invalid metrics
// of other kinds; what it leaves empty reads as zero.
func read(m prometheus.Metric) *dto.Metric {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		return &dto.Metric{}
	}
	return &out
}
