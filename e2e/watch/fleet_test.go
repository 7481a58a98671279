//go:build linux

package watch

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// crowd are many devices that are connected to one node, past the allocators, and by
// themselves do nothing at all: they neither read nor send heartbeats.
type crowd struct {
	name string

	mu  sync.Mutex
	all []*client.Conn
}

// newCrowd is nobody. Who joins leaves at the end of the test.
func newCrowd(t *testing.T, name string) *crowd {
	c := &crowd{name: name}
	t.Cleanup(c.leave)
	return c
}

// gently is how long a crowd waits between two devices, so that those of all scenarios
// together are no storm.
const gently = 50 * time.Millisecond

// arrivals is how many devices shake hands at a time if they are to be a storm.
const arrivals = 16

// join connects devices, with a pause after each, that will say something every heartbeat,
// as they promise.
func (c *crowd) join(t *testing.T, s *stack, n *node, size int, heartbeat, pause time.Duration) {
	t.Helper()
	for i := range size {
		c.connect(t, s, n, i, heartbeat)
		time.Sleep(pause)
	}
}

// storm connects devices as fast as it can.
func (c *crowd) storm(t *testing.T, s *stack, n *node, size int) {
	t.Helper()
	var work sync.WaitGroup
	for k := range arrivals {
		work.Go(func() {
			for i := k; i < size && !t.Failed(); i += arrivals {
				c.connect(t, s, n, i, 4*time.Minute)
			}
		})
	}
	work.Wait()
}

func (c *crowd) connect(t *testing.T, s *stack, n *node, i int, heartbeat time.Duration) {
	t.Helper()
	conn, err := client.Dial(t.Context(), client.DeviceOptions{
		Address: n.device, PublicKey: s.publicKey(t), DeviceID: c.user(i), OSName: "android",
		MinHeartbeat: heartbeat, MaxHeartbeat: heartbeat, ManualHeartbeat: true, Dialer: dialSmall,
		ConnectTimeout: patience, RequestTimeout: patience,
	})
	if err != nil {
		t.Errorf("device %d of the crowd: %v", i, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn)
}

func (c *crowd) user(i int) string { return fmt.Sprintf("%s-%04d", c.name, i) }

// dialSmall makes connections whose kernel holds little that was not read.
func dialSmall(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	return conn, err
}

// bind gives each device a user, and a tag with the name of the crowd.
func (c *crowd) bind(t *testing.T) {
	t.Helper()
	for i, conn := range c.all {
		if err := conn.Bind(t.Context(), c.user(i), c.name, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// tell pushes to all that are bound, once.
func (c *crowd) tell(t *testing.T, s *stack, content []byte) {
	t.Helper()
	p, err := client.NewPusher(client.PusherOptions{URL: "http://" + s.allocators[0].address, Token: s.secret(t, "fanfare/api-tokens")})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Push(t.Context(), client.PushRequest{Broadcast: true, Tags: []string{c.name}, Content: content, Ack: protocol.AckNone}); err != nil {
		t.Fatal(err)
	}
}

// leave closes all connections at once.
func (c *crowd) leave() {
	for _, conn := range c.all {
		_ = conn.Close() // always nil
	}
	c.all = nil
}

// passing has somebody connect to a node now and then and go without a word, until the
// function that it returns is called.
func passing(address string, pause time.Duration) (stop func()) {
	return repeatedly(pause, func() {
		if conn, err := net.DialTimeout("tcp", address, patience); err == nil {
			_ = conn.Close() // nothing was sent
		}
	})
}

// repeatedly does something now and then until the function that it returns is called.
func repeatedly(pause time.Duration, do func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for ctx.Err() == nil {
			do()
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return sync.OnceFunc(func() { cancel(); work.Wait() })
}
