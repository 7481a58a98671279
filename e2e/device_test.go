package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

// handshakes reads fanfare_handshakes_total.
func (r *rig) handshakes(kind exporter.HandshakeKind, result exporter.HandshakeResult) float64 {
	return testutil.ToFloat64(r.Metrics.Handshakes(kind, result))
}

func TestDeviceReceivesAndAcknowledges(t *testing.T) {
	r := start(t)
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	for ack, want := range map[protocol.AckMode]protocol.Outcome{protocol.AckNone: protocol.OutcomeSent, protocol.AckAuto: protocol.OutcomeAcked} {
		result := r.push(t, "alice", "with ack "+ack.String(), ack)
		if m := p.next(); result.Outcome != want || string(m.Content) != "with ack "+ack.String() || m.Mode != ack {
			t.Errorf("ack %v: ended as %v, received %q with ack %v", ack, result.Outcome, m.Content, m.Mode)
		}
	}

	result := r.pushed(t, client.PushRequest{User: "alice", Content: []byte("the app decides"), Ack: protocol.AckBiz})
	m := p.next()
	servertest.Eventually(t, "it is written", func() bool {
		status, err := r.pusher.Message(t.Context(), result.ID)
		return err == nil && len(status.Stages) > 0 && status.Stages[len(status.Stages)-1].Stage == protocol.StageWritten
	})
	if status, err := r.pusher.Message(t.Context(), result.ID); err != nil || status.Outcome != protocol.OutcomePending {
		t.Errorf("before the app acknowledged: %v, %v", status.Outcome, err)
	}
	if err := m.Ack(); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "it is acked", func() bool {
		status, err := r.pusher.Message(t.Context(), result.ID)
		return err == nil && status.Outcome == protocol.OutcomeAcked
	})
	if err := m.Ack(); err != nil {
		t.Errorf("a second ack: %v", err)
	}
}

func TestDeviceTakesLongPushes(t *testing.T) {
	r := start(t)
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	content := make([]byte, 200_000) // compressed on the way
	for i := range content {
		content[i] = "0123456789 \xff"[i*i%12]
	}
	result := r.pushed(t, client.PushRequest{User: "alice", Content: content, Ack: protocol.AckAuto, Wait: long})
	if m := p.next(); string(m.Content) != string(content) || result.Outcome != protocol.OutcomeAcked {
		t.Errorf("received %d bytes, want %d; ended as %v", len(m.Content), len(content), result.Outcome)
	}
}

func TestDevicePushesToTheServer(t *testing.T) {
	var mu sync.Mutex
	var received []string
	r := start(t, func(o *server.Options) {
		o.Received = func(user, device string, content []byte) {
			mu.Lock()
			defer mu.Unlock()
			received = append(received, fmt.Sprintf("%s on %s: %s", user, device, content))
		}
	})
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	if err := p.Device.Push(t.Context(), []byte("here I am")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "alice on device-of-alice: here I am"; len(received) != 1 || received[0] != want {
		t.Errorf("the server received %q, want %q", received, want)
	}
}

func TestDeviceChangesUser(t *testing.T) {
	r := start(t)
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	if err := p.Bind(t.Context(), "bob", "vip", ""); err != nil {
		t.Fatal(err)
	}
	r.reaches(t, p, "bob", "for bob")
	if result := r.push(t, "alice", "for nobody", protocol.AckNone); result.Outcome != protocol.OutcomeOffline {
		t.Errorf("a push to the user before ended as %v", result.Outcome)
	}
	if err := p.Unbind(t.Context()); err != nil {
		t.Fatal(err)
	}
	if result := r.push(t, "bob", "for nobody", protocol.AckNone); result.Outcome != protocol.OutcomeOffline || p.State() != client.StateConnected {
		t.Errorf("after the unbind a push ended as %v, the device is %v", result.Outcome, p.State())
	}
}

func TestDeviceResumesAfterACut(t *testing.T) {
	r := start(t)
	line := newProxy(t, r.DeviceAddress())
	p := switchOn(t, line.address(), "alice", func(o *client.DeviceOptions) { o.SessionStore = new(client.MemorySessions) })
	p.until(client.StateBound)
	r.reaches(t, p, "alice", "before")
	for cut := 1; cut <= 3; cut++ {
		line.cut()
		if cause := receive(t, "the end of the connection", p.causes); cause == nil {
			t.Error("the device does not say why it is not connected")
		}
		p.until(client.StateBound)
		r.reaches(t, p, "alice", fmt.Sprintf("after cut %d", cut))
		if full, fast := r.handshakes(exporter.Full, exporter.HandshakeOK), r.handshakes(exporter.Fast, exporter.HandshakeOK); full != 1 || fast != float64(cut) {
			t.Errorf("after cut %d: %v full handshakes and %v fast ones, want 1 and %d", cut, full, fast, cut)
		}
	}
}

func TestDeviceWithoutASessionStoreShakesHandsAgain(t *testing.T) {
	r := start(t)
	line := newProxy(t, r.DeviceAddress())
	p := switchOn(t, line.address(), "alice")
	p.until(client.StateBound)
	line.cut()
	receive(t, "the end of the connection", p.causes)
	p.until(client.StateBound)
	r.reaches(t, p, "alice", "after the cut")
	if full, fast := r.handshakes(exporter.Full, exporter.HandshakeOK), r.handshakes(exporter.Fast, exporter.HandshakeOK); full != 2 || fast != 0 {
		t.Errorf("%v full handshakes and %v fast ones, want 2 and 0", full, fast)
	}
}

// TestDeviceSurvivesARestart lets a node live twice. Each life is a subtest, so that
// nothing of the first is left in the second.
func TestDeviceSurvivesARestart(t *testing.T) {
	for name, test := range map[string]struct {
		dir                     bool
		resumed, refused, fresh float64 // in the second life
	}{
		"with a directory":    {true, 1, 0, 0},
		"without a directory": {false, 0, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := ""
			if test.dir {
				dir = t.TempDir()
			}
			line := newProxy(t, "")
			var p *phone
			live(t, "first life", dir, line, func(r *rig) {
				p = switchOn(t, line.address(), "alice", func(o *client.DeviceOptions) {
					o.SessionStore = client.FileSessions(filepath.Join(t.TempDir(), "session"))
				})
				p.until(client.StateBound)
				r.reaches(t, p, "alice", "hello")
			})
			receive(t, "the end of the connection", p.causes)
			live(t, "second life", dir, line, func(r *rig) {
				servertest.Eventually(t, "the user is back", func() bool { return r.Info().Users == 1 })
				p.until(client.StateBound)
				r.reaches(t, p, "alice", "hello again")
				resumed, refused := r.handshakes(exporter.Fast, exporter.HandshakeOK), r.handshakes(exporter.Fast, exporter.HandshakeRefused)
				if fresh := r.handshakes(exporter.Full, exporter.HandshakeOK); resumed != test.resumed || refused != test.refused || fresh != test.fresh {
					t.Errorf("%v resumed, %v refused, %v full, want %+v", resumed, refused, fresh, test)
				}
			})
		})
	}
}

