package ledger

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the messages of the tests are received.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

// rig is a ledger with real metrics to look at.
type rig struct {
	*Ledger
	reg *prometheus.Registry
	m   *exporter.Metrics
}

func newRig(o Options) rig {
	reg := prometheus.NewRegistry()
	o.Metrics = exporter.New(reg)
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	return rig{New(o), reg, o.Metrics}
}

// accept opens a page that must be new.
func (b rig) accept(t testing.TB, r Request) *Entry {
	t.Helper()
	if r.Targets == 0 {
		r.Targets = 1
	}
	if r.Received.IsZero() {
		r.Received = noon
	}
	e, existing, err := b.Accept(r)
	if err != nil || existing {
		t.Fatalf("Accept(%q) = existing %v, error %v; want a new page", r.ID, existing, err)
	}
	return e
}

// series is the value of a counter or gauge, or the sum of a histogram, and how
// many observations it has.
func (b rig) series(t testing.TB, name, label string) (value float64, count uint64) {
	t.Helper()
	families, err := b.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasValue(m, label) {
				h := m.GetHistogram()
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + h.GetSampleSum(), h.GetSampleCount()
			}
		}
	}
	t.Fatalf("no series %s with a label value %q", name, label)
	return 0, 0
}

func hasValue(m *dto.Metric, value string) bool {
	if value == "" {
		return true
	}
	for _, l := range m.GetLabel() {
		if l.GetValue() == value {
			return true
		}
	}
	return false
}

// checkBooks compares the books with what is wanted and with the metrics, which
// must tell the same.
func (b rig) checkBooks(t testing.TB, accepted, inFlight int64, ended map[protocol.Outcome]int64) {
	t.Helper()
	want := Books{Accepted: accepted, InFlight: inFlight}
	for o, n := range ended {
		want.Ended[o] = n
	}
	if got := b.Books(); got != want {
		t.Errorf("Books() = %+v, want %+v", got, want)
	}
	b.checkMetrics(t)
}

// checkMetrics compares the metrics with the books, at rest.
func (b rig) checkMetrics(t testing.TB) {
	t.Helper()
	books, s := b.Books(), b.m.Snapshot()
	if int64(s.Accepted) != books.Accepted || s.MessagesInFlight != books.InFlight {
		t.Errorf("metrics say accepted %d, in flight %d; books %+v", s.Accepted, s.MessagesInFlight, books)
	}
	for _, o := range protocol.Outcomes() {
		if int64(s.Messages[o]) != books.Ended[o] {
			t.Errorf("metrics say %s %d, books %d", o, s.Messages[o], books.Ended[o])
		}
	}
	if sum := books.InFlight + sumEnded(books); books.Accepted != sum {
		t.Errorf("accepted %d, but in flight and ended make %d", books.Accepted, sum)
	}
}

func sumEnded(b Books) (sum int64) {
	for _, n := range b.Ended {
		sum += n
	}
	return sum
}

// result is the end on one node, with one delivery.
func result(o protocol.Outcome, node string, stages map[protocol.Stage]int) cluster.Result {
	r := cluster.Result{Node: node, Outcome: o}
	r.Deliveries[o] = 1
	for stage, ms := range stages {
		r.Stages[stage] = at(ms)
	}
	return r
}
