package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// history collects what a device tells its application.
type history struct {
	mu     sync.Mutex
	states []State
	pushes []string
}

func (h *history) watch(o *DeviceOptions) {
	o.OnState = func(s State, _ error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.states = append(h.states, s)
	}
	o.OnPush = func(m *Message) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.pushes = append(h.pushes, string(m.Content))
	}
}

// run starts a device; stop ends it and returns what Run returned.
func run(t *testing.T, o DeviceOptions) (d *Device, end <-chan error, stop func() error) {
	t.Helper()
	d, err := NewDevice(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return d, ended, func() error { cancel(); return <-ended }
}

func TestDeviceReceivesAcknowledgesAndStops(t *testing.T) {
	acked := make(chan struct{})
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		if b := p.bind(); b != (protocol.Bind{UserID: "u", Tags: "vip", Data: "pass"}) {
			p.failf("bind %+v", b)
		}
		p.push(1, 0, "none")
		p.push(2, protocol.FlagAutoAck, "auto")
		p.readAck(2)
		p.push(3, protocol.FlagBizAck, "biz")
		p.push(4, protocol.FlagAutoAck|protocol.FlagBizAck, "both")
		p.readAck(4)
		p.readAck(3)
		close(acked)
		p.gone()
	})
	o := n.options()
	o.User, o.Tags, o.Credential = "u", "vip", "pass"
	var h history
	h.watch(&o)
	var biz *Message
	collect := o.OnPush
	o.OnPush = func(m *Message) {
		collect(m)
		if m.Mode == protocol.AckBiz {
			biz = m
		}
		if m.ID == 4 { // the business acknowledges after a later message
			defer func() { go biz.Ack() }()
			if err := m.Ack(); err != nil {
				t.Error(err)
			}
		}
	}
	d, _, stop := run(t, o)
	<-acked
	for range 2 { // once is enough
		if err := biz.Ack(); err != nil {
			t.Error(err)
		}
	}
	if d.State() != StateBound {
		t.Errorf("state %v", d.State())
	}
	wantError(t, d.Run(t.Context()), ErrRunning)
	wantError(t, stop(), context.Canceled)
	if want := []string{"none", "auto", "biz", "both"}; !slices.Equal(h.pushes, want) {
		t.Errorf("pushes %q", h.pushes)
	}
	if want := []State{StateConnecting, StateConnected, StateBound, StateStopped}; !slices.Equal(h.states, want) {
		t.Errorf("states %v", h.states)
	}
	wantError(t, d.Push(t.Context(), []byte("x")), ErrNotConnected)
	wantError(t, d.Send([]byte("x")), ErrNotConnected)
}

func TestAutoAckComesAfterTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const busy = 20 * time.Minute
		done := make(chan struct{})
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 60_000)
			start := time.Now()
			p.push(1, protocol.FlagAutoAck, "slow work")
			p.readAck(1) // heartbeats come meanwhile
			if took := time.Since(start); took != busy {
				p.failf("acknowledged after %v", took)
			}
			close(done)
			p.gone()
		})
		o := n.options()
		o.OnPush = func(*Message) { time.Sleep(busy) }
		_, _, stop := run(t, o)
		<-done
		wantError(t, stop(), context.Canceled)
	})
}

func TestDeviceWithoutAHandlerAcknowledges(t *testing.T) {
	done := make(chan struct{})
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		p.write(protocol.AppendHeader(nil, protocol.CmdChat, 0, 1, 0)) // unknown to us
		p.refuse(9, protocol.CmdHandshake, protocol.CodeRepeatHandshake, protocol.ReasonRepeatHandshake)
		p.push(1, protocol.FlagAutoAck, "dropped")
		p.readAck(1)
		close(done)
		p.gone()
	})
	_, _, stop := run(t, n.options())
	<-done
	wantError(t, stop(), context.Canceled)
}

func isRefused(life time.Duration) bool { return life == 0 }

