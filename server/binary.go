package server

import (
	"errors"

	"github.com/fanfare-push/fanfare/protocol"
)

// receiveBinary takes bytes of the MPush binary protocol.
func (c *conn) receiveBinary(data []byte) bool {
	return c.pass(data, func(data []byte) (protocol.Packet, []byte, bool, error) {
		return c.dec.Next(data, c.node.opt.Limits.PacketBytes)
	})
}

// refuseBytes closes the connection over bytes that are no packets. On the binary
// protocol nothing is answered, as in MPush.
func (c *conn) refuseBytes(err error) {
	reason := protocol.CloseBadFrame
	if errors.Is(err, protocol.ErrTooLarge) {
		reason = protocol.CloseTooLarge
	}
	var violation *wsError
	if errors.As(err, &violation) {
		c.sayAtClose(violation.Code, "")
		if violation.Code == wsCodeTooLarge {
			reason = protocol.CloseTooLarge
		}
	}
	c.close(reason, false)
}

// open decrypts and inflates a packet's body in place.
func (c *conn) open(p *protocol.Packet) error {
	if c.ws == nil && p.Flags&protocol.FlagJSONBody != 0 {
		return protocol.ErrNotJSONBody // JSON is spoken on the WebSocket port only
	}
	var cipher *protocol.Cipher
	if p.Flags&protocol.FlagCrypto != 0 && len(p.Body) > 0 {
		c.mu.Lock()
		secured, key := c.secured, c.key
		c.mu.Unlock()
		if !secured {
			// Before the handshake MPush decrypts with its RSA key whatever comes. Only a
			// handshake is ever sent so; the rest fails here as it does there.
			return protocol.ErrDecrypt
		}
		cipher = protocol.NewCipher(key)
	}
	body, err := protocol.Open(nil, p, cipher, c.node.opt.Limits.InflatedBytes)
	if err != nil {
		return err
	}
	p.Body = body
	p.Flags &^= protocol.FlagCrypto | protocol.FlagCompress
	return nil
}

// decode decodes a request; on false it was answered and the connection is closed.
// An empty body decodes to empty fields whatever the flags say, as in MPush.
func (c *conn) decode(p *protocol.Packet, m protocol.Message) bool {
	if len(p.Body) == 0 || c.open(p) == nil && p.Unmarshal(m) == nil {
		return true
	}
	c.broke(p)
	return false
}
