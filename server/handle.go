package server

import (
	"github.com/fanfare-push/fanfare/protocol"
)

// handle does what a packet asks. It is the device port's table of commands.
func (c *conn) handle(p *protocol.Packet) verdict {
	switch p.Command {
	case protocol.CmdHeartbeat:
		if c.ws == nil {
			return c.onHeartbeat()
		}
	case protocol.CmdHandshake:
		return c.onHandshake(p)
	case protocol.CmdFastConnect:
		if c.ws == nil {
			return c.onFastConnect(p)
		}
	case protocol.CmdBind:
		return c.onBind(p)
	case protocol.CmdUnbind:
		return c.onUnbind(p)
	case protocol.CmdPush:
		return c.onPush(p)
	case protocol.CmdAck:
		return c.onAck(p)
	case protocol.CmdHTTPProxy:
		if c.ws == nil {
			return c.onHTTPProxy(p)
		}
	}
	return c.fail(p, protocol.CodeUnsupportedCommand, protocol.ReasonUnsupportedCommand, protocol.CloseUnsupported)
}

var heartbeat = []byte{protocol.HeartbeatByte}

// onHeartbeat answers in a write of its own: the Objective-C SDK recognises the
// byte only when it arrives alone.
func (c *conn) onHeartbeat() verdict {
	c.node.metrics.Heartbeats.Inc()
	c.mu.Lock()
	err := c.sendLocked(heartbeat)
	c.mu.Unlock()
	if err != nil {
		c.broken(err)
		return stop
	}
	return goOn
}

// onPush takes what a device pushes to the server. As in MPush neither handshake
// nor bind is needed; an ack is sent if the device asks for one.
func (c *conn) onPush(p *protocol.Packet) verdict {
	var push protocol.Push
	if !c.decode(p, &push) {
		return stop
	}
	c.mu.Lock()
	user, device := c.user, c.device
	c.mu.Unlock()
	id := ""
	if device != nil {
		id = device.id
	}
	if received := c.node.opt.Received; received != nil {
		received(user, id, push.Content)
	} else {
		c.node.log.Debug("push from a device", "conn", c.name(), "user", user, "device", id, "bytes", len(push.Content))
	}
	if p.Flags&protocol.FlagAutoAck != 0 {
		c.say(protocol.CmdAck, 0, p.SessionID, nil)
	}
	return goOn
}

// onAck ends the delivery that waits for it on this connection. An ack for anything
// else counts for nothing.
func (c *conn) onAck(p *protocol.Packet) verdict {
	if len(p.Body) > 0 && c.ws == nil && c.open(p) != nil {
		return c.broke(p)
	}
	if d := c.takeAck(p.SessionID); d != nil {
		d.acked()
	}
	return goOn
}
