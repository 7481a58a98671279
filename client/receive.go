package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Receive waits for the next packet that is neither a heartbeat nor the reply to
// a request of this Conn, in practice a PUSH or a KICK, and returns it with its
// body in clear; [protocol.Packet.Unmarshal] reads it. The body belongs to the
// caller. Nothing is acknowledged: see [Conn.Ack].
//
// When ctx ends Receive returns its error and the connection lives on, no byte
// lost. Every other error is the end of the connection; [Conn.Err] keeps it.
// Passing the same context to every call is cheapest.
func (c *Conn) Receive(ctx context.Context) (protocol.Packet, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return protocol.Packet{}, ctx.Err()
	}
	defer func() { <-c.turn }()
	if len(c.queue) > 0 {
		return c.dequeue(), nil
	}
	for {
		p, err := c.next(ctx)
		if err != nil {
			return protocol.Packet{}, err
		}
		if !c.answered(&p) {
			return p, nil
		}
	}
}

// dequeue takes the oldest packet that a request left.
func (c *Conn) dequeue() protocol.Packet {
	p := c.queue[0]
	c.queue = slices.Delete(c.queue, 0, 1)
	if len(c.queue) == 0 {
		c.queue = nil
	}
	return p
}

// next reads one packet off the wire, skipping heartbeats. Call with the turn.
func (c *Conn) next(ctx context.Context) (protocol.Packet, error) {
	for {
		p, rest, ok, err := c.decoder.Next(c.unread, c.limit)
		c.unread = rest
		if err != nil {
			return p, c.fail(fmt.Errorf("reading from the server: %w", err))
		}
		if !ok {
			if err := c.fill(ctx); err != nil {
				return p, err
			}
			continue
		}
		if p.Command == protocol.CmdHeartbeat {
			continue
		}
		if err := c.open(&p); err != nil {
			return p, c.fail(fmt.Errorf("reading from the server: %w", err))
		}
		return p, nil
	}
}

// open replaces the body by its clear text in memory of its own.
func (c *Conn) open(p *protocol.Packet) error {
	if len(p.Body) == 0 {
		return nil
	}
	body, err := protocol.Open(nil, p, c.opener, c.limit)
	if err != nil {
		return err
	}
	if len(body) > 0 && &body[0] == &p.Body[0] {
		body = slices.Clone(body)
	}
	p.Body = body
	p.Flags &^= protocol.FlagCrypto | protocol.FlagCompress
	return nil
}

// fill waits for bytes.
func (c *Conn) fill(ctx context.Context) error {
	if err := c.watch(ctx); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.reading.Store(true)
		n, err := c.nc.Read(c.buf)
		c.reading.Store(false)
		if n > 0 {
			c.heard.Store(true)
			c.unread = c.buf[:n]
			return nil
		}
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			// This context ended, or the last one did, too late to stop its callback.
			// Should this one end just now, the check above sees it.
			_ = c.nc.SetReadDeadline(time.Time{})
		case errors.Is(err, io.EOF):
			return c.fail(ErrPeerClosed)
		case err != nil:
			return c.fail(fmt.Errorf("reading from the server: %w", err))
		}
	}
}