// live is one life of a node, with its store in dir and the line leading to it.
func live(t *testing.T, name, dir string, line *proxy, use func(*rig)) {
	t.Helper()
	ok := t.Run(name, func(t *testing.T) {
		s, err := store.Open(store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { // after the node has stopped
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		r := start(t, func(o *server.Options) { o.Store = s })
		line.lead(r.DeviceAddress())
		use(r)
	})
	if !ok {
		t.FailNow()
	}
}

func TestDeviceAsksTheAllocator(t *testing.T) {
	r := start(t)
	p := switchOn(t, "", "alice", func(o *client.DeviceOptions) { o.Allocator = r.url })
	p.until(client.StateBound)
	r.reaches(t, p, "alice", "found")
}

func TestRefusedBindEndsTheDevice(t *testing.T) {
	r := start(t, func(o *server.Options) {
		o.Validate = func(user, credential string) bool { return user == "alice" && credential == "right" }
	})
	p := switchOn(t, r.DeviceAddress(), "alice", func(o *client.DeviceOptions) { o.Credential = "wrong" })
	err := receive(t, "the end of Run", p.ended)
	var refused *client.ServerError
	if !errors.As(err, &refused) || refused.Command != protocol.CmdBind || refused.Reason != protocol.ReasonBindFailed {
		t.Errorf("Run ended with %v", err)
	}
	if p.State() != client.StateStopped {
		t.Errorf("the device is %v", p.State())
	}
	right := switchOn(t, r.DeviceAddress(), "alice", func(o *client.DeviceOptions) { o.Credential = "right" })
	right.until(client.StateBound)
	r.reaches(t, right, "alice", "welcome")
}

func TestDrainMakesDevicesLeave(t *testing.T) {
	r := start(t)
	if got := r.servers(t); got != r.DeviceAddress() {
		t.Fatalf("GET / names %q, want %q", got, r.DeviceAddress())
	}
	var phones []*phone
	for i := range 20 {
		p := switchOn(t, "", fmt.Sprintf("user-%d", i), func(o *client.DeviceOptions) { o.Allocator = r.url })
		p.until(client.StateBound)
		phones = append(phones, p)
	}
	if err := r.pusher.Drain(t.Context(), "node-1", 1000); err != nil {
		t.Fatal(err)
	}
	if got := r.servers(t); got != "" {
		t.Errorf("GET / names %q, which is draining", got)
	}
	servertest.Eventually(t, "every device has left", func() bool { return r.Info().Connections == 0 })
	for _, p := range phones {
		receive(t, "why it is not connected", p.causes)
	}
	late := client.DeviceOptions{Allocator: r.url, DemoKey: true, DeviceID: "late"}
	if _, err := client.Dial(t.Context(), late); !errors.Is(err, client.ErrNoServers) {
		t.Errorf("a device that comes now: %v", err)
	}
	servertest.Eventually(t, "the closes are counted", func() bool {
		return testutil.ToFloat64(r.Metrics.Closed(protocol.TCP, protocol.CloseDrain)) == 20
	})
	nodes, err := r.pusher.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].State != "draining" || nodes[0].Users != 0 {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	var refused *client.APIError
	if err := r.pusher.Drain(t.Context(), "node-9", 0); !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		t.Errorf("draining a node that is not there: %v", err)
	}
}

// servers is what the allocator tells devices.
func (r *rig) servers(t *testing.T) string {
	t.Helper()
	answer, err := http.Get(r.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
