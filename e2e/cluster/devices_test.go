//go:build linux

package cluster

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// crowd is all devices and what arrived at them.
type crowd struct {
	devices []*device
	byUser  map[string]*device

	mu    sync.Mutex
	seen  map[arrival]int
	kicks int
}

// arrival is a message at a device.
type arrival struct{ message, user string }

// device is the one device of a user. It connects to whatever node an allocator names.
type device struct {
	crowd   *crowd
	user    string
	options client.DeviceOptions

	stop func() // ends it and waits

	mu      sync.Mutex
	gone    bool // disconnected for good
	bound   bool
	since   time.Time // of bound
	address string    // dialed last
	ended   error     // why it gave up
}

func gather(t *testing.T, w *world) *crowd {
	t.Helper()
	c := &crowd{byUser: make(map[string]*device), seen: make(map[arrival]int)}
	for i := range population {
		d := &device{crowd: c, user: fmt.Sprintf("user-%03d", i)}
		d.options = client.DeviceOptions{
			Allocator: "http://" + w.allocators[i%allocators].http, DemoKey: true,
			DeviceID: "device-of-" + d.user, OSName: "android", User: d.user, SessionStore: new(client.MemorySessions),
			ConnectTimeout: 5 * time.Second, AfterKick: client.KickReconnect,
			Backoff: client.Backoff{Min: 300 * time.Millisecond, Max: 2 * time.Second, Stable: time.Second},
			Dialer:  d.dial, OnPush: d.pushed, OnState: d.entered,
			OnKick: func(protocol.Kick) { c.mu.Lock(); c.kicks++; c.mu.Unlock() },
		}
		c.devices, c.byUser[d.user] = append(c.devices, d), d
	}
	t.Cleanup(func() { c.disconnect(slices.DeleteFunc(c.devices, func(d *device) bool { return d.stop == nil })) })
	for wave := range slices.Chunk(c.devices, population/nodes) {
		for _, d := range wave {
			d.start(t)
		}
		w.awaitLoad(t, wave)
	}
	return c
}

// awaitLoad waits until devices are connected and all allocators know that, so that the
// next come to another node: an allocator sends devices that come at once to one node.
func (w *world) awaitLoad(t *testing.T, wave []*device) {
	t.Helper()
	for _, d := range wave {
		eventually(t, d.user+" is connected", func() string { return unless(d.at() != "", "it is not") })
	}
	for _, a := range w.allocators {
		eventually(t, a.name+" knows of them", func() string {
			known, open := 0, 0.0
			list, err := a.pusher.Nodes(context.Background())
			for _, n := range list {
				known += n.Connections
			}
			for _, n := range w.nodes {
				open += n.metrics().sum("fanfare_connections")
			}
			return unless(err == nil && known == int(open), "it knows of %d of %v, %v", known, open, err)
		})
	}
}

func (d *device) start(t *testing.T) {
	t.Helper()
	run, err := client.NewDevice(d.options)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.gone = false
	d.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run.Run(ctx); ctx.Err() == nil {
			d.mu.Lock()
			d.ended = err
			d.mu.Unlock()
		}
	}()
	d.stop = func() { cancel(); <-done }
}

func (d *device) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.address = address
	d.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (d *device) entered(s client.State, _ error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bound := s == client.StateBound; bound != d.bound {
		d.bound, d.since = bound, time.Now()
	}
}

func (d *device) pushed(m *client.Message) {
	d.crowd.mu.Lock()
	defer d.crowd.mu.Unlock()
	d.crowd.seen[arrival{string(m.Content), d.user}]++
}

// at is the address of the node that the device is bound to, or nothing.
func (d *device) at() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.bound {
		return ""
	}
	return d.address
}

// left tells whether the device was disconnected for good.
func (d *device) left() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// on lists the users of a node.
func (c *crowd) on(n *node) (users map[string]bool) {
	users = make(map[string]bool)
	for _, d := range c.devices {
		if d.at() == n.device {
			users[d.user] = true
		}
	}
	return users
}

// missing tells which devices are not connected.
func (c *crowd) missing() string {
	var away []string
	for _, d := range c.devices {
		if d.at() != "" || d.left() {
			continue
		}
		d.mu.Lock()
		text := d.user
		if d.ended != nil {
			text += " (gave up: " + d.ended.Error() + ")"
		}
		d.mu.Unlock()
		away = append(away, text)
	}
	if len(away) == 0 {
		return ""
	}
	return fmt.Sprintf("%d devices are not: %.300s", len(away), strings.Join(away, ", "))
}

// lastBack is when the last device came back.
func (c *crowd) lastBack() (last time.Time) {
	for _, d := range c.devices {
		d.mu.Lock()
		if d.bound && d.since.After(last) {
			last = d.since
		}
		d.mu.Unlock()
	}
	return last
}

// disconnect ends devices for good.
func (c *crowd) disconnect(devices []*device) {
	var all sync.WaitGroup
	for chunk := range slices.Chunk(devices, 20) {
		all.Go(func() {
			for _, d := range chunk {
				d.mu.Lock()
				d.gone = true
				d.mu.Unlock()
				d.stop()
			}
		})
	}
	all.Wait()
}

// present are the devices that were not disconnected for good.
func (c *crowd) present() []*device {
	return slices.DeleteFunc(slices.Clone(c.devices), (*device).left)
}

// some picks every nth device, from the first that is left over when dividing.
func (c *crowd) some(n, first int) (picked []*device) {
	for i, d := range c.devices {
		if i%n == first%n {
			picked = append(picked, d)
		}
	}
	return picked
}

// arrived is how often a message came to a user.
func (c *crowd) arrived(message, user string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[arrival{message, user}]
}
