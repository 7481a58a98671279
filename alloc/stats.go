package alloc

import (
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// stats is one reading for the console: what is now, and what happened per second
// since the reading before.
type stats struct {
	At          int64              `json:"at"` // ms since 1970
	Connections map[string]int64   `json:"connections"`
	Bound       map[string]int64   `json:"bound"`
	Accepted    float64            `json:"accepted"`
	Deliveries  float64            `json:"deliveries"`
	Outcomes    map[string]float64 `json:"outcomes"` // messages
	Latency     *latency           `json:"latency_ms"`
	Opened      float64            `json:"opened"`
	Closed      float64            `json:"closed"`
	InFlight    int64              `json:"in_flight"`
	Slow        int64              `json:"slow"` // connections whose bytes wait for more than 1 s
}

// latency is from accepting a message until it was sent or acknowledged, for the
// deliveries since the reading before, in milliseconds.
type latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
}

// difference makes the stats of two readings that are elapsed apart.
func difference(old, now exporter.Snapshot, at time.Time, elapsed time.Duration) stats {
	s := stats{
		At:          at.UnixMilli(),
		Connections: make(map[string]int64, protocol.NumTransports),
		Bound:       make(map[string]int64),
		Accepted:    perSecond(old.Accepted, now.Accepted, elapsed),
		Outcomes:    make(map[string]float64, protocol.NumOutcomes),
		Latency:     percentiles(now.DeliveryDuration.Since(old.DeliveryDuration)),
		Opened:      perSecond(old.Opened, now.Opened, elapsed),
		Closed:      perSecond(old.Closed, now.Closed, elapsed),
		InFlight:    now.MessagesInFlight,
		Slow:        now.Slow[exporter.Over1s],
	}
	for t, n := range now.Connections {
		s.Connections[protocol.Transport(t).String()] = n
	}
	for _, t := range protocol.ClientTypes() {
		s.Bound[t.String()] = now.Bound[t]
	}
	for _, o := range protocol.Outcomes() {
		s.Outcomes[o.String()] = perSecond(old.Messages[o], now.Messages[o], elapsed)
		s.Deliveries += perSecond(old.Deliveries[o], now.Deliveries[o], elapsed)
	}
	return s
}

// perSecond is the rate of a counter. A counter that fell began anew.
func perSecond(old, now uint64, elapsed time.Duration) float64 {
	if now < old {
		old = 0
	}
	return float64(now-old) / max(elapsed, time.Millisecond).Seconds()
}

// percentiles are nil if nothing was delivered.
func percentiles(b exporter.Buckets) *latency {
	var l latency
	for _, p := range []struct {
		q   float64
		dst *float64
	}{{0.5, &l.P50}, {0.9, &l.P90}, {0.99, &l.P99}} {
		seconds, ok := b.Quantile(p.q)
		if !ok {
			return nil
		}
		*p.dst = seconds * 1000
	}
	return &l
}
