package exporter

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/protocol"
)

func TestSnapshotReadsTheNumbersBack(t *testing.T) {
	m := New(prometheus.NewRegistry())
	m.Connections(protocol.TCP).Set(3)
	m.Connections(protocol.WSS).Set(4)
	m.Bound(protocol.ClientMobile).Set(5)
	m.Opened(protocol.TCP).Add(10)
	m.Opened(protocol.WS).Add(20)
	m.Closed(protocol.TCP, protocol.CloseInternal).Add(2)
	m.Closed(protocol.TLS, protocol.ClosePeer).Add(1)
	m.Accepted(SourceAPI, false).Add(7)
	m.Accepted(SourceGateway, true).Add(1)
	m.Messages(protocol.OutcomeFailed).Add(2)
	m.Messages(protocol.OutcomeAcked).Add(3)
	m.Deliveries(protocol.OutcomeSlow).Add(4)
	m.MessagesInFlight.Set(3)
	m.DeliveriesInFlight.Set(2)
	m.SlowConnections(Over10s).Set(1)
	m.OutboundQueueBytes.Set(4096)
	want := Snapshot{
		Connections: [protocol.NumTransports]int64{protocol.TCP: 3, protocol.WSS: 4},
		Bound: map[protocol.ClientType]int64{
			protocol.ClientMobile: 5, protocol.ClientPC: 0, protocol.ClientWeb: 0, protocol.ClientUnknown: 0,
		},
		Opened: 30, Closed: 3, Accepted: 8,
		Messages:           [protocol.NumOutcomes]uint64{protocol.OutcomeFailed: 2, protocol.OutcomeAcked: 3},
		Deliveries:         [protocol.NumOutcomes]uint64{protocol.OutcomeSlow: 4},
		MessagesInFlight:   3,
		DeliveriesInFlight: 2,
		Slow:               [NumSlowOver]int64{Over10s: 1},
		OutboundQueueBytes: 4096,
	}
	got := m.Snapshot()
	got.DeliveryDuration = Buckets{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestSnapshotMergesDeliveryTimes(t *testing.T) {
	m := New(prometheus.NewRegistry())
	m.DeliveryDuration(protocol.AckNone).Observe(0.0004)
	m.DeliveryDuration(protocol.AckAuto).Observe(0.2)
	m.DeliveryDuration(protocol.AckBiz).Observe(1000)
	b := m.Snapshot().DeliveryDuration
	if want := append(deliveryBuckets(), math.Inf(1)); !slices.Equal(b.UpperBounds, want) {
		t.Fatalf("bounds = %v, want %v", b.UpperBounds, want)
	}
	for i, bound := range b.UpperBounds {
		want := uint64(1)
		if bound >= 0.2 {
			want = 2
		}
		if math.IsInf(bound, 1) {
			want = 3
		}
		if b.Counts[i] != want {
			t.Errorf("up to %v: %d, want %d", bound, b.Counts[i], want)
		}
	}
}

func TestBucketsSince(t *testing.T) {
	m := New(prometheus.NewRegistry())
	m.DeliveryDuration(protocol.AckNone).Observe(0.2)
	before := m.Snapshot().DeliveryDuration
	m.DeliveryDuration(protocol.AckBiz).Observe(0.02)
	now := m.Snapshot().DeliveryDuration
	if got := now.Since(before); got.Counts[len(got.Counts)-1] != 1 || got.Counts[4] != 1 || got.Counts[3] != 0 {
		t.Errorf("since = %v", got)
	}
	if got := now.Since(Buckets{}); !slices.Equal(got.Counts, now.Counts) || &got.Counts[0] == &now.Counts[0] {
		t.Errorf("since the start = %v, want a copy of %v", got, now)
	}
	if got := before.Since(now); got.Counts[len(got.Counts)-1] != 0 {
		t.Errorf("in the wrong order = %v, want no negative counts", got)
	}
}

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	b := Buckets{UpperBounds: []float64{0.5, 1.5, 2.5, inf}, Counts: []uint64{10, 10, 30, 40}}
	for _, c := range []struct{ q, want float64 }{
		{0, 0}, {0.125, 0.25}, {0.25, 0.5}, {0.5, 2}, {0.75, 2.5}, {0.9, 2.5}, {1, 2.5},
	} {
		if got, ok := b.Quantile(c.q); !ok || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("Quantile(%v) = %v, %v; want %v", c.q, got, ok, c.want)
		}
	}
	for name, empty := range map[string]Buckets{
		"zero": {}, "nothing observed": {UpperBounds: []float64{0.5, inf}, Counts: []uint64{0, 0}},
	} {
		if got, ok := empty.Quantile(0.5); ok || got != 0 {
			t.Errorf("%s: Quantile = %v, %v", name, got, ok)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	m := New(prometheus.NewRegistry())
	b.ReportAllocs()
	for b.Loop() {
		m.Snapshot()
	}
}
