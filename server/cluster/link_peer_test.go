package cluster_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// scriptedConn is a connection to a node that a test plays.
type scriptedConn struct {
	net.Conn
	t   testing.TB
	dec protocol.Decoder
	in  []byte
}

// script listens, and serves each connection with the given function until the test ends.
func script(t testing.TB, version int, serve func(c *scriptedConn)) cluster.Peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	closed := false
	running.Go(func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, nc)
			if closed {
				_ = nc.Close()
			}
			mu.Unlock()
			running.Go(func() {
				defer func() { _ = nc.Close() }()
				serve(&scriptedConn{Conn: nc, t: t})
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		closed = true
		for _, nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	address := listener.Addr().String()
	return cluster.Peer{ID: "scripted", Gateway: address, Link: version, State: cluster.Serving, Weight: 1}
}

// next reads a frame; false when the connection has ended.
func (c *scriptedConn) next() (p protocol.Packet, ok bool) {
	for {
		p, rest, ok, err := c.dec.Next(c.in, protocol.MaxLinkFrame)
		if err != nil {
			c.t.Errorf("the link wrote what is no frame: %v", err)
			return p, false
		}
		c.in = rest
		if ok {
			p.Body = bytes.Clone(p.Body)
			return p, true
		}
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			return p, false
		}
		c.in = buf[:n]
	}
}

func (c *scriptedConn) say(cmd protocol.Command, session int32, m interface {
	AppendBinary([]byte) ([]byte, error)
}) {
	body, err := m.AppendBinary(nil)
	if err != nil {
		c.t.Error(err)
	}
	_, _ = c.Write(protocol.AppendPacket(nil, protocol.Packet{Command: cmd, SessionID: session, Body: body}))
}

// greet opens a link as a node without a secret does; false if that came to nothing.
func (c *scriptedConn) greet(ready protocol.LinkReady) bool {
	if _, ok := c.next(); !ok {
		return false
	}
	c.say(protocol.CmdLinkChallenge, 0, &protocol.LinkChallenge{Version: cluster.LinkVersion, ID: "scripted"})
	if _, ok := c.next(); !ok {
		return false
	}
	c.say(protocol.CmdLinkReady, 0, &ready)
	return true
}

func quick(o *cluster.LinkOptions) {
	o.Timeout, o.Ping, o.Silence = 400*time.Millisecond, 50*time.Millisecond, 200*time.Millisecond
}

// TestLinkToANodeThatNeverAnswers: it accepts connections and says nothing at all.
func TestLinkToANodeThatNeverAnswers(t *testing.T) {
	t.Parallel()
	l := dial(t, script(t, cluster.LinkVersion, func(c *scriptedConn) { _, _ = io.Copy(io.Discard, c) }), quick)
	if r := l.push(t, message("1", "hello"), "alice"); r.Outcome != protocol.OutcomeNodeLost || !r.Unsent || r.Node != "scripted" {
		t.Errorf("%+v", r)
	}
	servertest.Eventually(t, "the link tells that it is down", func() bool { return l.log.count("link is down") == 1 && l.Err() != nil })
	if got := testutil.ToFloat64(l.metrics.Links(exporter.LinkUp)); got != 0 {
		t.Errorf("%v links are up", got)
	}
}

// TestLinkToANodeThatForgets: it opens links and answers pings, but no push.
func TestLinkToANodeThatForgets(t *testing.T) {
	t.Parallel()
	l := dial(t, script(t, cluster.LinkVersion, func(c *scriptedConn) {
		for ok := c.greet(protocol.LinkReady{}); ok; {
			var p protocol.Packet
			if p, ok = c.next(); ok && p.Command == protocol.CmdLinkPing {
				c.say(protocol.CmdLinkPong, p.SessionID, &protocol.LinkPing{Received: 1 << 40})
			}
		}
	}), quick, func(o *cluster.LinkOptions) { o.Silence = 3 * time.Second })
	l.await(t)
	g := new(gather)
	l.Push(message("1", "hello"), "alice", g)
	l.PushAll(message("2", "hello"), []string{"alice", "bob"}, g)
	l.Broadcast(message("3", "hello"), g)
	for _, r := range g.wait(t, 4) {
		if r.Outcome != protocol.OutcomeNodeLost || r.Unsent {
			t.Errorf("%+v", r)
		}
	}
	if l.Err() != nil || testutil.ToFloat64(l.metrics.LinkReconnects) != 0 {
		t.Errorf("the link was given up: %v", l.Err())
	}
	servertest.Eventually(t, "the round trip is measured", func() bool {
		var m dto.Metric
		return l.metrics.LinkRoundTrip.(prometheus.Metric).Write(&m) == nil && m.GetHistogram().GetSampleCount() > 0
	})
	servertest.Eventually(t, "nothing is queued", func() bool { return testutil.ToFloat64(l.metrics.LinkQueueBytes) == 0 })
}

