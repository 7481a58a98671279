package server

import (
	"context"
	"time"
	"unique"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// onFastConnect resumes a session without public-key work. The user is not
// restored: every SDK binds again.
func (c *conn) onFastConnect(p *protocol.Packet) verdict {
	var m protocol.FastConnect
	started := time.Now()
	count := func(result exporter.HandshakeResult) {
		c.node.metrics.Handshakes(exporter.Fast, result).Inc()
	}
	if !c.decode(p, &m) {
		count(exporter.HandshakeFailed)
		return stop
	}
	request := protocol.Packet{Command: p.Command, SessionID: p.SessionID}
	v := c.later(c.node.store, c.id, func() {
		defer c.resume()
		s, code := c.node.findSession(&m)
		if code != protocol.CodeNone {
			count(exporter.HandshakeRefused)
			c.refuse(&request, code, code.Reason())
			return
		}
		heartbeat := c.node.clampHeartbeat(m.MaxHeartbeat)
		c.leave() // MPush leaves a ghost of the user here
		device := &device{
			id: s.DeviceID, osName: unique.Make(s.OSName), osVersion: unique.Make(s.OSVersion),
			clientVersion: unique.Make(s.ClientVersion), heartbeat: heartbeat,
		}
		reply := &protocol.FastConnectOK{Heartbeat: int32(heartbeat.Milliseconds())}
		if c.say(protocol.CmdFastConnect, 0, request.SessionID, reply) {
			c.adopt(device, &s.Key)
			count(exporter.HandshakeOK)
			c.node.metrics.HandshakeDuration(exporter.Fast).Observe(time.Since(started).Seconds())
		}
	})
	if v == stop {
		count(exporter.HandshakeOverload)
	}
	return v
}

// findSession loads the session that a device names and compares the device. A
// store that fails looks like an expired session: the device falls back to a full
// handshake.
func (n *Node) findSession(m *protocol.FastConnect) (store.Session, protocol.Code) {
	var s store.Session
	var ok bool
	err := n.ask(exporter.StoreLoadSession, func(ctx context.Context) (err error) {
		s, ok, err = n.opt.Store.LoadSession(ctx, m.SessionID)
		return err
	})
	switch {
	case err != nil:
		n.storeFailed(&n.loadFailed, err, "sessions were not loaded, their devices are told that they expired")
		return s, protocol.CodeSessionExpired
	case !ok:
		return s, protocol.CodeSessionExpired
	case s.DeviceID != m.DeviceID:
		return s, protocol.CodeInvalidDevice
	}
	return s, protocol.CodeNone
}
