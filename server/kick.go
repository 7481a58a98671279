package server

import (
	"context"
	"hash/maphash"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// Kick implements [cluster.Local]. The device gets KICK and then the close.
func (n *Node) Kick(user string, types ...protocol.ClientType) int {
	var found [maxDevices]*conn
	kicked := 0
	for _, c := range found[:n.hub.lookup(user, &found)] {
		d, ok := c.describe(user)
		if !ok || len(types) > 0 && !slices.Contains(types, d.ClientType) {
			continue
		}
		c.saySealed(protocol.CmdKick, 0, &protocol.Kick{DeviceID: d.DeviceID, UserID: user})
		c.close(protocol.CloseKicked, true)
		kicked++
	}
	return kicked
}

// evict takes the user from the connection because another one has it now, or nobody
// is to. The device is told by KICK and gets nothing any more. MPush leaves it at
// that; here the connection is closed a little later, with the reason, unless the
// device says something that shows that it understood: unbinds, binds or shakes hands.
func (c *conn) evict(user string, reason protocol.CloseReason) { c.evictOf(user, 0, reason) }

// evictOf does so if the user was bound at the given time in Unix milliseconds, 0 for
// any: it may have come back since somebody found that it was gone.
func (c *conn) evictOf(user string, since int64, reason protocol.CloseReason) {
	evicted := false
	c.sent(func(s *scratch) error {
		if c.end != protocol.CloseUnknown || c.user != user || since != 0 && c.bound != since {
			return nil // it left by itself in the meantime
		}
		evicted = true
		c.node.hub.unbind(user, c) // before it can be bound to another
		c.user, c.tags = "", ""
		c.evicted, c.bound = reason, time.Now().UnixMilli()
		c.node.metrics.Bound(c.device.class()).Dec()
		return c.sealLocked(s, protocol.CmdKick, 0, &protocol.Kick{DeviceID: c.device.id, UserID: user})
	})
	if evicted && c.node.opt.KickGrace == 0 {
		c.close(reason, true)
	}
}

// overstayed is the reason to close a connection that was evicted and said nothing
// since, or [protocol.CloseUnknown].
func (c *conn) overstayed(now time.Time) protocol.CloseReason {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.evicted == protocol.CloseUnknown || now.Sub(time.UnixMilli(c.bound)) < c.node.opt.KickGrace {
		return protocol.CloseUnknown
	}
	return c.evicted
}

// kickElsewhere tells the node that had the user's route before that it has it no more.
func (n *Node) kickElsewhere(user string, old store.Route) {
	if !old.Online || old.Address == "" || old.Address == n.place.Address {
		return
	}
	err := n.ask(exporter.StoreSendKick, func(ctx context.Context) error {
		return n.opt.Store.SendKick(ctx, store.Kick{
			User: user, DeviceID: old.DeviceID, Connection: old.Connection, ClientType: old.ClientType, Address: old.Address})
	})
	n.metrics.Kicks(exporter.DirectionOut, err == nil).Inc()
	if err != nil {
		n.kickFailed.Warn(n.log, "nodes that had users before could not be told; they find out when they next look after their routes",
			"err", err, "user", user, "gateway", old.Address)
	}
}

// kicked takes a kick that was sent to this node. It runs in the user's lane, so
// behind a bind that has written its route and is about to enter.
func (n *Node) kicked(k store.Kick) {
	n.store.wait(maphash.String(n.hub.seed, k.User), n.quit, func() { n.evictKicked(k) })
}

// evictKicked ends the connection that a kick names, if it has the user still. A route
// that is this connection's yet means that nobody took its place: somebody wants the
// user out.
func (n *Node) evictKicked(k store.Kick) {
	c := n.bound(k.User, k.Connection)
	n.metrics.Kicks(exporter.DirectionIn, c != nil).Inc()
	if c == nil {
		return
	}
	d, ok := c.describe(k.User) // the kick may name another class: its sender wrote that
	if !ok {
		return
	}
	reason := protocol.CloseReplaced
	if c.unregister(k.User, d.ClientType) {
		reason = protocol.CloseKicked
	}
	c.evict(k.User, reason)
}

// has tells whether the connection that a route names has the user in the route's class.
func (n *Node) has(user string, r *store.Route) bool {
	c := n.bound(user, r.Connection)
	if c == nil {
		return false
	}
	d, ok := c.describe(user)
	return ok && d.ClientType == r.ClientType
}

// bound finds the connection of that name which has the user, nil if none does.
func (n *Node) bound(user, connection string) *conn {
	var found [maxDevices]*conn
	for _, c := range found[:n.hub.lookup(user, &found)] {
		if c.name() == connection {
			return c
		}
	}
	return nil
}