// TestLinkToANodeThatTalksGarbage: whatever it says, pushes end and the link tries again.
func TestLinkToANodeThatTalksGarbage(t *testing.T) {
	t.Parallel()
	frame := func(cmd protocol.Command, body string) string {
		return string(protocol.AppendPacket(nil, protocol.Packet{Command: cmd, Body: []byte(body)}))
	}
	for name, garbage := range map[string]string{
		"text":           "HTTP/1.1 400 Bad Request\r\n\r\n",
		"length":         "\xff\xff\xff\x00" + strings.Repeat("x", 20),
		"too long":       "\x7f\xff\xff\xff" + strings.Repeat("\x00", 20),
		"a push":         frame(protocol.CmdGatewayPush, "hello"),
		"short results":  frame(protocol.CmdLinkResults, "1234"),
		"broken results": frame(protocol.CmdLinkResults, "12345678\xff\xff"),
		"broken info":    frame(protocol.CmdLinkInfo, "{"),
		"broken pong":    frame(protocol.CmdLinkPong, ""),
		"refusal":        frame(protocol.CmdLinkRefused, "\x00\x00\x03bye"),
	} {
		for _, opened := range []bool{false, true} {
			l := dial(t, script(t, cluster.LinkVersion, func(c *scriptedConn) {
				if opened && !c.greet(protocol.LinkReady{Resumed: true, Last: 7}) {
					return
				}
				_, _ = c.Write([]byte(garbage))
				_, _ = io.Copy(io.Discard, c)
			}), quick, func(o *cluster.LinkOptions) { o.Timeout = 100 * time.Millisecond })
			if r := l.push(t, message("1", "hello"), "alice"); r.Outcome != protocol.OutcomeNodeLost {
				t.Errorf("%s: %+v", name, r)
			}
			l.Close()
		}
	}
}

// TestLinkResultsThatNobodyAskedFor are ignored.
func TestLinkResultsThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	l := dial(t, script(t, cluster.LinkVersion, func(c *scriptedConn) {
		if !c.greet(protocol.LinkReady{}) {
			return
		}
		for {
			p, ok := c.next()
			if !ok {
				return
			}
			if p.Command != protocol.CmdLinkPush {
				continue
			}
			body := protocol.AppendLinkResults(nil, 1)
			for _, r := range []protocol.LinkResult{
				{Request: 99}, {Request: 1, Index: 2}, {Request: 1, Index: 1, Outcome: protocol.OutcomeSent}, {Request: 1, Index: 1, Outcome: protocol.OutcomeFailed},
				{Request: 1, Outcome: protocol.OutcomeOffline}, {Request: 1, Outcome: protocol.OutcomeFailed},
			} {
				body = r.AppendBinary(body)
			}
			_, _ = c.Write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdLinkProgress, Body: body}))
			_, _ = c.Write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdLinkResults, Body: body}))
		}
	}), func(o *cluster.LinkOptions) { o.Timeout = 10 * time.Second })
	g := new(gather)
	l.PushAll(message("1", "hello"), []string{"alice", "bob"}, g)
	got := g.wait(t, 2)
	if len(got) != 2 || got[0].User != "bob" || got[0].Outcome != protocol.OutcomeSent || got[1].User != "alice" || got[1].Outcome != protocol.OutcomeOffline {
		t.Errorf("%+v", got)
	}
}

func TestLinkRefusals(t *testing.T) {
	t.Parallel()
	open := servertest.Start(t)
	locked := servertest.Start(t, func(o *server.Options) { o.GatewaySecret = "a secret of sixteen" })
	for name, c := range map[string]struct {
		peer   cluster.Peer
		secret string
		want   error
	}{
		"secret that the node has not":  {peerOf(open, open.GatewayAddress()), "a secret of sixteen", cluster.ErrLinkSecret},
		"secret that we have not":       {peerOf(locked, locked.GatewayAddress()), "", cluster.ErrLinkSecret},
		"other secret":                  {peerOf(locked, locked.GatewayAddress()), "another of sixteen", cluster.ErrLinkSecret},
		"another node":                  {cluster.Peer{ID: "node-2", Gateway: open.GatewayAddress(), Link: cluster.LinkVersion}, "", cluster.ErrLinkIdentity},
		"another node that says so":     {script(t, 1, func(c *scriptedConn) { impostor(c, 1) }), "", cluster.ErrLinkIdentity},
		"version of the node":           {script(t, 2, func(c *scriptedConn) { impostor(c, 2) }), "", cluster.ErrLinkVersion},
		"version, says the node":        {script(t, 2, func(c *scriptedConn) { refuse(c, protocol.LinkRefusedVersion) }), "", cluster.ErrLinkVersion},
		"a Java node that was upgraded": {script(t, 1, java101), "", cluster.ErrLinkVersion},
		"no reason that we know":        {script(t, 1, func(c *scriptedConn) { refuse(c, 99) }), "", cluster.ErrLinkRefused},
	} {
		l := dial(t, c.peer, func(o *cluster.LinkOptions) { o.Secret = c.secret })
		servertest.Eventually(t, name, func() bool { return errors.Is(l.Err(), c.want) })
		tries := time.Now().Add(400 * time.Millisecond)
		servertest.Eventually(t, "it tries again", func() bool { return time.Now().After(tries) })
		if got := l.log.count("link is down"); got != 1 {
			t.Errorf("%s: logged %d times", name, got)
		}
		if l.log.count("sixteen") > 0 {
			t.Errorf("%s: the secret is in the log", name)
		}
		l.Close()
	}
	l := link(t, locked, func(o *cluster.LinkOptions) { o.Secret = "a secret of sixteen" })
	if r := l.push(t, message("1", "hello"), "alice"); r.Outcome != protocol.OutcomeOffline {
		t.Errorf("%+v", r)
	}
}

