package server

import (
	"runtime"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// broadcastChunk is after how many connections a broadcast lets others run, and looks
// whether it is to stop.
const broadcastChunk = 1000

// walk writes to every bound connection that the filters match. It holds one shard's
// connections, or users, at a time.
func (b *broadcast) walk() {
	session := b.n.nextSession()
	if b.pace.rate == 0 || b.task == nil && b.n.hub.conns.Load() <= int64(b.pace.rate) {
		b.walkConns(session)
		return
	}
	b.walkUsers(session)
}

// walkConns takes the connections in the order in which they lie in memory, as fast as
// sockets take it.
func (b *broadcast) walkConns(session int32) {
	var conns []*conn
	for shard := range hubShards {
		conns = b.n.hub.open(shard, conns[:0])
		for rest := conns; len(rest) > 0; {
			chunk := rest[:min(len(rest), broadcastChunk)]
			if o := b.stopped(); o != protocol.OutcomePending {
				b.leaveOut(b.n.hub.countBound(chunk), o)
			} else {
				b.cast(chunk, session)
			}
			rest = rest[len(chunk):]
			b.tell(time.Now())
			runtime.Gosched() // single pushes are not to wait for a whole round
		}
		clear(conns)
	}
}

// walkUsers takes user after user, as permits come. It may last so long that devices
// connect anew; with the users it knows them again. A user stays in one shard.
func (b *broadcast) walkUsers(session int32) {
	var users []string
	for shard := range hubShards {
		users = b.n.hub.bound(shard, users[:0])
		for rest := users; len(rest) > 0; {
			permits, o := b.permits()
			if permits == 0 {
				b.leaveOut(b.n.hub.count(rest), o)
				break
			}
			taken, used := b.castUsers(rest, session, permits)
			b.pace.take(used)
			rest = rest[taken:]
		}
		clear(users)
	}
}

// stopped tells with what the connections end that the broadcast had not come to;
// [protocol.OutcomePending] while it goes on.
func (b *broadcast) stopped() protocol.Outcome {
	if b.isCancelled() || b.n.quitting() {
		return protocol.OutcomeRejected
	}
	if cluster.GivenUp(b.p.Condition) {
		return protocol.OutcomeFailed
	}
	return protocol.OutcomePending
}

// permits waits until connections may be written to and returns how many. It is 0 when
// the broadcast is over, and the rest ends with o.
func (b *broadcast) permits() (n int, o protocol.Outcome) {
	for {
		if o = b.stopped(); o != protocol.OutcomePending {
			return 0, o
		}
		now := time.Now()
		b.tell(now)
		if b.task != nil {
			b.pace.setRate(b.task.pace(b.p.Rate), now)
		}
		if n = b.pace.available(now); n > 0 {
			return min(n, broadcastChunk), o
		}
		b.pause(min(b.pace.wait(), progressInterval))
	}
}

// quitting tells whether the node stops.
func (n *Node) quitting() bool {
	select {
	case <-n.quit:
		return true
	default:
		return false
	}
}

// pause returns after d, or when the broadcast is over.
func (b *broadcast) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.cancelled:
	case <-b.n.quit:
	}
}

// leaveOut ends n connections that are not written to.
func (b *broadcast) leaveOut(n int, o protocol.Outcome) {
	if n == 0 {
		return
	}
	b.n.metrics.Deliveries(o).Add(float64(n))
	b.expect(n)
	b.ended(o, n, &[protocol.NumStages]time.Time{})
}

// countBound is how many of the connections are bound, but for the node's own device.
func (h *hub) countBound(conns []*conn) (n int) {
	canary := h.canary.Load()
	for _, c := range conns {
		if c != canary && c.boundUser() != "" {
			n++
		}
	}
	return n
}

// bound appends the users of a shard to into, but for the node's own.
func (h *hub) bound(shard int, into []string) []string {
	s := &h.shard[shard]
	s.mu.RLock()
	defer s.mu.RUnlock()
	for user := range s.users {
		if !protocol.IsCanary(user) {
			into = append(into, user)
		}
	}
	return into
}

// count is how many connections the users have.
func (h *hub) count(users []string) (n int) {
	var found [maxDevices]*conn
	for _, user := range users {
		n += h.lookup(user, &found)
	}
	return n
}
