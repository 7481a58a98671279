package cluster_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// caller is a link under test with what belongs to it.
type caller struct {
	*cluster.Link
	metrics *exporter.Metrics
	log     *logBook
}

// logBook is a log that a test can read.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte(text))
}

func options(adjust ...func(*cluster.LinkOptions)) (cluster.LinkOptions, *logBook) {
	log := &logBook{}
	o := cluster.LinkOptions{
		Self: "caller", Metrics: exporter.New(prometheus.NewPedanticRegistry()), Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	for _, change := range adjust {
		change(&o)
	}
	return o, log
}

// dial links to a peer until the test ends.
func dial(t testing.TB, p cluster.Peer, adjust ...func(*cluster.LinkOptions)) *caller {
	t.Helper()
	o, log := options(adjust...)
	l := &caller{cluster.NewLink(p, o), o.Metrics, log}
	t.Cleanup(l.Close)
	return l
}

// peerOf is what a registry says of a node that is reached at an address.
func peerOf(n *servertest.Node, gateway string) cluster.Peer {
	info := n.Info()
	return cluster.Peer{ID: info.ID, Gateway: gateway, Weight: 1, Link: cluster.LinkVersion, State: cluster.Serving}
}

// link links to a node and waits until it is connected.
func link(t testing.TB, n *servertest.Node, adjust ...func(*cluster.LinkOptions)) *caller {
	t.Helper()
	l := dial(t, peerOf(n, n.GatewayAddress()), adjust...)
	l.await(t)
	return l
}

func (l *caller) await(t testing.TB) {
	t.Helper()
	servertest.Eventually(t, "link is up", func() bool { return l.Err() == nil })
}

// gather is a tracker that keeps what it hears.
type gather struct {
	mu       sync.Mutex
	results  []cluster.Result
	progress []cluster.Result
	reached  map[protocol.Stage]time.Time
}

func (g *gather) Reached(s protocol.Stage, _ string, at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reached == nil {
		g.reached = make(map[protocol.Stage]time.Time)
	}
	g.reached[s] = at
}

func (g *gather) Progress(r cluster.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.progress = append(g.progress, r)
}

func (g *gather) Done(r cluster.Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.results = append(g.results, r)
}

func (g *gather) ended() []cluster.Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.results[:len(g.results):len(g.results)]
}

// wait returns the results when there are n.
func (g *gather) wait(t testing.TB, n int) []cluster.Result {
	t.Helper()
	servertest.Eventually(t, "pushes end", func() bool { return len(g.ended()) >= n })
	return g.ended()
}

// push sends one and waits for its end.
func (l *caller) push(t testing.TB, p *cluster.Push, user string) cluster.Result {
	t.Helper()
	g := new(gather)
	l.Push(p, user, g)
	return g.wait(t, 1)[0]
}

func message(id, content string) *cluster.Push {
	return &cluster.Push{ID: id, Content: []byte(content), Accepted: time.Now()}
}

// receive collects what a device gets until the test ends, and acknowledges it.
func receive(t testing.TB, c *client.Conn) *inbox {
	in := &inbox{got: make(map[string]int)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			p, err := c.Receive(ctx)
			if err != nil {
				return
			}
			if p.Command != protocol.CmdPush {
				continue
			}
			in.add(string(p.Body))
			if protocol.AckModeOf(p.Flags) != protocol.AckNone {
				_ = c.Ack(p.SessionID)
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return in
}

// inbox counts what a device got.
type inbox struct {
	mu  sync.Mutex
	got map[string]int
}

func (in *inbox) add(content string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.got[content]++
}

func (in *inbox) counts() map[string]int {
	in.mu.Lock()
	defer in.mu.Unlock()
	counts := make(map[string]int, len(in.got))
	for k, n := range in.got {
		counts[k] = n
	}
	return counts
}

func out(l *caller, r exporter.Result) float64 {
	return testutil.ToFloat64(l.metrics.GatewayRequests(exporter.DirectionOut, r))
}
