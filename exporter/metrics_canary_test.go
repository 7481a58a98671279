package exporter

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCanaryPairsComeAndGo(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	m := NewCanaryMetrics(reg, "alloc-1")
	a, b := m.Pair("a"), m.Pair("b\xff")
	a.Pushes.Inc()
	a.Took(250 * time.Millisecond)
	b.Pushes.Inc()
	b.Lost.Inc()
	const names = "fanfare_canary_"
	got := samples(t, reg, names+"seconds", names+"pushes_total", names+"lost_total")
	want := `canary_lost_total{from="alloc-1",to="a"} 0
canary_lost_total{from="alloc-1",to="b�"} 1
canary_pushes_total{from="alloc-1",to="a"} 1
canary_pushes_total{from="alloc-1",to="b�"} 1
canary_seconds{from="alloc-1",to="a"} 0.25`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	m.Forget("a")
	m.Forget("b\xff")
	m.Forget("never there")
	if families, _ := reg.Gather(); len(families) != 0 {
		t.Errorf("left: %v", families)
	}
}
