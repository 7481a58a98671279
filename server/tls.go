package server

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// tlsHello is the first byte of a TLS ClientHello. Read as the start of an MPush
// frame it would announce more than 350 MB.
const tlsHello = 0x16

// sniff looks at the first bytes of a connection. It returns true if they start TLS:
// then a new reader was started that sees the same bytes decrypted.
func (c *conn) sniff(data []byte) bool {
	hello := c.node.opt.TLS != nil && data[0] == tlsHello
	c.mu.Lock()
	if hello && c.end == protocol.CloseUnknown {
		c.transport++ // TCP to TLS, WS to WSS
		c.tls = tls.Server(&tlsPipe{Conn: c.nc, s: &c.stream, first: append([]byte(nil), data...)}, c.node.opt.TLS)
	}
	c.countLocked()
	c.mu.Unlock()
	if hello {
		c.read()
	}
	return hello
}

// tlsFailed reports whether the connection is TLS whose handshake never finished.
func (c *conn) tlsFailed() bool {
	return c.tls != nil && !c.tls.ConnectionState().HandshakeComplete
}

// tlsPipe is what the TLS layer sees of a connection: reads that block its reader,
// and writes that never block anybody.
type tlsPipe struct {
	net.Conn
	s     *stream
	first []byte // read while looking for TLS
}

// Read implements net.Conn.
func (p *tlsPipe) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		if p.first = p.first[n:]; len(p.first) == 0 {
			p.first = nil // the rest of it would be kept for as long as the connection
		}
		return n, nil
	}
	return p.Conn.Read(b)
}

// Write implements net.Conn. What the socket does not take waits in the stream.
func (p *tlsPipe) Write(b []byte) (int, error) {
	if _, err := p.s.writeRaw(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// SetWriteDeadline implements net.Conn. Writes wait for nobody, and those of the stream
// behind them are not to fail from the deadlines with which TLS surrounds its last word.
func (p *tlsPipe) SetWriteDeadline(time.Time) error { return nil }
