package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// FailoverReport is what happened to the devices of a node that was killed.
type FailoverReport struct {
	Devices int     `json:"devices"`
	Half    float64 `json:"half_back_s"` // seconds from the kill until half of them were bound elsewhere
	Most    float64 `json:"99_percent_back_s"`
	All     float64 `json:"all_back_s"`
	Failed  int     `json:"failed_clients"` // gave up, or were not back in time
	// Pushes to devices of the other nodes meanwhile.
	Others  int     `json:"pushes_to_others"`
	Served  int     `json:"pushes_to_others_served"`
	Slowest float64 `json:"slowest_of_them_ms"`
}

// failoverPatience is how long devices may take to come back.
const failoverPatience = 3 * time.Minute

// crowd are devices that find their node through the allocator and come back.
type crowd struct {
	bound  atomic.Int64
	failed atomic.Int64
	rest   sync.WaitGroup
}

// join starts device i, which connects to the first address once and asks the
// allocator from then on.
func (cr *crowd) join(ctx context.Context, i int, first, allocator string, key *protocol.PublicKey) error {
	var told atomic.Bool
	d, err := client.NewDevice(client.DeviceOptions{
		Allocator: "http://" + allocator + "/", PublicKey: key, DeviceID: fmt.Sprintf("bench-device-%d", i), User: userOf(i),
		OSName: "android", OSVersion: "15", ClientVersion: "1.0.0", MinHeartbeat: heartbeat, MaxHeartbeat: heartbeat, ManualHeartbeat: true,
		ConnectTimeout: 10 * time.Second, RequestTimeout: 10 * time.Second, ReadBuffer: 256, SessionStore: new(client.MemorySessions),
		Backoff: client.Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}, Logger: slog.New(slog.DiscardHandler),
		Dialer: func(ctx context.Context, _, address string) (net.Conn, error) {
			if !told.Swap(true) {
				address = first
			}
			return dialFrom(ctx, i, address)
		},
		OnState: func(s client.State, _ error) {
			if s == client.StateBound {
				cr.bound.Add(1)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("device %d: %w", i, err)
	}
	cr.rest.Go(func() {
		_ = d.Run(ctx) // that a device gave up counts, not which or why
		if ctx.Err() == nil {
			cr.failed.Add(1)
		}
	})
	return nil
}

// await waits until so many binds were done.
func (cr *crowd) await(ctx context.Context, binds int64) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for cr.bound.Load() < binds {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d logins: %w", cr.bound.Load(), binds, context.Cause(ctx))
		}
	}
	return nil
}

func (c *Cluster) failover(ctx context.Context, s *stack) (*FailoverReport, error) {
	pair, err := protocol.DemoKeyPair()
	if err != nil {
		return nil, fmt.Errorf("the published key: %w", err)
	}
	living, stop := context.WithCancel(ctx)
	var others, victims crowd
	defer func() { stop(); others.rest.Wait(); victims.rest.Wait() }()
	for i := range c.Others {
		if err := others.join(living, c.Crowd+i, s.nodes[1+i%(len(s.nodes)-1)].device, s.alloc.api, pair.Public()); err != nil {
			return nil, err
		}
	}
	c.progress("failover: logging in %d devices", c.Crowd)
	for i := range c.Crowd {
		if err := victims.join(living, i, s.nodes[0].device, s.alloc.api, pair.Public()); err != nil {
			return nil, err
		}
		// As many at a time as log in at the same time in the other scenarios.
		if err := victims.await(ctx, int64(i-8*c.Parallel)); err != nil {
			return nil, err
		}
	}
	if err := victims.await(ctx, int64(c.Crowd)); err != nil {
		return nil, err
	}
	if err := others.await(ctx, int64(c.Others)); err != nil {
		return nil, err
	}
	return c.crash(ctx, s, &victims)
}

// crash kills the node and watches.
func (c *Cluster) crash(ctx context.Context, s *stack, victims *crowd) (*FailoverReport, error) {
	found := &FailoverReport{Devices: c.Crowd}
	before := victims.bound.Load()
	pushing, enough := context.WithCancel(ctx)
	pushed := make(chan struct{})
	go func() { defer close(pushed); c.pushToOthers(pushing, s, found) }()
	defer func() { enough(); <-pushed }()
	c.progress("failover: killing a node")
	start := time.Now()
	if err := s.kill(0); err != nil {
		return nil, err
	}
	patience, cancel := context.WithTimeout(ctx, failoverPatience)
	defer cancel()
	for _, part := range []struct {
		seconds *float64
		devices int
	}{{&found.Half, c.Crowd / 2}, {&found.Most, c.Crowd * 99 / 100}, {&found.All, c.Crowd}} {
		if err := victims.await(patience, before+int64(part.devices)); err != nil && ctx.Err() != nil {
			return nil, err
		}
		*part.seconds = time.Since(start).Seconds()
	}
	back := int(victims.bound.Load() - before)
	found.Failed = max(c.Crowd-back, 0) + int(victims.failed.Load())
	enough()
	<-pushed
	return found, nil
}

// pushToOthers pushes to devices of the nodes that live, one at a time, and counts.
func (c *Cluster) pushToOthers(ctx context.Context, s *stack, found *FailoverReport) {
	pusher, err := client.NewPusher(client.PusherOptions{URL: "http://" + s.alloc.api})
	if err != nil {
		return // the address is one that the stack made
	}
	defer pusher.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		start := time.Now()
		result, err := pusher.Push(ctx, client.PushRequest{User: userOf(c.Crowd + i%c.Others), Content: []byte(strings.Repeat("x", contentBytes)), Wait: 5 * time.Second})
		if ctx.Err() != nil {
			return
		}
		found.Others++
		if err == nil && result.Outcome == protocol.OutcomeSent {
			found.Served++
		}
		found.Slowest = max(found.Slowest, float64(time.Since(start).Microseconds())/1000)
	}
}

func (r *FailoverReport) table(w io.Writer) {
	fmt.Fprintf(w, "a node with %d devices is killed: half of them are back on the others after %.1f s, 99 %% after %.1f s, all after %.1f s; %d failed\n",
		r.Devices, r.Half, r.Most, r.All, r.Failed)
	fmt.Fprintf(w, "meanwhile %d of %d pushes to devices of the other nodes were served, the slowest in %.0f ms\n\n", r.Served, r.Others, r.Slowest)
}
