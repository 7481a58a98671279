package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

func TestTwoNodesInOneProcess(t *testing.T) {
	t.Parallel()
	a := servertest.Start(t, func(o *server.Options) { o.ID = "a" })
	b := servertest.Start(t, func(o *server.Options) { o.ID = "b" })
	onA, onB := a.Dial(t, "dev-1", "alice"), b.Dial(t, "dev-2", "bob")
	for _, push := range []struct {
		node *servertest.Node
		user string
		to   *client.Conn
		want protocol.Outcome
	}{
		{a, "alice", onA, protocol.OutcomeSent}, {b, "bob", onB, protocol.OutcomeSent},
		{a, "bob", nil, protocol.OutcomeOffline}, {b, "alice", nil, protocol.OutcomeOffline},
	} {
		done := push.node.Send(t, cluster.Push{Content: []byte("hi")}, push.user)
		if push.to != nil {
			next(t, push.to)
		}
		if r := servertest.Outcome(t, done); r.Outcome != push.want {
			t.Errorf("push to %s on %s: %s, want %s", push.user, push.node.Info().ID, r.Outcome, push.want)
		}
	}
	if i := a.Info(); i.ID != "a" || i.Connections != 1 || i.Users != 1 || i.State != cluster.Serving {
		t.Errorf("info %+v", i)
	}
}

func TestInfoNamesReachableAddresses(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) {
		o.Listen = server.Endpoints{Device: "0.0.0.0:0", WebSocket: "127.0.0.1:0"}
		o.Advertise.WebSocket = "push.example.com:443"
		o.WebSocketPath, o.Ops = "/ws", "127.0.0.1:9310"
	})
	i := n.Info()
	host, _, err := net.SplitHostPort(i.Device)
	if err != nil || net.ParseIP(host) == nil || net.ParseIP(host).IsUnspecified() {
		t.Errorf("device address %q: %v", i.Device, err)
	}
	if i.WebSocket != "ws://push.example.com:443/ws" || i.Gateway != "" || i.Ops != "127.0.0.1:9310" || n.Addr("gateway") != nil {
		t.Errorf("info %+v", i)
	}
}