func TestReconnectsBackOffAndStartOverAfterAStableConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const refused, stable = 0, 5 * time.Minute // how long a connection lives
		lives := []time.Duration{refused, refused, refused, time.Second, stable, refused, refused}
		b := Backoff{Min: 2 * time.Second, Max: 10 * time.Second, Stable: time.Minute}
		ceilings := []time.Duration{2, 4, 8, 10, 2, 4} // seconds before attempt 1, 2, …
		n := newNode(t, func(i int, p *peer) {
			p.shake("s", 180000)
			hangup := time.AfterFunc(slices.DeleteFunc(slices.Clone(lives), isRefused)[i], func() { p.nc.Close() })
			defer hangup.Stop()
			p.gone()
		})
		var dialed, ended []time.Time
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := n.options()
		o.Backoff = b
		o.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			i := len(dialed)
			dialed = append(dialed, time.Now())
			if i == len(lives)-1 {
				cancel()
			}
			if lives[i] == refused {
				return nil, errors.New("refused by the test")
			}
			return n.dial(ctx, network, address)
		}
		o.OnState = func(s State, _ error) {
			if s == StateWaiting {
				ended = append(ended, time.Now())
			}
		}
		d, err := NewDevice(o)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, d.Run(ctx), context.Canceled)
		if len(dialed) != len(lives) || len(ended) != len(ceilings) {
			t.Fatalf("%d attempts, %d waits", len(dialed), len(ended))
		}
		for i, ceiling := range ceilings {
			if wait := dialed[i+1].Sub(ended[i]); wait <= 0 || wait > ceiling*time.Second {
				t.Errorf("wait %d was %v, want at most %ds", i, wait, ceiling)
			}
		}
	})
}

func TestReconnectResumesAndBindsAgain(t *testing.T) {
	sessions := make(chan Session, 1)
	done := make(chan struct{})
	n := listen(t, func(i int, p *peer) {
		if i == 0 {
			p.shake("34b37ed163965735ab20c62bdb98ee53", 180000)
		} else {
			p.resume(<-sessions, 180000)
		}
		sessions <- p.session
		if b := p.bind(); b.UserID != "u" {
			p.failf("bind %+v", b)
		}
		if i == 2 {
			close(done)
			p.gone()
		}
	})
	o := n.options()
	o.User, o.SessionStore, o.Backoff = "u", new(MemorySessions), Backoff{Min: time.Millisecond}
	_, _, stop := run(t, o)
	<-done
	wantError(t, stop(), context.Canceled)
}

func TestWhatEndsRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(p *peer)
	}{
		{"handshake refused", func(p *peer) {
			p.refuse(p.read(protocol.CmdHandshake).SessionID, protocol.CmdHandshake, protocol.CodeDispatchError, protocol.ReasonDispatchError)
		}},
		{"user refused", func(p *peer) {
			p.shake("s", 180000)
			id, _ := p.readBind(protocol.CmdBind)
			p.refuse(id, protocol.CmdBind, 0, protocol.ReasonBindFailed)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := listen(t, func(i int, p *peer) {
				if i > 0 {
					p.failf("tried again")
				}
				c.script(p)
			})
			o := n.options()
			o.User, o.Backoff = "u", Backoff{Min: time.Millisecond}
			d, end, _ := run(t, o)
			var refused *ServerError
			if err := <-end; !errors.As(err, &refused) || !refused.Fatal() {
				t.Errorf("Run ended with %v", err)
			}
			if d.State() != StateStopped {
				t.Errorf("state %v", d.State())
			}
		})
	}
}