// impostor answers a hello as a node that nobody meant.
func impostor(c *scriptedConn, version int32) {
	if _, ok := c.next(); ok {
		c.say(protocol.CmdLinkChallenge, 0, &protocol.LinkChallenge{Version: version, ID: "impostor"})
		_, _ = io.Copy(io.Discard, c)
	}
}

func refuse(c *scriptedConn, code protocol.LinkRefusal) {
	if _, ok := c.next(); ok {
		c.say(protocol.CmdLinkRefused, 0, &protocol.LinkRefused{Code: code, Reason: "no"})
	}
}

// java101 is what a Java node says to a command that it does not know.
func java101(c *scriptedConn) {
	if p, ok := c.next(); ok {
		c.say(protocol.CmdError, p.SessionID, &protocol.Error{Command: p.Command, Code: protocol.CodeUnsupportedCommand, Reason: "unsupported"})
	}
}

// TestLinkCancels: a broadcast that was not written is not, one that runs is told to the node.
func TestLinkCancels(t *testing.T) {
	t.Parallel()
	commands := make(chan protocol.Packet, 100)
	gate := make(chan struct{})
	l := dial(t, script(t, cluster.LinkVersion, func(c *scriptedConn) {
		<-gate
		if !c.greet(protocol.LinkReady{}) {
			return
		}
		for {
			p, ok := c.next()
			if !ok {
				return
			}
			if p.Command != protocol.CmdLinkPing {
				commands <- p
			}
		}
	}), func(o *cluster.LinkOptions) { o.Timeout = 20 * time.Second })
	queued, other := new(gather), new(gather)
	l.Broadcast(message("queued", "hello"), queued)
	l.Broadcast(message("other", "hello"), other)
	l.Cancel("queued")
	if r := queued.ended(); len(r) != 1 || r[0].Outcome != protocol.OutcomeRejected || !r[0].Unsent {
		t.Errorf("%+v", r)
	}
	close(gate)
	for _, want := range []protocol.Command{protocol.CmdLinkBroadcast, protocol.CmdLinkCancel} {
		if p := <-commands; p.Command != want {
			t.Errorf("%v, want %v", p.Command, want)
		} else if want == protocol.CmdLinkCancel {
			var m protocol.LinkCancel
			if err := m.UnmarshalBinary(p.Body); err != nil || m.ID != "queued" {
				t.Errorf("%+v, err %v", m, err)
			}
		}
	}
	if len(other.ended()) != 0 {
		t.Errorf("%+v", other.ended())
	}
}

// TestLinkBroadcastGoesOn as long as the node says so, and ends with what it has done.
func TestLinkBroadcastGoesOn(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	l := dial(t, script(t, cluster.LinkVersion, func(c *scriptedConn) {
		if !c.greet(protocol.LinkReady{}) {
			return
		}
		if _, ok := c.next(); !ok {
			return
		}
		r := protocol.LinkResult{Request: 1}
		for range 12 { // for three times as long as it waits for a push
			r.Deliveries[protocol.OutcomeSent]++
			body := r.AppendBinary(protocol.AppendLinkResults(nil, 0))
			_, _ = c.Write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdLinkProgress, Body: body}))
			select {
			case <-time.After(100 * time.Millisecond):
			case <-stop:
			}
		}
		<-stop
	}), func(o *cluster.LinkOptions) { o.Timeout, o.Silence = 400*time.Millisecond, 2*time.Second })
	defer close(stop)
	g := new(gather)
	l.Broadcast(message("1", "hello"), g)
	r := g.wait(t, 1)[0]
	if r.Outcome != protocol.OutcomeNodeLost || r.Unsent || r.Deliveries[protocol.OutcomeSent] < 10 {
		t.Errorf("%+v", r)
	}
}
