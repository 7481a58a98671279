package client

import (
	"context"
	"errors"

	"github.com/fanfare-push/fanfare/protocol"
)

// Bind makes the device user's, unbinding another user first, and waits for the
// server's reply. It also is the binding that later connections get. Without a
// connection it is [ErrNotConnected]: the next connection binds, as it does if
// this one breaks meanwhile. A refusal is a [*ServerError]; one that is
// [ServerError.Fatal] is for good: the binding is forgotten, and as the server closes
// the connection the device reconnects without a user. After any other, as while the
// server's store is away, the next connection binds. After [ErrNoReply] nobody may be bound; bind again.
func (d *Device) Bind(ctx context.Context, user, tags, credential string) error {
	if user == "" {
		return &OptionError{"User", "is missing"}
	}
	return d.rebind(ctx, protocol.Bind{UserID: user, Data: credential, Tags: tags})
}

// Unbind ends the binding, now and for later connections, and waits for the
// server's reply. Without a connection it is [ErrNotConnected], which needs no
// action.
func (d *Device) Unbind(ctx context.Context) error { return d.rebind(ctx, protocol.Bind{}) }

// Push sends content to the server's application and waits for the server's
// acknowledgement: [ErrNoReply] after RequestTimeout, [ErrNotConnected] without a
// connection. Nothing is tried again.
func (d *Device) Push(ctx context.Context, content []byte) error {
	c := d.current()
	if c == nil {
		return ErrNotConnected
	}
	return c.Push(ctx, content)
}

// Send sends content to the server's application and does not wait.
func (d *Device) Send(content []byte) error {
	c := d.current()
	if c == nil {
		return ErrNotConnected
	}
	return c.Send(content)
}

// rebind wants another binding and brings the connection in line.
func (d *Device) rebind(ctx context.Context, want protocol.Bind) error {
	d.mu.Lock()
	d.want = want
	c := d.conn
	d.mu.Unlock()
	if c == nil {
		return ErrNotConnected
	}
	err := d.bindWanted(ctx, c)
	var refused *ServerError
	if errors.As(err, &refused) && refused.Fatal() {
		d.forgetUser(want.UserID)
	}
	return err
}

// bindWanted brings c's binding in line with the wanted one.
func (d *Device) bindWanted(ctx context.Context, c *Conn) error {
	select {
	case d.binding <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	changed, err := d.alignBinding(ctx, c)
	<-d.binding
	if changed {
		d.enterBinding(c)
	}
	return err
}

// alignBinding unbinds what is bound and binds what is wanted, as MPush's own
// devices do. changed tells whether any of that succeeded. Call holding binding.
func (d *Device) alignBinding(ctx context.Context, c *Conn) (changed bool, err error) {
	d.mu.Lock()
	want, bound := d.want, d.bound
	d.mu.Unlock()
	if want == bound {
		return false, nil
	}
	if bound.UserID != "" && bound.UserID != want.UserID {
		if err := c.Unbind(ctx, bound.UserID); err != nil {
			return false, err
		}
		d.setBound(c, protocol.Bind{})
		changed = true
	}
	if want.UserID == "" {
		return changed, nil
	}
	if err := c.Bind(ctx, want.UserID, want.Tags, want.Data); err != nil {
		return changed, err
	}
	d.setBound(c, want)
	return true, nil
}

// enterBinding enters the state that c's binding means, if c still is the
// connection.
func (d *Device) enterBinding(c *Conn) {
	d.mu.Lock()
	current, bound := d.conn == c, d.bound.UserID != ""
	d.mu.Unlock()
	switch {
	case current && bound:
		d.enter(StateBound, nil)
	case current:
		d.enter(StateConnected, nil)
	}
}

// setBound notes what c is bound to, unless another connection took its place.
func (d *Device) setBound(c *Conn, b protocol.Bind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == c {
		d.bound = b
	}
}

func (d *Device) boundUser() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bound.UserID
}

// forgetUser drops the binding to user, had and wanted.
func (d *Device) forgetUser(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.want.UserID == user {
		d.want = protocol.Bind{}
	}
	if d.bound.UserID == user {
		d.bound = protocol.Bind{}
	}
}
