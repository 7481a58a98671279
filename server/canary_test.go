package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

const ownUser = "$canary.node-1"

// ownDevice waits until the node's own device is bound.
func ownDevice(t testing.TB, n *servertest.Node) cluster.Device {
	t.Helper()
	var d []cluster.Device
	servertest.Eventually(t, "the canary is bound", func() bool {
		d = n.Node.Devices(ownUser)
		return len(d) == 1
	})
	return d[0]
}

func pushOwn(t testing.TB, n *servertest.Node) cluster.Result {
	t.Helper()
	return servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x"), Ack: protocol.AckAuto}, ownUser))
}

// TestCanaryAnswers over every way that devices may have to take.
func TestCanaryAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		adjust    func(*server.Options)
		transport protocol.Transport
	}{
		"plain":               {func(*server.Options) {}, protocol.TCP},
		"encryption required": {func(o *server.Options) { o.RequireEncryption = true }, protocol.TCP},
		"TLS": {func(o *server.Options) {
			pair, _ := certificate()
			o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		}, protocol.TLS},
		"every interface": {func(o *server.Options) { o.Listen.Device = ":0" }, protocol.TCP},
		"nobody is valid": {func(o *server.Options) {
			o.Validate = func(user, _ string) bool { t.Errorf("the validator was asked about %s", user); return false }
		}, protocol.TCP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := servertest.Start(t, func(o *server.Options) { o.Canary = true }, c.adjust)
			if d := ownDevice(t, n); d.Transport != c.transport.String() {
				t.Errorf("over %s", d.Transport)
			}
			if r := pushOwn(t, n); r.Outcome != protocol.OutcomeAcked {
				t.Errorf("push: %+v", r)
			}
			if info := n.Info(); info.Connections != 0 || info.Users != 0 || !info.Canary {
				t.Errorf("info %+v", info)
			}
		})
	}
}

// TestStrangersAreNoCanary: the name is refused to whoever does not prove to be the node,
// also where there is no canary.
func TestStrangersAreNoCanary(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{true, false} {
		n := servertest.Start(t, func(o *server.Options) { o.Canary = own })
		if own {
			ownDevice(t, n)
		}
		for _, user := range []string{ownUser, "$canary.node-2", "$canary."} {
			stranger := n.Dial(t, "stranger", "")
			err := stranger.Bind(t.Context(), user, "", "guess")
			if refused := (*client.ServerError)(nil); !errors.As(err, &refused) || refused.Reason != protocol.ReasonBindFailed {
				t.Errorf("%s, canary %v: %v", user, own, err)
			}
		}
		servertest.Eventually(t, "refused", func() bool {
			return testutil.ToFloat64(n.Metrics.Closed(protocol.TCP, protocol.CloseBindRefused)) == 3
		})
		if own && pushOwn(t, n).Outcome != protocol.OutcomeAcked {
			t.Error("the canary is gone")
		}
	}
}

// TestCanaryHearsNoBroadcast, in whichever order it walks, and is counted in none.
func TestCanaryHearsNoBroadcast(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Canary = true })
	ownDevice(t, n)
	alice := n.Dial(t, "phone", "alice")
	for _, p := range []cluster.Push{{Rate: -1}, {Rate: 1}, {Rate: -1, Ack: protocol.AckAuto, AckTimeout: time.Minute}} {
		p.Content = []byte("all")
		done := n.Send(t, p, "")
		got, err := alice.Receive(t.Context())
		if err != nil || got.Command != protocol.CmdPush {
			t.Fatal(got, err)
		}
		if p.Ack != protocol.AckNone {
			if err := alice.Ack(got.SessionID); err != nil {
				t.Fatal(err)
			}
		}
		total := 0
		for _, count := range servertest.Outcome(t, done).Deliveries {
			total += count
		}
		if total != 1 {
			t.Errorf("rate %d, ack %v: %d deliveries, want that to alice", p.Rate, p.Ack, total)
		}
	}
}

// TestCanaryComesBack when somebody ended its connection.
func TestCanaryComesBack(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Canary = true })
	before := ownDevice(t, n)
	if ended := n.Kick(ownUser); ended != 1 {
		t.Fatalf("%d connections ended", ended)
	}
	servertest.Eventually(t, "the canary is back", func() bool {
		d := n.Node.Devices(ownUser)
		return len(d) == 1 && d[0].Connection != before.Connection
	})
	if r := pushOwn(t, n); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("push: %+v", r)
	}
}

// TestCanaryLeavesLast: a drain waits for devices alone, and the canary answers until they
// have left.
func TestCanaryLeavesLast(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Canary = true })
	ownDevice(t, n)
	slow := n.Dial(t, "phone", "alice")
	waiting := n.Send(t, cluster.Push{Content: []byte("x"), Ack: protocol.AckBiz, AckTimeout: time.Minute}, "alice")
	got, err := slow.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.Drain(1_000_000)
	if r := pushOwn(t, n); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("push while a device is left: %+v", r)
	}
	if err := slow.Ack(got.SessionID); err != nil {
		t.Fatal(err)
	}
	if r := servertest.Outcome(t, waiting); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("the device's push: %+v", r)
	}
	if report, err := n.Drained(t.Context()); err != nil || report.Connections != 1 {
		t.Errorf("drain: %v, %v", report, err)
	}
	servertest.Eventually(t, "the canary has left and is not back", func() bool { return len(n.Node.Devices(ownUser)) == 0 })
}

// TestNoCanaryWithoutADevicePort: the node works without.
func TestNoCanaryWithoutADevicePort(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Canary, o.Listen.Device = true, "" })
	if r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x")}, ownUser)); r.Outcome != protocol.OutcomeOffline || n.Info().Canary {
		t.Errorf("push: %+v, info %+v", r, n.Info())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	n.Drain(0)
	if _, err := n.Drained(ctx); err != nil {
		t.Error(err)
	}
}
