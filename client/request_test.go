package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

func TestRequestsWithoutAReceiver(t *testing.T) {
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		if b := p.bind(); b != (protocol.Bind{UserID: "u", Tags: "vip", Data: "secret"}) {
			p.failf("bind %+v", b)
		}
		push := p.read(protocol.CmdPush)
		if string(push.Body) != "up" || push.Flags&protocol.FlagAutoAck == 0 || push.Flags&protocol.FlagCrypto == 0 {
			p.failf("push flags %d %q", push.Flags, push.Body)
		}
		p.write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdAck, SessionID: push.SessionID}))
		if push := p.read(protocol.CmdPush); string(push.Body) != strings.Repeat("big", 1000) || push.Flags&protocol.FlagCompress == 0 || push.Flags&protocol.FlagAutoAck != 0 {
			p.failf("push flags %d, %d bytes", push.Flags, len(push.Body))
		}
		p.unbind()
		p.gone()
	})
	c := dialNode(t, n.options())
	for name, err := range map[string]error{
		"bind":   c.Bind(t.Context(), "u", "vip", "secret"),
		"push":   c.Push(t.Context(), []byte("up")),
		"send":   c.Send([]byte(strings.Repeat("big", 1000))),
		"unbind": c.Unbind(t.Context(), "u"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantError(t, c.Push(t.Context(), nil), ErrEmpty)
	wantError(t, c.Send(nil), ErrEmpty)
}

// The server numbers its pushes as we number our requests: the Java client takes
// such a push for the reply.
func TestAPushWithTheNumberOfARequestIsNoReply(t *testing.T) {
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		id, _ := p.readBind(protocol.CmdBind)
		p.push(id, 0, "not the reply")
		p.ok(id, protocol.CmdUnbind, protocol.DataUnbindSuccess)
		p.ok(id+1, protocol.CmdBind, protocol.DataBindSuccess)
		p.refuse(id, protocol.CmdBind, 0, protocol.ReasonBindFailed)
	})
	c := dialNode(t, n.options())
	err := c.Bind(t.Context(), "u", "", "")
	var refused *ServerError
	if !errors.As(err, &refused) || !refused.Fatal() || refused.Reason != protocol.ReasonBindFailed {
		t.Fatalf("bind: %v", err)
	}
	if p := receivePush(t, c); string(p.Body) != "not the reply" {
		t.Errorf("received %q", p.Body)
	}
	for range 2 { // replies to nobody go to the receiver
		if p, err := c.Receive(t.Context()); err != nil || p.Command != protocol.CmdOK {
			t.Errorf("received %v, %v", p.Command, err)
		}
	}
}

func TestABindThatReplacesAUserHasTwoReplies(t *testing.T) {
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		p.bind()
		id, _ := p.readBind(protocol.CmdBind)
		p.ok(id, protocol.CmdBind, protocol.DataUnbindSuccess)
		p.push(1, 0, "between")
		p.ok(id, protocol.CmdBind, protocol.DataBindSuccess)
		p.push(2, 0, "after")
		p.gone()
	})
	c := dialNode(t, n.options())
	for _, user := range []string{"first", "second"} {
		if err := c.Bind(t.Context(), user, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"between", "after"} {
		if p := receivePush(t, c); string(p.Body) != want {
			t.Errorf("received %q, want %q", p.Body, want)
		}
	}
}

func TestRequestsBesideAReceiver(t *testing.T) {
	const workers, each = 6, 20
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		for id := range int32(workers * each) {
			push := p.read(protocol.CmdPush)
			p.push(id, 0, string(push.Body))
			p.write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdAck, SessionID: push.SessionID}))
		}
		p.gone()
	})
	c := dialNode(t, n.options())
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				if err := c.Push(t.Context(), fmt.Appendf(nil, "%d/%d", w, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := map[string]bool{}
	for id := range int32(workers * each) {
		p := receivePush(t, c)
		if p.SessionID != id {
			t.Fatalf("push %d came as number %d: order lost", p.SessionID, id)
		}
		seen[string(p.Body)] = true
	}
	wg.Wait()
	if len(seen) != workers*each {
		t.Errorf("%d different pushes, want %d", len(seen), workers*each)
	}
}

func TestRequestsThatGetNoReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 180000)
			for range 3 {
				p.read(protocol.CmdPush)
			}
			p.gone()
		})
		o := n.options()
		o.RequestTimeout = 7 * time.Second
		c, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		start := time.Now()
		wantError(t, c.Push(t.Context(), []byte("x")), ErrNoReply)
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("gave up after %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, c.Push(ctx, []byte("x")), context.DeadlineExceeded)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		wantError(t, c.Push(ctx, []byte("x")), context.Canceled)
		if c.Err() != nil || len(c.waiters) != 0 {
			t.Errorf("connection %v, %d waiters left", c.Err(), len(c.waiters))
		}
	})
}

func TestTheBacklogOfARequestIsBounded(t *testing.T) {
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		id, _ := p.readBind(protocol.CmdBind)
		for i := range int32(maxQueued + 1) {
			p.push(i, 0, "flood")
		}
		p.ok(id, protocol.CmdBind, protocol.DataBindSuccess)
		p.gone()
	})
	c := dialNode(t, n.options())
	wantError(t, c.Bind(t.Context(), "u", "", ""), ErrBacklog)
	for i := range int32(maxQueued + 1) { // nothing was lost
		if p := receivePush(t, c); p.SessionID != i {
			t.Fatalf("push %d came as number %d", p.SessionID, i)
		}
	}
}

func TestAWriteThatBlocksEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		n := newNode(t, func(_ int, p *peer) { p.shake("s", 180000); <-stop })
		o := n.options()
		o.RequestTimeout = 3 * time.Second
		c, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer close(stop)
		defer c.Close()
		start := time.Now()
		if err := c.Push(t.Context(), []byte("x")); err == nil {
			t.Error("a push that nobody reads succeeded")
		}
		if took := time.Since(start); took != 3*time.Second || c.Err() == nil {
			t.Errorf("after %v the connection is %v", took, c.Err())
		}
	})
}

func TestFatalRefusals(t *testing.T) {
	for _, c := range []struct {
		ServerError
		fatal bool
	}{
		{ServerError{protocol.CmdHandshake, protocol.CodeDispatchError, protocol.ReasonDispatchError}, true},
		{ServerError{protocol.CmdHandshake, 0, protocol.ReasonParamInvalid}, true},
		{ServerError{protocol.CmdHandshake, protocol.CodeRepeatHandshake, protocol.ReasonRepeatHandshake}, false},
		{ServerError{protocol.CmdBind, 0, protocol.ReasonBindFailed}, true},
		{ServerError{protocol.CmdBind, 0, protocol.ReasonInvalidParam}, true},
		{ServerError{protocol.CmdBind, 0, protocol.ReasonNotHandshake}, false},
		{ServerError{protocol.CmdBind, protocol.CodeDispatchError, protocol.ReasonDispatchError}, false},
		{ServerError{protocol.CmdFastConnect, protocol.CodeSessionExpired, protocol.ReasonSessionExpired}, false},
		{ServerError{protocol.CmdHTTPProxy, protocol.CodeUnsupportedCommand, protocol.ReasonUnsupportedCommand}, false},
	} {
		if c.Fatal() != c.fatal {
			t.Errorf("%v: fatal %v", &c.ServerError, c.Fatal())
		}
		if text := c.Error(); !strings.Contains(text, c.Command.String()) || !strings.Contains(text, c.Reason) {
			t.Errorf("text %q", text)
		}
	}
}
