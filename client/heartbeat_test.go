package client

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

func TestPulseFitsTheNegotiatedHeartbeat(t *testing.T) {
	for _, c := range []struct{ heartbeat, margin, probe, interval, answer time.Duration }{
		{180, 1, 10, 179, 10},
		{10, 1, 10, 9, 4500 * time.Millisecond / time.Second},
		{2, 5, 10, 1, 500 * time.Millisecond / time.Second},
	} {
		p := newPulse(c.heartbeat*time.Second, c.margin*time.Second, c.probe*time.Second)
		if p.interval != c.interval*time.Second || p.probe > p.interval/2 || p.probe > c.probe*time.Second {
			t.Errorf("heartbeat %ds: %+v", c.heartbeat, p)
		}
	}
}

// dialQuiet is a connection in a bubble, with a reader that only waits.
func dialQuiet(t *testing.T, o DeviceOptions) (*Conn, <-chan error) {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	end := make(chan error, 1)
	go func() {
		_, err := c.Receive(t.Context())
		end <- err
	}()
	return c, end
}

func TestHeartbeatsComeAMarginBeforeTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const beats = 5
		done := make(chan struct{})
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 60_000)
			last := time.Now()
			for i := range beats {
				p.read(protocol.CmdHeartbeat)
				if gap := time.Since(last); gap != 59*time.Second {
					p.failf("heartbeat %d came after %v", i, gap)
				}
				last = time.Now()
				p.write([]byte{protocol.HeartbeatByte})
			}
			close(done)
			p.gone()
		})
		c, end := dialQuiet(t, n.options())
		<-done
		c.Close()
		wantError(t, <-end, ErrClosed)
	})
}

func TestASilentServerIsFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 60_000)
			for range maxProbes {
				p.read(protocol.CmdHeartbeat)
			}
			p.gone()
		})
		o := n.options()
		o.ProbeTimeout = 5 * time.Second
		start := time.Now()
		c, end := dialQuiet(t, o)
		wantError(t, <-end, ErrSilent)
		if took := time.Since(start); took != 69*time.Second { // the interval and two answers
			t.Errorf("found out after %v", took)
		}
		wantError(t, c.Err(), ErrSilent)
	})
}

func TestOneLostAnswerIsForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 60_000)
			for range 4 {
				p.read(protocol.CmdHeartbeat) // lost
				p.read(protocol.CmdHeartbeat)
				p.write([]byte{protocol.HeartbeatByte})
			}
		})
		_, end := dialQuiet(t, n.options())
		wantError(t, <-end, ErrPeerClosed)
	})
}

// A push is as good as an answer.
func TestAnyByteShowsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 60_000)
			for id := range int32(4) {
				p.read(protocol.CmdHeartbeat)
				p.push(id, 0, "alive")
			}
		})
		c, err := Dial(t.Context(), n.options())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 4 {
			receivePush(t, c)
		}
		_, err = c.Receive(t.Context())
		wantError(t, err, ErrPeerClosed)
	})
}

func TestHeartbeatsGoOnWhileNobodyReceives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 60_000)
			for range 30 {
				p.read(protocol.CmdHeartbeat)
			}
			p.push(1, 0, "at last")
			p.gone()
		})
		c, err := Dial(t.Context(), n.options())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(30 * time.Minute) // virtual: the application is busy
		if p := receivePush(t, c); string(p.Body) != "at last" {
			t.Errorf("received %q", p.Body)
		}
	})
}

func TestAServerThatReadsNothingIsFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		defer close(stop)
		n := newNode(t, func(_ int, p *peer) { p.shake("s", 60_000); <-stop })
		start := time.Now()
		c, end := dialQuiet(t, n.options())
		if err := c.Ack(1); err == nil {
			t.Error("an ack that nobody reads succeeded")
		}
		if err := <-end; err == nil || time.Since(start) > 2*time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		c.Close()
	})
}

func TestManualHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 60_000)
			start := time.Now()
			p.read(protocol.CmdHeartbeat)
			if time.Since(start) < time.Hour {
				p.failf("a heartbeat by itself")
			}
			p.gone()
		})
		o := n.options()
		o.ManualHeartbeat = true
		c, err := Dial(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		_, err = c.Receive(ctx)
		wantError(t, err, context.DeadlineExceeded)
		if err := c.Heartbeat(); err != nil {
			t.Error(err)
		}
	})
}

func TestAServerThatAsksForNoHeartbeatGetsTheLongest(t *testing.T) {
	n := listen(t, func(_ int, p *peer) { p.shake("s", 0); p.gone() })
	o := n.options()
	o.MaxHeartbeat = 77 * time.Second
	if c := dialNode(t, o); c.HeartbeatInterval() != 77*time.Second {
		t.Errorf("heartbeat %v", c.HeartbeatInterval())
	}
}
