package server_test

import (
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/server/servertest"
)

// TestConnectionDuration: a connection counts once, when it ends, with how long it was there.
func TestConnectionDuration(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	lasted := func() *dto.Histogram {
		var m dto.Metric
		if err := n.Metrics.ConnectionDuration.(prometheus.Metric).Write(&m); err != nil {
			t.Fatal(err)
		}
		return m.GetHistogram()
	}
	before := time.Now()
	short, long := n.Dial(t, "device-1", "alice"), n.Dial(t, "device-2", "bob")
	there := time.Now()
	if got := lasted().GetSampleCount(); got != 0 {
		t.Errorf("%d connections have ended", got)
	}
	_ = short.Close()
	servertest.Eventually(t, "one has ended", func() bool { return lasted().GetSampleCount() == 1 })
	first := lasted().GetSampleSum()
	if all := time.Since(before).Seconds(); first < 0 || first > all+0.01 {
		t.Errorf("it lasted %v of %v s", first, all)
	}
	servertest.Eventually(t, "the other has lasted longer", func() bool { return time.Since(there) > 300*time.Millisecond })
	_ = long.Close()
	servertest.Eventually(t, "both have ended", func() bool { return lasted().GetSampleCount() == 2 })
	if second := lasted().GetSampleSum() - first; second < 0.29 || second > time.Since(before).Seconds()+0.01 {
		t.Errorf("the other lasted %v s", second)
	}
}
