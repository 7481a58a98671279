package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// drainRun is the one drain of a node's life. Guarded by Node.mu, except done.
type drainRun struct {
	rate   int // connections per second
	report DrainReport
	done   chan struct{} // closed when no device is connected any more, or the node stops
}

// DrainReport says how a drain went.
type DrainReport struct {
	Connections int           // asked to leave
	Left        int           // still connected when it was cut short
	Undropped   int           // routes that could not be taken back yet
	Took        time.Duration // from the start to the last connection
}

// String is one line for people.
func (r DrainReport) String() string {
	return fmt.Sprintf("%d connections asked to leave in %v, %d left, %d routes not taken back",
		r.Connections, r.Took.Round(time.Millisecond), r.Left, r.Undropped)
}

// Drain implements [cluster.Member]: the node leaves the lists that devices choose
// from, its device ports close, and connections end one after the other at the given
// rate, those with a message under way when that is done. Pushes are delivered to
// those that are left and forwarded for the others.
func (n *Node) Drain(rate int) {
	if rate <= 0 {
		rate = n.opt.DrainRate
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.draining.rate = rate
	if n.state != serving {
		return
	}
	n.state = draining
	n.log.Info("node is draining", "rate", rate, "connections", n.hub.devices())
	n.services.Go(n.moveAway)
}

// Drained waits until a drain that was begun has moved all devices away, or until ctx
// ends, and reports.
func (n *Node) Drained(ctx context.Context) (DrainReport, error) {
	select {
	case <-n.draining.done:
	case <-ctx.Done():
	}
	n.mu.Lock()
	r := n.draining.report
	n.mu.Unlock()
	if r.Left = n.hub.devices(); r.Left > 0 {
		return r, fmt.Errorf("draining node %s: %d devices are still connected", n.opt.ID, r.Left)
	}
	return r, nil
}

// drainSlice is how often some connections are asked to leave.
const drainSlice = 50 * time.Millisecond

// moveAway closes the device ports, then the connections at the drain rate. A slice
// takes up to half more or less than its share, so that devices do not come to the
// other nodes in step.
func (n *Node) moveAway() {
	defer close(n.draining.done)
	defer n.dismissCanary()
	n.announce()
	n.closeDeviceListeners()
	began := time.Now()
	tick := time.NewTicker(drainSlice)
	defer tick.Stop()
	for due := 0.0; n.hub.devices() > 0; {
		select {
		case <-n.quit:
			n.finishDrain(began)
			return
		case <-tick.C:
		}
		n.mu.Lock()
		due += float64(n.draining.rate) * drainSlice.Seconds() * (0.5 + rand.Float64())
		n.mu.Unlock()
		due -= float64(n.closeSome(int(due), time.Since(began)))
		due = min(due, float64(n.opt.DrainRate)) // those that wait are not to leave all at once
	}
	n.finishDrain(began)
}

func (n *Node) finishDrain(began time.Time) {
	n.mu.Lock()
	r := &n.draining.report
	r.Took, r.Left, r.Undropped = time.Since(began), n.hub.devices(), n.keeper.waitingDrops()
	text := r.String()
	n.mu.Unlock()
	n.log.Info("node is drained", "report", text)
}

// closeSome ends up to count connections, beginning anywhere. Those with a message
// under way are passed over for as long as an ack may take.
func (n *Node) closeSome(count int, age time.Duration) (closed int) {
	var conns []*conn
	first := rand.IntN(hubShards)
	for i := 0; i < hubShards && closed < count; i++ {
		conns = n.hub.open((first+i)%hubShards, conns[:0])
		for _, c := range conns {
			if closed == count {
				break
			}
			if age < n.opt.AckTimeout && c.underWay() || c == n.hub.canary.Load() {
				continue
			}
			c.close(protocol.CloseDrain, false)
			closed++
		}
		clear(conns)
	}
	n.mu.Lock()
	n.draining.report.Connections += closed
	n.mu.Unlock()
	return closed
}

// underWay tells whether an ack is awaited from the device or bytes wait for it.
func (c *conn) underWay() bool {
	if waiting, _ := c.waiting(); waiting > 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.awaited > 0
}
