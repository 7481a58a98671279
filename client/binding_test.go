package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

func TestBindingFollowsTheApplication(t *testing.T) {
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		for _, want := range []struct {
			cmd protocol.Command
			protocol.Bind
		}{
			{protocol.CmdBind, protocol.Bind{UserID: "a", Tags: "x", Data: "1"}},
			{protocol.CmdBind, protocol.Bind{UserID: "a", Tags: "y"}}, // other tags: no unbind
			{protocol.CmdUnbind, protocol.Bind{UserID: "a"}},
			{protocol.CmdBind, protocol.Bind{UserID: "b"}},
			{protocol.CmdUnbind, protocol.Bind{UserID: "b"}},
			{protocol.CmdBind, protocol.Bind{UserID: "c"}},
		} {
			id, got := p.readBind(want.cmd)
			if got != want.Bind {
				p.failf("%v %+v, want %+v", want.cmd, got, want.Bind)
			}
			data := protocol.DataBindSuccess
			if want.cmd == protocol.CmdUnbind {
				data = protocol.DataUnbindSuccess
			}
			p.ok(id, want.cmd, data)
		}
		p.gone()
	})
	d, _, stop := run(t, n.options())
	waitFor(t, func() bool { return d.State() == StateConnected })
	for _, b := range []protocol.Bind{
		{UserID: "a", Tags: "x", Data: "1"}, {UserID: "a", Tags: "x", Data: "1"}, // the same again: nothing to do
		{UserID: "a", Tags: "y"}, {UserID: "b"},
	} {
		if err := d.Bind(t.Context(), b.UserID, b.Tags, b.Data); err != nil {
			t.Fatal(err)
		}
		if d.State() != StateBound {
			t.Errorf("bound to %s in state %v", b.UserID, d.State())
		}
	}
	for range 2 {
		if err := d.Unbind(t.Context()); err != nil || d.State() != StateConnected {
			t.Fatalf("unbind: %v, state %v", err, d.State())
		}
	}
	if err := d.Bind(t.Context(), "c", "", ""); err != nil {
		t.Fatal(err)
	}
	wantError(t, stop(), context.Canceled)
}

func TestBindWithoutAConnectionIsForTheNext(t *testing.T) {
	bound := make(chan struct{})
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		if b := p.bind(); b.UserID != "later" {
			p.failf("bind %+v", b)
		}
		close(bound)
		p.gone()
	})
	d, err := NewDevice(n.options())
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, d.Bind(t.Context(), "later", "", ""), ErrNotConnected)
	var option *OptionError
	if err := d.Bind(t.Context(), "", "", ""); !errors.As(err, &option) {
		t.Errorf("binding nobody: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- d.Run(ctx) }()
	<-bound
	cancel()
	wantError(t, <-end, context.Canceled)
}

func TestARefusedBindIsForgotten(t *testing.T) {
	again := make(chan struct{})
	n := listen(t, func(i int, p *peer) {
		p.shake("s", 180000)
		if i > 0 {
			close(again)
			p.gone() // no BIND comes
			return
		}
		id, _ := p.readBind(protocol.CmdBind)
		p.refuse(id, protocol.CmdBind, 0, protocol.ReasonBindFailed)
	})
	o := n.options()
	o.Backoff = Backoff{Min: time.Millisecond}
	d, _, stop := run(t, o)
	waitFor(t, func() bool { return d.State() == StateConnected })
	var refused *ServerError
	if err := d.Bind(t.Context(), "u", "", "wrong"); !errors.As(err, &refused) || refused.Reason != protocol.ReasonBindFailed {
		t.Errorf("bind: %v", err)
	}
	<-again
	wantError(t, stop(), context.Canceled)
}

func TestABindThatGetsNoReplyLeavesNobodyBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 180000)
			p.bind()
			p.unbind()
			p.readBind(protocol.CmdBind) // and no reply
			if b := p.bind(); b.UserID != "b" {
				p.failf("bind %+v", b)
			}
			p.gone()
		})
		o := n.options()
		o.User = "a"
		d, _, stop := run(t, o)
		synctest.Wait()
		wantError(t, d.Bind(t.Context(), "b", "", ""), ErrNoReply)
		if d.State() != StateConnected {
			t.Errorf("state %v", d.State())
		}
		if err := d.Bind(t.Context(), "b", "", ""); err != nil || d.State() != StateBound {
			t.Errorf("bound again: %v, state %v", err, d.State())
		}
		wantError(t, stop(), context.Canceled)
	})
}

// The callbacks run on the goroutine that receives: requests from there must not
// wait for it.
func TestRequestsFromWithinCallbacks(t *testing.T) {
	done := make(chan struct{})
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		p.bind()
		p.push(1, protocol.FlagAutoAck, "log in as another")
		push := p.read(protocol.CmdPush)
		p.push(2, protocol.FlagAutoAck, "meanwhile")
		p.write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdAck, SessionID: push.SessionID}))
		p.unbind()
		p.bind()
		p.readAck(1)
		p.readAck(2)
		close(done)
		p.gone()
	})
	o := n.options()
	o.User = "a"
	var d *Device
	ready := make(chan struct{})
	o.OnPush = func(m *Message) {
		<-ready
		if m.ID == 1 {
			if err := errors.Join(d.Push(t.Context(), []byte("up")), d.Bind(t.Context(), "b", "", "")); err != nil {
				t.Error(err)
			}
		}
	}
	d, _, stop := run(t, o)
	close(ready)
	<-done
	wantError(t, stop(), context.Canceled)
}
