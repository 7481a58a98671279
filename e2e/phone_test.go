package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// phone is a running device of the SDK and what it told its application.
type phone struct {
	*client.Device
	t      *testing.T
	pushes chan *client.Message
	kicks  chan protocol.Kick
	causes chan error // why it was not connected, or not bound any more
	ended  chan error // what Run returned
	stop   context.CancelFunc
}

// switchOn runs a device that ends with the test.
func switchOn(t *testing.T, address, user string, adjust ...func(*client.DeviceOptions)) *phone {
	t.Helper()
	p := &phone{t: t, pushes: make(chan *client.Message, 1024), kicks: make(chan protocol.Kick, 16), causes: make(chan error, 1024), ended: make(chan error, 1)}
	o := client.DeviceOptions{
		Address: address, DemoKey: true, DeviceID: "device-of-" + user, OSName: "android", OSVersion: "12", ClientVersion: "1.2.0", User: user,
		Backoff: client.Backoff{Min: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		OnPush:  func(m *client.Message) { p.pushes <- m },
		OnKick:  func(k protocol.Kick) { p.kicks <- k },
		OnState: func(_ client.State, cause error) {
			if cause != nil {
				p.causes <- cause
			}
		},
	}
	for _, change := range adjust {
		change(&o)
	}
	var err error
	if p.Device, err = client.NewDevice(o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		p.ended <- p.Run(ctx)
		close(p.ended)
	}()
	t.Cleanup(func() {
		stop()
		for range p.ended {
		}
	})
	return p
}

// until waits for a state.
func (p *phone) until(s client.State) {
	p.t.Helper()
	servertest.Eventually(p.t, "the device is "+s.String(), func() bool { return p.State() == s })
}

// next waits for a push.
func (p *phone) next() *client.Message {
	p.t.Helper()
	return receive(p.t, "a push", p.pushes)
}

// receive waits for a value.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatalf("did not come: %s", what)
		panic("unreachable")
	}
}

// push sends to a user and waits for the outcome.
func (r *rig) push(t *testing.T, user, content string, ack protocol.AckMode) client.PushResult {
	t.Helper()
	return r.pushed(t, client.PushRequest{User: user, Content: []byte(content), Ack: ack, Wait: long})
}

func (r *rig) pushed(t *testing.T, request client.PushRequest) client.PushResult {
	t.Helper()
	result, err := r.pusher.Push(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// reaches pushes to a user until a device acknowledges, which a push that meets a
// connection just about to end does not.
func (r *rig) reaches(t *testing.T, p *phone, user, content string) {
	t.Helper()
	if result := r.push(t, user, content, protocol.AckAuto); result.Outcome != protocol.OutcomeAcked {
		t.Fatalf("the push %q ended as %v", content, result.Outcome)
	}
	if got := string(p.next().Content); got != content {
		t.Fatalf("the device received %q, want %q", got, content)
	}
}
