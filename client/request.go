package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// maxQueued bounds the packets that requests keep for Receive.
const maxQueued = 256

// A waiter is a request that was sent and not answered.
type waiter struct {
	command protocol.Command
	id      int32
	done    chan struct{} // closed when err is set
	err     error
}

// settle is called once, by whoever took the waiter off the list.
func (w *waiter) settle(err error) {
	w.err = err
	close(w.done)
}

// settled tells whether the answer is there.
func (w *waiter) settled() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// Bind makes the connection the user's and waits for the reply. A refusal is a
// [*ServerError], after which the server closes the connection. The user bound
// before, if another, is unbound by the server.
func (c *Conn) Bind(ctx context.Context, user, tags, credential string) error {
	return c.requestMessage(ctx, protocol.CmdBind, &protocol.Bind{UserID: user, Data: credential, Tags: tags})
}

// Unbind ends the binding and waits for the reply. MPush ignores the name of the
// user but wants one.
func (c *Conn) Unbind(ctx context.Context, user string) error {
	return c.requestMessage(ctx, protocol.CmdUnbind, &protocol.Bind{UserID: user})
}

// Push sends content to the server's application and waits for the server's
// acknowledgement, at most RequestTimeout ([ErrNoReply]).
func (c *Conn) Push(ctx context.Context, content []byte) error {
	if len(content) == 0 {
		return ErrEmpty
	}
	return c.request(ctx, protocol.CmdPush, protocol.FlagAutoAck, content)
}

// Send sends content to the server's application and does not wait.
func (c *Conn) Send(content []byte) error {
	if len(content) == 0 {
		return ErrEmpty
	}
	frame, err := c.seal(protocol.CmdPush, 0, c.lastID.Add(1), content)
	if err != nil {
		return err
	}
	return c.write(frame, time.Time{})
}

// Ack acknowledges the PUSH with this id, which is the packet's SessionID.
func (c *Conn) Ack(id int32) error {
	frame := make([]byte, 0, protocol.HeaderSize)
	return c.write(protocol.AppendHeader(frame, protocol.CmdAck, 0, id, 0), time.Time{})
}

func (c *Conn) requestMessage(ctx context.Context, cmd protocol.Command, m protocol.Message) error {
	body, err := m.AppendBinary(nil)
	if err != nil {
		return fmt.Errorf("writing %v: %w", cmd, err)
	}
	return c.request(ctx, cmd, 0, body)
}

// request sends a frame and waits for its reply.
func (c *Conn) request(parent context.Context, cmd protocol.Command, flags protocol.Flags, body []byte) error {
	ctx, cancel := context.WithTimeout(parent, c.patience)
	defer cancel()
	w := &waiter{command: cmd, id: c.lastID.Add(1), done: make(chan struct{})}
	frame, err := c.seal(cmd, flags, w.id, body)
	if err != nil {
		return err
	}
	if err := c.enlist(w); err != nil {
		return err
	}
	defer c.forget(w)
	deadline, _ := ctx.Deadline()
	if err := c.write(frame, deadline); err != nil {
		return err
	}
	err = c.await(ctx, w)
	if parent.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%v: %w", cmd, ErrNoReply)
	}
	return err
}

// await returns the answer to w, reading it itself while nobody else reads.
func (c *Conn) await(ctx context.Context, w *waiter) error {
	for {
		select {
		case <-w.done:
			return w.err
		case <-ctx.Done():
			return ctx.Err()
		case c.turn <- struct{}{}:
		}
		err := c.lead(ctx, w)
		<-c.turn // a Receive that waits comes next and may then read our reply
		if err != nil && !w.settled() {
			return err
		}
	}
}

// lead reads until w is settled or there is a packet for Receive.
func (c *Conn) lead(ctx context.Context, w *waiter) error {
	defer c.stopWatching()
	for !w.settled() {
		if len(c.queue) >= maxQueued {
			return ErrBacklog
		}
		p, err := c.next(ctx)
		if err != nil {
			return err
		}
		if !c.answered(&p) {
			c.queue = append(c.queue, p)
			return nil
		}
	}
	return nil
}

func (c *Conn) enlist(w *waiter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	c.waiters = append(c.waiters, w)
	return nil
}

func (c *Conn) forget(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.waiters, w); i >= 0 {
		c.waiters = slices.Delete(c.waiters, i, i+1)
	}
}

// answered hands a reply to the request that waits for it. The server numbers its
// pushes from 1 as we do our requests, so the command must fit too.
func (c *Conn) answered(p *protocol.Packet) bool {
	command, verdict, ok := readReply(p)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.waiters, func(w *waiter) bool { return w.command == command && w.id == p.SessionID })
	if i < 0 {
		return false
	}
	if errors.Is(verdict, errInterim) {
		return true
	}
	w := c.waiters[i]
	c.waiters = slices.Delete(c.waiters, i, i+1)
	w.settle(verdict)
	return true
}

// errInterim marks the first of the two replies to a BIND that replaces a user.
var errInterim = errors.New("the user bound before was unbound")

// readReply reads what a packet says about which command; ok is false if it is
// not a reply.
func readReply(p *protocol.Packet) (command protocol.Command, verdict error, ok bool) {
	switch p.Command {
	case protocol.CmdAck:
		return protocol.CmdPush, nil, true
	case protocol.CmdOK:
		var body protocol.OK
		if p.Unmarshal(&body) != nil {
			return 0, nil, false
		}
		if body.Command == protocol.CmdBind && body.Data == protocol.DataUnbindSuccess {
			return body.Command, errInterim, true
		}
		return body.Command, nil, true
	case protocol.CmdError:
		refused, err := refusal(p)
		if err != nil {
			return 0, nil, false
		}
		return refused.Command, refused, true
	default:
		return 0, nil, false
	}
}

// seal makes a frame, encrypted with the session's key. Encrypted requests are
// rare, so their cipher is not kept.
func (c *Conn) seal(cmd protocol.Command, flags protocol.Flags, id int32, body []byte) ([]byte, error) {
	frame, err := protocol.AppendSealed(nil, cmd, flags, id, body, c.threshold, protocol.NewCipher(c.session.Key))
	if err != nil {
		return nil, fmt.Errorf("writing %v: %w", cmd, err)
	}
	return frame, nil
}

// write sends one frame. by is a deadline of its own; zero = the usual one.
func (c *Conn) write(frame []byte, by time.Time) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if !by.IsZero() {
		_ = c.nc.SetWriteDeadline(by) // fails only as the write does
		defer func() { _ = c.nc.SetWriteDeadline(c.writeBy) }()
	}
	return c.writeLocked(frame)
}

func (c *Conn) writeLocked(frame []byte) error {
	if _, err := c.nc.Write(frame); err != nil {
		return c.fail(fmt.Errorf("writing to the server: %w", err))
	}
	return nil
}
