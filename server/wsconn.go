package server

import (
	"bytes"
	"errors"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// wsConn is what a WebSocket connection has beyond a conn.
type wsConn struct {
	upgrade  wsUpgrade
	dec      wsDecoder
	upgraded bool   // frames flow; guarded by conn.mu for writing and by the inbound side
	code     uint16 // close code that a violation asks for, or that the peer sent, instead of the reason's own; guarded by conn.mu
	text     string // the reason text of the peer's close frame; guarded by conn.mu
}

// framed reports whether a close frame can be sent; the caller holds conn.mu.
func (w *wsConn) framed() bool { return w.upgraded }

// sayAtClose sets the code and text of the close frame that will be sent.
func (c *conn) sayAtClose(code uint16, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws.code, c.ws.text = code, text
}

// sendCloseLocked sends the close frame for a reason, unless the peer hung up
// without one. It reports whether there is a last word to be let through; the caller
// holds mu.
func (c *conn) sendCloseLocked(reason protocol.CloseReason) (farewell bool) {
	code, text := reason.WebSocketCode(), c.ws.text
	switch {
	case c.ws.code != 0:
		code = c.ws.code
	case reason == protocol.ClosePeer, reason == protocol.CloseReset, reason == protocol.CloseWrite:
		return false
	}
	if text == "" {
		text = wsReasonText(code, reason)
	}
	return c.sendLocked(wsAppendClose(nil, code, text)) == nil
}

// wsReasonText is the text beside a close code. MPush says "Bye" with 1000.
func wsReasonText(code uint16, reason protocol.CloseReason) string {
	if code == 1000 {
		return "Bye"
	}
	return reason.String()
}

// receiveWebSocket takes bytes of the upgrade request and of the frames behind it.
func (c *conn) receiveWebSocket(data []byte) bool {
	if !c.ws.upgraded {
		rest, ok := c.upgrade(data)
		if !ok {
			return !c.isClosed()
		}
		data = rest
	}
	return c.pass(data, c.cutFrame)
}

// upgrade answers the HTTP request; ok is true once frames follow, from rest on.
func (c *conn) upgrade(data []byte) (rest []byte, ok bool) {
	reply, done, err := c.ws.upgrade.next(data, &c.node.wsPolicy)
	if !done {
		return nil, false
	}
	if len(reply.Response) > 0 {
		c.mu.Lock()
		sendErr := c.sendLocked(reply.Response)
		c.ws.upgraded = reply.Upgraded && sendErr == nil
		c.mu.Unlock()
		if sendErr != nil {
			c.broken(sendErr)
			return nil, false
		}
	}
	if reply.Upgraded {
		c.touch()
		return reply.Rest, true
	}
	reason := protocol.CloseBadRequest
	if errors.Is(err, errHeadTooLarge) {
		reason = protocol.CloseTooLarge
	}
	c.close(reason, true)
	return nil, false
}

// errGoodbye: the peer sent a close frame.
var errGoodbye = errors.New("peer closes")

// cutFrame cuts the next packet off data, answering control frames on the way.
func (c *conn) cutFrame(data []byte) (p protocol.Packet, rest []byte, ok bool, err error) {
	for len(data) > 0 {
		var m wsMessage
		if m, data, ok, err = c.ws.dec.next(data, c.node.opt.Limits.WebSocketBytes); err != nil || !ok {
			return p, nil, false, err
		}
		switch m.Opcode {
		case wsText:
			return c.parseText(m.Payload, data)
		case wsBinary:
			c.sayAtClose(1000, "")
			return p, nil, false, protocol.ErrNotJSON
		case wsClose:
			return p, nil, false, c.answerClose(m.Payload)
		case wsPing:
			c.touch()
			c.control(wsPong, m.Payload)
		case wsPong:
			c.touch()
			c.mu.Lock()
			c.pinged = false
			c.mu.Unlock()
		}
	}
	return p, nil, false, nil
}

// parseText makes a packet of a text frame. Text that is not a JSON object closes
// with 1000 and without an error, as in MPush; a packet that denies being JSON is
// answered first.
func (c *conn) parseText(text, rest []byte) (protocol.Packet, []byte, bool, error) {
	p, err := protocol.ParseJSONPacket(text)
	switch {
	case errors.Is(err, protocol.ErrNotJSONBody):
		c.broke(&p)
		return p, nil, false, err
	case err != nil:
		c.sayAtClose(1000, "")
		return p, nil, false, err
	}
	return p, rest, true, nil
}

// answerClose returns the peer's close frame to it.
func (c *conn) answerClose(payload []byte) error {
	code, text, err := wsParseClose(payload)
	if err != nil {
		return err
	}
	if code == wsCodeNoStatus {
		code = 1000
	}
	c.sayAtClose(code, text)
	c.close(protocol.ClosePeer, true)
	return errGoodbye
}

// control sends a control frame.
func (c *conn) control(op wsOpcode, payload []byte) {
	payload = bytes.Clone(payload)
	c.sent(func(s *scratch) error {
		s.frame = wsAppendFrame(s.frame[:0], op, payload)
		return c.sendLocked(s.frame)
	})
}

// keepAlive pings a silent WebSocket and reports whether it has been silent for too
// long. MPush lets them live for ever.
func (c *conn) keepAlive(silence time.Duration) (dead bool) {
	interval := c.node.opt.WebSocketPing
	if silence > 3*interval {
		return true
	}
	c.mu.Lock()
	ping := c.ws.upgraded && silence > interval && !c.pinged
	if ping {
		c.pinged = true
	}
	c.mu.Unlock()
	if ping {
		c.control(wsPing, nil)
	}
	return false
}
