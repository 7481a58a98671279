package server

import (
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// sweepInterval is how often every connection is looked at. It is the granularity
// of all times at which a connection is closed for being silent or slow.
const sweepInterval = time.Second

// sweep looks at all connections again and again. One goroutine for all is less
// than a timer for each.
func (n *Node) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	var conns []*conn
	for {
		select {
		case <-n.quit:
			return
		case now := <-tick.C:
			var slow slowCounts
			for shard := range hubShards {
				conns = n.hub.open(shard, conns[:0])
				for _, c := range conns {
					c.check(now, &slow)
				}
				clear(conns)
			}
			n.measure(&slow)
		}
	}
}

// slowCounts are the connections whose oldest waiting bytes are older than [slowOver].
type slowCounts [exporter.NumSlowOver]int

// measure sets the gauges that a sweep knows the values of.
func (n *Node) measure(slow *slowCounts) {
	for over, count := range slow {
		n.metrics.SlowConnections(exporter.SlowOver(over)).Set(float64(count))
	}
	n.metrics.OutboundQueueBytes.Set(float64(n.outbound.Load()))
}

// slowOver are the ages that fanfare_slow_connections counts from.
var slowOver = [exporter.NumSlowOver]time.Duration{
	exporter.Over1s: time.Second, exporter.Over10s: 10 * time.Second, exporter.Over60s: time.Minute,
}

// check closes the connection if one of its times is up.
func (c *conn) check(now time.Time, slow *slowCounts) {
	if waiting, since := c.waiting(); waiting > 0 {
		age := now.Sub(since)
		for over, limit := range slowOver {
			if age > limit {
				slow[over]++
			}
		}
		if age > c.node.opt.Limits.OutboundAge {
			c.close(protocol.CloseSlowAge, false)
			return
		}
	}
	if reason := c.silent(c.node.clock()); reason != protocol.CloseUnknown {
		c.close(reason, false)
		return
	}
	if reason := c.overstayed(now); reason != protocol.CloseUnknown {
		c.close(reason, true)
	}
}

// silent returns the reason to close a connection that says too little, or
// [protocol.CloseUnknown]. Like MPush it forgives HeartbeatTimeouts missed intervals.
// Only whole packets count: a byte now and then keeps nothing alive.
func (c *conn) silent(now time.Duration) protocol.CloseReason {
	silence := now - milliseconds(c.lastRead.Load())
	c.mu.Lock()
	device := c.device
	c.mu.Unlock()
	if device == nil {
		allowed := c.node.patience(initialHeartbeat)
		if silence > allowed || now-milliseconds(c.opened) > c.node.opt.Limits.HandshakeTimeout {
			return protocol.CloseHandshakeTimeout
		}
		return protocol.CloseUnknown
	}
	if c.ws != nil {
		if c.keepAlive(silence) {
			return protocol.CloseIdle
		}
		return protocol.CloseUnknown
	}
	if silence > c.node.patience(device.heartbeat) {
		return protocol.CloseIdle
	}
	return protocol.CloseUnknown
}

// patience is how long a device with the given heartbeat may be silent. MPush ticks
// once an interval and closes at the tick after the last one it forgives, which is
// between three and four intervals; this is the earlier end.
func (n *Node) patience(heartbeat time.Duration) time.Duration {
	return time.Duration(n.opt.HeartbeatTimeouts+1)*heartbeat + time.Second
}
