package canary_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/canary"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// soon makes rounds come quickly. A push has time enough on a busy machine.
const (
	every   = 100 * time.Millisecond
	timeout = 3 * time.Second
)

// prober is one under test and what it shows.
type prober struct {
	*canary.Prober
	reg *prometheus.Registry
}

// probe starts a prober, which ends before the router.
func probe(t testing.TB, from string, router *cluster.Router) *prober {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	p, err := canary.New(canary.Options{Router: router, Metrics: exporter.NewCanaryMetrics(reg, from), Every: every, Timeout: timeout, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	t.Cleanup(p.Stop)
	return &prober{p, reg}
}

// value is the number of a pair; false without that series.
func (p *prober) value(t testing.TB, metric, to string) (float64, bool) {
	t.Helper()
	families, err := p.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "fanfare_canary_"+metric && label(m, "to") == to {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue(), true
			}
		}
	}
	return 0, false
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// acked is how many pushes came through to a node, lost how many did not.
func (p *prober) acked(t testing.TB, to string) float64 {
	all, _ := p.value(t, "pushes_total", to)
	return all - p.lost(t, to)
}

func (p *prober) lost(t testing.TB, to string) float64 {
	n, _ := p.value(t, "lost_total", to)
	return n
}

// flows waits until more pushes come through to each of the nodes.
func (p *prober) flows(t testing.TB, nodes ...string) {
	t.Helper()
	for _, to := range nodes {
		before := p.acked(t, to)
		servertest.Eventually(t, "pushes come through to "+to, func() bool { return p.acked(t, to) >= before+2 })
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func withCanary(_ int, o *server.Options) { o.Canary = true }

func TestEveryEntryPointReachesEveryNode(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2, withCanary)
	for _, m := range c.Members {
		p := probe(t, m.Info().ID, m.Router)
		p.flows(t, "node-1", "node-2")
		for _, to := range []string{"node-1", "node-2"} {
			if took, ok := p.value(t, "seconds", to); !ok || took <= 0 || took > timeout.Seconds() {
				t.Errorf("from %s to %s: %v s, %v", m.Info().ID, to, took, ok)
			}
		}
	}
	for _, m := range c.Members {
		books := m.Ledger.Books()
		if info := m.Info(); info.Connections != 0 || info.Users != 0 || books.Accepted != 0 {
			t.Errorf("%s tells of %d devices and %d users, and the books of %d messages: canaries are none of these", info.ID, info.Connections, info.Users, books.Accepted)
		}
		if n, err := m.Guard.OnlineUsers(t.Context(), m.PublicIP()); n != 0 || err != nil {
			t.Errorf("%d users on the online list, %v", n, err)
		}
	}
}

// TestCutLinkIsLostForItsPairAlone: node-1 cannot reach node-2 any more, everybody else can.
func TestCutLinkIsLostForItsPairAlone(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 3, withCanary)
	probers := make([]*prober, 3)
	for i, m := range c.Members {
		probers[i] = probe(t, m.Info().ID, m.Router)
		probers[i].flows(t, "node-1", "node-2", "node-3")
	}
	c.Members[0].CutTo(c.Members[1])
	servertest.Eventually(t, "pushes from node-1 to node-2 are lost", func() bool { return probers[0].lost(t, "node-2") >= 2 })
	probers[0].flows(t, "node-1", "node-3")
	probers[1].flows(t, "node-1", "node-2", "node-3")
	probers[2].flows(t, "node-1", "node-2", "node-3")
	for from, p := range probers {
		for _, to := range []string{"node-1", "node-2", "node-3"} {
			if from == 0 && to == "node-2" {
				continue
			}
			if n := p.lost(t, to); n != 0 {
				t.Errorf("%v pushes from node-%d to %s were lost", n, from+1, to)
			}
		}
	}
	c.Members[0].HealPeers()
	probers[0].flows(t, "node-2")
}

// TestKilledNodeIsForgotten: the others see no node instead of a bad way to one.
func TestKilledNodeIsForgotten(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2, withCanary)
	p := probe(t, "node-1", c.Members[0].Router)
	p.flows(t, "node-1", "node-2")
	dead := c.Members[1]
	dead.CutPeers()
	dead.ZooKeeperNet.Cut()
	dead.RedisNet.Cut()
	servertest.Eventually(t, "the pair has no series", func() bool {
		_, pushes := p.value(t, "pushes_total", "node-2")
		_, lost := p.value(t, "lost_total", "node-2")
		_, seconds := p.value(t, "seconds", "node-2")
		return !pushes && !lost && !seconds
	})
	p.flows(t, "node-1")
	if n := p.lost(t, "node-1"); n != 0 {
		t.Errorf("%v pushes to the living node were lost", n)
	}
}

// TestDrainedNodeLosesNothing: it drains while pushes to it go on.
func TestDrainedNodeLosesNothing(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2, withCanary)
	p := probe(t, "node-1", c.Members[0].Router)
	p.flows(t, "node-1", "node-2")
	leaving := c.Members[1]
	leaving.Dial(t, "phone", "alice")
	leaving.Drain(0)
	if report, err := leaving.Drained(t.Context()); err != nil || report.Connections != 1 || report.Left != 0 {
		t.Fatalf("drain: %v, %v", report, err)
	}
	servertest.Eventually(t, "the canary has left", func() bool {
		return testutil.ToFloat64(leaving.Metrics.Closed(protocol.TCP, protocol.CloseDrain)) == 2
	})
	servertest.Eventually(t, "the pair has no series", func() bool {
		if n := p.lost(t, "node-2"); n != 0 {
			t.Fatalf("%v pushes to the draining node were lost", n)
		}
		_, there := p.value(t, "pushes_total", "node-2")
		return !there
	})
}

// TestNodesWithoutACanaryAreLeftOut: those of other versions, and those that want none.
func TestNodesWithoutACanaryAreLeftOut(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2, func(i int, o *server.Options) { o.Canary = i == 0 })
	p := probe(t, "alloc-1", c.Members[1].Router)
	p.flows(t, "node-1")
	if n, there := p.value(t, "pushes_total", "node-2"); there {
		t.Errorf("%v pushes to a node without a canary", n)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []canary.Options{{}, {Metrics: exporter.NewCanaryMetrics(prometheus.NewRegistry(), "a")}} {
		if _, err := canary.New(o); err == nil || !strings.Contains(err.Error(), "required") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	n := servertest.Start(t)
	router, err := cluster.NewRouter(cluster.RouterOptions{Members: cluster.Static{n.Node}, Local: n.Node, Store: n.Store, Metrics: n.Metrics, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = router.Close(context.Background()) })
	o := canary.Options{Router: router, Metrics: exporter.NewCanaryMetrics(prometheus.NewRegistry(), "a")}
	p, err := canary.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.Stop() // never started
	p.Start()
	p.Stop()
	o.Every = -1
	if _, err := canary.New(o); err == nil {
		t.Error("a negative pause was taken")
	}
}
