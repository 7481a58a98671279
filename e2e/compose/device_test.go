package compose

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// Where docker-compose.yml publishes the allocators.
const (
	alloc1 = "http://127.0.0.1:9999"
	alloc2 = "http://127.0.0.1:9998"
)

// devicePorts is where each node is published for devices.
var devicePorts = map[string]string{"node-1": "127.0.0.1:3000", "node-2": "127.0.0.1:3100", "node-3": "127.0.0.1:3200"}

// device is one on this side of the containers.
type device struct {
	user     string
	received chan string
}

// connect starts a device that an allocator sends to a node, or that goes to the
// address if there is one. It keeps connected until the test ends.
func connect(t *testing.T, key *protocol.PublicKey, user, address string) *device {
	t.Helper()
	d := &device{user: user, received: make(chan string, 100)}
	c, err := client.NewDevice(client.DeviceOptions{
		Address: address, Allocator: alloc1 + "/", PublicKey: key, User: user, DeviceID: "device-of-" + user, OSName: "android",
		SessionStore: new(client.MemorySessions), Backoff: client.Backoff{Min: 100 * time.Millisecond, Max: time.Second},
		OnPush: func(m *client.Message) { d.received <- string(m.Content) },
		OnState: func(s client.State, err error) {
			if err != nil {
				t.Logf("%s is %v: %v", user, s, err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); ctx.Err() == nil {
			t.Errorf("%s gave up: %v", user, err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	eventually(t, time.Minute, user+" is bound", func() error {
		if s := c.State(); s != client.StateBound {
			return fmt.Errorf("it is %v", s)
		}
		return nil
	})
	return d
}

// want waits for a message.
func (d *device) want(t *testing.T, content string) {
	t.Helper()
	for {
		select {
		case got := <-d.received:
			if got == content {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s did not receive %q", d.user, content)
		}
	}
}

// backend pushes through one allocator.
type backend struct{ *client.Pusher }

func newBackend(t *testing.T, url, token string) backend {
	t.Helper()
	p, err := client.NewPusher(client.PusherOptions{URL: url, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return backend{p}
}

// reach pushes to a device until it acknowledges, and returns the node it did so on.
// Each try has a definite end.
func (b backend) reach(t *testing.T, d *device, content string) (node string) {
	t.Helper()
	eventually(t, time.Minute, "a push to "+d.user+" is acknowledged", func() error {
		r, err := b.Push(t.Context(), client.PushRequest{User: d.user, Content: []byte(content), Ack: protocol.AckAuto, Wait: 15 * time.Second})
		switch {
		case err != nil:
			return err
		case !r.Known():
			t.Errorf("a push to %s has no end after 15 s: %+v", d.user, r)
			return fmt.Errorf("pending")
		case r.Outcome != protocol.OutcomeAcked:
			t.Logf("a push to %s ended as %v on %q", d.user, r.Outcome, r.Node)
			return fmt.Errorf("%v", r.Outcome)
		}
		node = r.Node
		return nil
	})
	d.want(t, content)
	return node
}

// states are the nodes that the allocator lists, with the state of each.
func (b backend) states(t *testing.T) map[string]string {
	t.Helper()
	nodes, err := b.Nodes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, n := range nodes {
		states[n.ID] = n.State
	}
	return states
}