func TestLifeOfANode(t *testing.T) {
	t.Parallel()
	key, err := protocol.DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sessions.Close() }()
	metrics := exporter.New(prometheus.NewRegistry())
	opt := server.DefaultOptions()
	opt.Key, opt.Logger, opt.Metrics, opt.Store, opt.Ledger = key, discard, metrics, sessions, ledger.New(ledger.Options{Metrics: metrics})
	opt.Listen = server.Endpoints{Device: "127.0.0.1:0"}
	n, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ready := func(want string) {
		t.Helper()
		if err := n.Ready(); fmt.Sprint(err) != want {
			t.Errorf("ready: %v, want %s", err, want)
		}
	}
	ready("node is starting")
	if !strings.HasPrefix(n.Info().ID, "node-") {
		t.Errorf("made-up id %q", n.Info().ID)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	ready("<nil>")
	if err := n.Start(); err == nil {
		t.Error("a node starts twice")
	}
	nc := dialRaw(t, n.Info().Device)
	servertest.Eventually(t, "connection is accepted", func() bool { return n.Info().Connections == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := n.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	ready("node is stopping")
	if _, err := io.ReadAll(nc); err != nil {
		t.Errorf("the connection was not closed in order: %v", err)
	}
	if testutil.ToFloat64(metrics.Closed(protocol.TCP, protocol.CloseShutdown)) != 1 {
		t.Error("the connection did not end for shutdown")
	}
	push := &cluster.Push{ID: "late", Content: []byte("x"), Accepted: time.Now()}
	done := make(chan cluster.Result, 1)
	n.Push(push, "alice", endOnly(done))
	if r := servertest.Outcome(t, done); r.Outcome != protocol.OutcomeOffline {
		t.Errorf("a push to a stopped node ends as %s", r.Outcome)
	}
}

// endOnly is a tracker that wants the end only.
type endOnly chan cluster.Result

func (endOnly) Reached(protocol.Stage, string, time.Time) {}
func (endOnly) Progress(cluster.Result)                   {}
func (e endOnly) Done(r cluster.Result)                   { e <- r }

func TestANodeThatWasNotStartedStops(t *testing.T) {
	t.Parallel()
	key, err := protocol.DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	n := servertest.Start(t)
	opt := server.DefaultOptions()
	opt.Key, opt.Logger, opt.Metrics, opt.Store, opt.Ledger = key, discard, n.Metrics, n.Store, n.Ledger
	opt.Listen = server.Endpoints{Device: "127.0.0.1:0"}
	unstarted, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := unstarted.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOptionsNameEveryFault(t *testing.T) {
	t.Parallel()
	opt := server.DefaultOptions()
	opt.MinHeartbeat, opt.Limits.PendingAcks = time.Millisecond, 0
	_, err := server.New(opt)
	for _, want := range []string{"private key", "smallest heartbeat", "pending acks", "ledger"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
}

func TestDrainMovesDevicesAwayAtItsRate(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	const devices = 20
	for i := range devices {
		n.Dial(t, fmt.Sprintf("dev-%d", i), fmt.Sprintf("user-%d", i))
	}
	start := time.Now()
	n.Drain(10)
	if err := n.Ready(); err == nil || n.Info().State != cluster.Draining {
		t.Errorf("a draining node is ready: %v, state %s", err, n.Info().State)
	}
	servertest.Eventually(t, "the ports are closed", func() bool {
		nc, err := net.Dial("tcp", n.DeviceAddress())
		if err == nil {
			_ = nc.Close()
		}
		return err != nil
	})
	if left := n.Info().Connections; left < devices-10 && time.Since(start) < time.Second {
		t.Errorf("%d connections are left within a second, at 10 a second", left)
	}
	if r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x")}, fmt.Sprintf("user-%d", devices-1))); r.Outcome == protocol.OutcomeFailed {
		t.Errorf("a push while draining: %s", r.Outcome)
	}
	n.Drain(1000) // a second call changes the rate
	servertest.Eventually(t, "all have left", func() bool { return n.Info().Connections == 0 })
	if got := testutil.ToFloat64(n.Metrics.Closed(protocol.TCP, protocol.CloseDrain)); got < devices {
		t.Errorf("%v connections ended for drain, want %d", got, devices)
	}
}

func TestBroadcastsBeyondTheBoundAreRejected(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.Broadcasts = 1 })
	n.Dial(t, "dev-1", "alice")
	hold, held := make(chan struct{}), make(chan struct{})
	slow := n.Send(t, cluster.Push{Content: []byte("x"), Condition: waiting{hold, held}}, "")
	<-held
	if r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("y")}, "")); r.Outcome != protocol.OutcomeRejected {
		t.Errorf("a broadcast beyond the bound: %s", r.Outcome)
	}
	close(hold)
	if r := servertest.Outcome(t, slow); r.Outcome != protocol.OutcomeSent || r.Deliveries[protocol.OutcomeSent] != 1 {
		t.Errorf("the first broadcast: %+v", r)
	}
}

// waiting is a condition that holds up its broadcast.
type waiting struct{ hold, held chan struct{} }

func (waiting) String() string { return "waiting" }

func (w waiting) Match(cluster.Facts) bool {
	close(w.held)
	<-w.hold
	return true
}

func TestRejectedWhenTooManyAcksAreAwaited(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.PendingAcks = 2 })
	c := n.Dial(t, "dev-1", "alice")
	push := cluster.Push{Content: []byte("x"), Ack: protocol.AckBiz}
	first := n.Send(t, push, "alice")
	n.Send(t, push, "alice")
	if r := servertest.Outcome(t, n.Send(t, push, "alice")); r.Outcome != protocol.OutcomeRejected {
		t.Errorf("the third awaited ack: %s", r.Outcome)
	}
	if err := c.Ack(next(t, c).SessionID); err != nil {
		t.Fatal(err)
	}
	if r := servertest.Outcome(t, first); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("the first: %s", r.Outcome)
	}
	fourth := n.Send(t, push, "alice")
	next(t, c)
	if err := c.Ack(next(t, c).SessionID); err != nil {
		t.Fatal(err)
	}
	if r := servertest.Outcome(t, fourth); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("after room was made: %s", r.Outcome)
	}
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