func TestWhatMakesRunReconnect(t *testing.T) {
	for name, script := range map[string]func(p *peer){
		"not handshaken": func(p *peer) {
			p.shake("s", 180000)
			id, _ := p.readBind(protocol.CmdBind)
			p.refuse(id, protocol.CmdBind, 0, protocol.ReasonNotHandshake)
		},
		"unasked error": func(p *peer) {
			p.shake("s", 180000)
			p.bind()
			p.refuse(99, protocol.CmdPush, protocol.CodeDispatchError, protocol.ReasonDispatchError)
			p.gone()
		},
		"error that ends early": func(p *peer) {
			p.shake("s", 180000)
			p.bind()
			p.writeHex("000000010a00000000000063000f")
			p.gone()
		},
		"kick that ends early": func(p *peer) {
			p.shake("s", 180000)
			p.bind()
			p.writeHex("000000010d000000000000000000")
			p.gone()
		},
	} {
		t.Run(name, func(t *testing.T) {
			again := make(chan struct{})
			n := listen(t, func(i int, p *peer) {
				if i == 0 {
					script(p)
					return
				}
				p.shake("s", 180000)
				p.bind()
				close(again)
				p.gone()
			})
			o := n.options()
			o.User, o.Backoff = "u", Backoff{Min: time.Millisecond}
			_, _, stop := run(t, o)
			<-again
			wantError(t, stop(), context.Canceled)
		})
	}
}

func TestKicked(t *testing.T) {
	script := func(then func(i int, p *peer)) func(int, *peer) {
		return func(i int, p *peer) {
			p.shake("s", 180000)
			if i == 0 {
				p.bind()
				p.kick("dev-1", "somebody else") // stale: not our user
				p.kick("dev-1", "u")
			}
			then(i, p)
		}
	}
	start := func(t *testing.T, action KickAction, then func(i int, p *peer)) (*Device, <-chan error, func() error, chan protocol.Kick) {
		o := listen(t, script(then)).options()
		o.User, o.AfterKick, o.Backoff = "u", action, Backoff{Min: time.Millisecond}
		kicks := make(chan protocol.Kick, 2)
		o.OnKick = func(k protocol.Kick) { kicks <- k }
		d, end, stop := run(t, o)
		return d, end, stop, kicks
	}
	t.Run("stop", func(t *testing.T) {
		_, end, _, kicks := start(t, KickStop, func(_ int, p *peer) { p.gone() })
		wantError(t, <-end, ErrKicked)
		if k := <-kicks; k.UserID != "u" || k.DeviceID != "dev-1" || len(kicks) != 0 {
			t.Errorf("kick %+v, %d more", k, len(kicks))
		}
	})
	t.Run("stay", func(t *testing.T) {
		d, _, stop, kicks := start(t, KickStay, func(i int, p *peer) {
			if i != 0 {
				p.failf("reconnected")
			}
			if b := p.bind(); b.UserID != "v" { // without an UNBIND of u, who is elsewhere
				p.failf("bind %+v", b)
			}
			p.gone()
		})
		<-kicks
		waitFor(t, func() bool { return d.State() == StateConnected })
		if err := d.Bind(t.Context(), "v", "", ""); err != nil {
			t.Error(err)
		}
		wantError(t, stop(), context.Canceled)
	})
	t.Run("reconnect", func(t *testing.T) {
		again := make(chan struct{})
		_, _, stop, _ := start(t, KickReconnect, func(i int, p *peer) {
			if i == 1 {
				p.bind()
				close(again)
			}
			p.gone()
		})
		<-again
		wantError(t, stop(), context.Canceled)
	})
}

// waitFor polls until a condition holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("never came to hold")
		}
	}
}

func TestRunStopsWhileAnAcknowledgementIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 180000)
			p.push(1, protocol.FlagAutoAck, "never acknowledged")
			<-stuck // reads nothing more
		})
		o := n.options()
		delivered := make(chan struct{})
		o.OnPush = func(*Message) { close(delivered) }
		_, _, stop := run(t, o)
		<-delivered
		synctest.Wait()
		start := time.Now()
		wantError(t, stop(), context.Canceled)
		if took := time.Since(start); took > lastWrites {
			t.Errorf("took %v to stop", took)
		}
		close(stuck)
	})
}

func TestStateNames(t *testing.T) {
	for s, want := range map[State]string{StateWaiting: "waiting", StateConnecting: "connecting", StateConnected: "connected", StateBound: "bound", StateStopped: "stopped", 99: "unknown"} {
		if got := fmt.Sprint(s); got != want {
			t.Errorf("%d is %q", s, got)
		}
	}
}
