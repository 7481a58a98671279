package server

import (
	"errors"
	"sync"

	"github.com/fanfare-push/fanfare/protocol"
)

// scratch holds the buffers in which a frame is put together.
type scratch struct{ frame, body []byte }

// maxScratch is the largest buffer that is kept for the next frame.
const maxScratch = 64 << 10

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func borrow() *scratch { return scratches.Get().(*scratch) }

func (s *scratch) giveBack() {
	if cap(s.frame) > maxScratch || cap(s.body) > maxScratch {
		return
	}
	scratches.Put(s)
}

// sendLocked writes a frame; the caller holds mu. It does not close on an error:
// the caller does, once it has let mu go.
func (c *conn) sendLocked(frame []byte) error {
	if c.end != protocol.CloseUnknown {
		return errClosed
	}
	_, err := c.write(frame)
	return err
}

// say sends a packet as it is on TCP, neither compressed nor encrypted, and as JSON
// on WebSocket. m may be nil.
func (c *conn) say(cmd protocol.Command, flags protocol.Flags, session int32, m protocol.Message) bool {
	return c.sent(func(s *scratch) error {
		frame, err := c.appendPlain(s, cmd, flags, session, m)
		if err != nil {
			return err
		}
		return c.sendLocked(frame)
	})
}

// saySealed sends a packet under the connection's cipher.
func (c *conn) saySealed(cmd protocol.Command, session int32, m protocol.Message) bool {
	return c.sent(func(s *scratch) error { return c.sealLocked(s, cmd, session, m) })
}

func (c *conn) sealLocked(s *scratch, cmd protocol.Command, session int32, m protocol.Message) error {
	if c.ws != nil {
		frame, err := c.appendPlain(s, cmd, 0, session, m)
		if err != nil {
			return err
		}
		return c.sendLocked(frame)
	}
	body, err := m.AppendBinary(s.body[:0])
	if err != nil {
		return err
	}
	s.body = body
	s.frame, err = protocol.AppendSealed(s.frame[:0], cmd, 0, session, body, c.node.opt.Limits.CompressThreshold, c.cipherLocked())
	if err != nil {
		return err
	}
	return c.sendLocked(s.frame)
}

// sent runs a sender under mu and closes the connection if it failed.
func (c *conn) sent(send func(*scratch) error) bool {
	s := borrow()
	defer s.giveBack()
	c.mu.Lock()
	err := send(s)
	c.mu.Unlock()
	if err != nil {
		c.broken(err)
	}
	return err == nil
}

// broken closes the connection after a failed write.
func (c *conn) broken(err error) {
	switch {
	case errors.Is(err, errClosed):
	case errors.Is(err, errSlow):
		c.close(protocol.CloseSlowBytes, false)
	default:
		c.close(protocol.CloseWrite, false)
	}
}

// cipherLocked is the cipher for sending, nil before a handshake and on WebSocket.
func (c *conn) cipherLocked() *protocol.Cipher {
	if c.cipher == nil && c.secured {
		c.cipher = protocol.NewCipher(c.key)
	}
	return c.cipher
}

// appendPlain puts a raw packet together in s.frame.
func (c *conn) appendPlain(s *scratch, cmd protocol.Command, flags protocol.Flags, session int32, m protocol.Message) ([]byte, error) {
	if c.ws != nil {
		s.body = protocol.AppendJSONPacket(s.body[:0], cmd, flags, session, m)
		s.frame = wsAppendFrame(s.frame[:0], wsText, s.body)
		return s.frame, nil
	}
	s.body = s.body[:0]
	if m != nil {
		var err error
		if s.body, err = m.AppendBinary(s.body); err != nil {
			return nil, err
		}
	}
	s.frame = protocol.AppendPacket(s.frame[:0], protocol.Packet{Command: cmd, Flags: flags, SessionID: session, Body: s.body})
	return s.frame, nil
}

// fail answers a packet with an error and closes the connection.
func (c *conn) fail(p *protocol.Packet, code protocol.Code, text string, reason protocol.CloseReason) verdict {
	c.refuse(p, code, text)
	c.close(reason, true)
	return stop
}

// refuse answers a packet with an error and leaves the connection open.
func (c *conn) refuse(p *protocol.Packet, code protocol.Code, text string) verdict {
	c.say(protocol.CmdError, 0, p.SessionID, &protocol.Error{Command: p.Command, Code: code, Reason: text})
	return goOn
}

// broke answers a packet whose handling failed, as MPush does for every exception.
func (c *conn) broke(p *protocol.Packet) verdict {
	return c.fail(p, protocol.CodeDispatchError, protocol.ReasonDispatchError, protocol.CloseBadBody)
}
