package server

import (
	"context"
	"hash/maphash"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// onBind binds the connection to a user. The order of the checks is MPush's.
func (c *conn) onBind(p *protocol.Packet) verdict {
	m, ok := c.bindRequest(p)
	if !ok {
		return stop
	}
	request := protocol.Packet{Command: p.Command, SessionID: p.SessionID}
	lane := maphash.String(c.node.hub.seed, m.UserID) // binds of one user run one after the other
	return c.later(c.node.store, lane, func() {
		c.bindUser(&request, m)
		c.resume()
	})
}

// onUnbind unbinds whoever is bound; MPush ignores the user that the request names.
// Unlike MPush, which fails and closes, it also succeeds when nobody is bound, which
// is what a device that was kicked finds.
func (c *conn) onUnbind(p *protocol.Packet) verdict {
	if _, ok := c.bindRequest(p); !ok {
		return stop
	}
	session := p.SessionID
	return c.later(c.node.store, c.id, func() {
		c.leave()
		c.say(protocol.CmdOK, 0, session, &protocol.OK{Command: protocol.CmdUnbind, Data: protocol.DataUnbindSuccess})
		c.resume()
	})
}

// maxTagsBytes bounds the tags of a connection, which are kept with it.
const maxTagsBytes = 8 << 10

// bindRequest decodes and checks BIND and UNBIND. On false it was answered.
func (c *conn) bindRequest(p *protocol.Packet) (m protocol.Bind, ok bool) {
	clear := c.ws == nil && p.Flags&protocol.FlagCrypto == 0
	if !c.decode(p, &m) {
		return m, false
	}
	m.UserID = strings.ToValidUTF8(m.UserID, "\uFFFD") // as Java decodes it
	m.Tags = strings.ToValidUTF8(m.Tags, "\uFFFD")
	c.mu.Lock()
	known := c.device != nil
	c.mu.Unlock()
	switch {
	case m.UserID == "" || len(m.UserID) > c.node.opt.Limits.UserBytes || len(m.Tags) > maxTagsBytes || known && clear && c.node.opt.RequireEncryption:
		c.fail(p, protocol.CodeNone, protocol.ReasonInvalidParam, protocol.CloseBadRequest)
		return m, false
	case !known:
		c.fail(p, protocol.CodeNone, protocol.ReasonNotHandshake, protocol.CloseBadRequest)
		return m, false
	}
	return m, true
}

// bindUser does the part of BIND that asks the validator and the store.
func (c *conn) bindUser(p *protocol.Packet, m protocol.Bind) {
	if c.isClosed() {
		return // its route would take the place of the connection that came after it
	}
	if !c.node.mayBind(m) {
		c.fail(p, protocol.CodeNone, protocol.ReasonBindFailed, protocol.CloseBindRefused)
		return
	}
	success := func(data string) bool {
		return c.say(protocol.CmdOK, 0, p.SessionID, &protocol.OK{Command: protocol.CmdBind, Data: data})
	}
	switch c.retag(m) {
	case sameUser:
		success(protocol.DataBindSuccess)
		return
	case otherUser:
		c.leave()
		if !success(protocol.DataUnbindSuccess) { // MPush sends both, with the command of BIND
			return
		}
	}
	c.node.binding.add(c.id)
	defer c.node.binding.remove(c.id)
	route, old, err := c.register(m)
	if err != nil {
		c.node.storeFailed(&c.node.bindFailed, err, "binding failed, devices are told to try again", "conn", c.name(), "user", m.UserID)
		// Not "bind failed", which tells a device that its user is refused for good.
		c.fail(p, protocol.CodeDispatchError, protocol.ReasonDispatchError, protocol.CloseStore)
		return
	}
	replaced, bound := c.enter(m, p.SessionID, route.Since)
	if !bound {
		// Whoever had the user lost the route to this connection. It is to know that,
		// rather than to wait for pushes that do not find it.
		c.unregister(m.UserID, route.ClientType)
		replaced = c.node.bound(m.UserID, old.Connection)
	}
	if replaced != nil {
		replaced.evict(m.UserID, protocol.CloseReplaced)
	}
	c.node.kickElsewhere(m.UserID, old)
}

// mayBind asks the validator. The users of nodes themselves are for their own devices.
func (n *Node) mayBind(m protocol.Bind) bool {
	if protocol.IsCanary(m.UserID) {
		return n.admits(m)
	}
	return n.opt.Validate == nil || n.opt.Validate(m.UserID, m.Data)
}

// binding is how a BIND relates to the user that is bound.
type binding int

const (
	nobody binding = iota
	sameUser
	otherUser
)

// retag replaces the tags if the user is bound already.
func (c *conn) retag(m protocol.Bind) binding {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.user {
	case "":
		return nobody
	case m.UserID:
		c.tags = m.Tags
		return sameUser
	}
	return otherUser
}

// enter makes the connection visible to pushes and confirms the bind in one step,
// so that no push overtakes the confirmation and none misses it. since is that of the
// route, so that it is claimed again as what it was: no younger than one that replaced it.
func (c *conn) enter(m protocol.Bind, session int32, since time.Time) (replaced *conn, bound bool) {
	bound = true
	c.sent(func(s *scratch) error {
		if c.end != protocol.CloseUnknown {
			bound = false
			return errClosed
		}
		class := c.device.class()
		c.user, c.tags, c.bound = m.UserID, m.Tags, since.UnixMilli()
		c.evicted = protocol.CloseUnknown
		replaced = c.node.hub.bind(m.UserID, class, c)
		c.node.metrics.Bound(class).Inc()
		frame, err := c.appendPlain(s, protocol.CmdOK, 0, session, &protocol.OK{Command: protocol.CmdBind, Data: protocol.DataBindSuccess})
		if err != nil {
			return err
		}
		return c.sendLocked(frame)
	})
	return replaced, bound
}

// leave unbinds the connection, waiting for the store.
func (c *conn) leave() {
	if user, class := c.forgetUser(); user != "" {
		c.unregister(user, class)
	}
}

// forgetUser makes the connection invisible to pushes. Whoever clears conn.user
// accounts for it. The class is that of the device that was bound: another one may be
// shaking hands. user is empty if nobody was bound.
func (c *conn) forgetUser() (user string, class protocol.ClientType) {
	c.mu.Lock()
	user, device := c.user, c.device
	c.user, c.tags, c.evicted = "", "", protocol.CloseUnknown
	if user != "" {
		c.node.hub.unbind(user, c)
	}
	c.mu.Unlock()
	if user == "" {
		return "", class
	}
	class = device.class()
	c.node.metrics.Bound(class).Dec()
	return user, class
}

// register writes the route of a user to this connection and returns it and the
// online route that it replaced, if any. The caller runs in the user's lane of
// the store pool.
func (c *conn) register(m protocol.Bind) (route, old store.Route, err error) {
	route = c.route(time.Now())
	err = c.node.ask(exporter.StorePutRoute, func(ctx context.Context) (err error) {
		old, _, err = c.node.opt.Store.PutRoute(ctx, m.UserID, route)
		return err
	})
	if err != nil {
		// The write may have been done all the same, with only its answer lost.
		c.node.dropLater(m.UserID, route)
	}
	return route, old, err
}

// route is the route to this connection for a user bound at the given time.
func (c *conn) route(since time.Time) store.Route {
	c.mu.Lock()
	d := c.device
	c.mu.Unlock()
	return store.Route{
		Node: c.node.opt.ID, Address: c.node.place.Address, PublicIP: c.node.place.PublicIP, Connection: c.name(),
		DeviceID: d.id, OSName: d.osName.Value(), OSVersion: d.osVersion.Value(),
		ClientVersion: d.clientVersion.Value(), ClientType: d.class(), Since: since, Online: true,
	}
}

// unregister takes the route back if this connection still owns it, which it reports.
func (c *conn) unregister(user string, class protocol.ClientType) (owned bool) {
	return c.node.dropRoute(user, store.Route{
		ClientType: class, Connection: c.name(), Address: c.node.place.Address, PublicIP: c.node.place.PublicIP})
}
