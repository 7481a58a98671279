package server_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// linkWire is the calling side of a link, spoken by hand.
type linkWire struct {
	net.Conn
	t   testing.TB
	dec protocol.Decoder
	in  []byte
}

type linkBody interface {
	AppendBinary(dst []byte) ([]byte, error)
}

func linkTo(t testing.TB, n *servertest.Node) *linkWire {
	t.Helper()
	nc, err := net.Dial("tcp", n.GatewayAddress())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &linkWire{Conn: nc, t: t}
}

func (w *linkWire) say(cmd protocol.Command, m linkBody) {
	w.t.Helper()
	if err := w.trySay(cmd, m); err != nil {
		w.t.Fatal(err)
	}
}

// trySay is say to a node that may hang up meanwhile.
func (w *linkWire) trySay(cmd protocol.Command, m linkBody) error {
	w.t.Helper()
	var body []byte
	if m != nil {
		var err error
		if body, err = m.AppendBinary(nil); err != nil {
			w.t.Fatal(err)
		}
	}
	_, err := w.Write(protocol.AppendPacket(nil, protocol.Packet{Command: cmd, SessionID: 5, Body: body}))
	return err
}

// next is the next frame that is none about the node, or nothing at the end.
func (w *linkWire) next() (p protocol.Packet, ok bool) {
	w.t.Helper()
	for {
		p, rest, ok, err := w.dec.Next(w.in, protocol.MaxLinkFrame)
		if err != nil {
			w.t.Fatal(err)
		}
		w.in = rest
		if ok && p.Command != protocol.CmdLinkInfo {
			p.Body = bytes.Clone(p.Body)
			return p, true
		} else if ok {
			continue
		}
		buf := make([]byte, 4096)
		n, err := w.Read(buf)
		if err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				w.t.Fatal("the node neither says something nor closes")
			}
			return p, false
		}
		w.in = buf[:n]
	}
}

func (w *linkWire) want(cmd protocol.Command, m interface{ UnmarshalBinary([]byte) error }) {
	w.t.Helper()
	p, ok := w.next()
	if !ok || p.Command != cmd {
		w.t.Fatalf("got %v %q, want %v", p.Command, p.Body, cmd)
	}
	if err := m.UnmarshalBinary(p.Body); err != nil {
		w.t.Fatal(err)
	}
}

func (w *linkWire) wantEnd() {
	w.t.Helper()
	if p, ok := w.next(); ok {
		w.t.Fatalf("got %v %q, want the end", p.Command, p.Body)
	}
}

// open does what a link begins with.
func (w *linkWire) open(instance byte, received uint64) (ready protocol.LinkReady) {
	w.t.Helper()
	w.say(protocol.CmdLinkHello, &protocol.LinkHello{Version: cluster.LinkVersion, ID: "caller", Want: "node-1", Instance: protocol.LinkNonce{instance}})
	w.want(protocol.CmdLinkChallenge, &protocol.LinkChallenge{})
	w.say(protocol.CmdLinkProof, &protocol.LinkProof{Received: received})
	w.want(protocol.CmdLinkReady, &ready)
	return ready
}

// results reads the next n results; each is written as number:request/index=outcome.
func (w *linkWire) results(n int) (all []string) {
	w.t.Helper()
	for len(all) < n {
		var list protocol.LinkResults
		w.want(protocol.CmdLinkResults, &list)
		var r protocol.LinkResult
		for number := list.First; ; number++ {
			ok, err := list.Next(&r)
			if err != nil {
				w.t.Fatal(err)
			}
			if !ok {
				break
			}
			all = append(all, fmt.Sprintf("%d:%d/%d=%v", number, r.Request, r.Index, r.Outcome))
		}
	}
	return all
}

func linkPush(request uint64, users ...string) *protocol.LinkPush {
	return &protocol.LinkPush{Request: request, ID: fmt.Sprint("m", request), Content: []byte("hello"), Users: users}
}

func TestLinkIsResumed(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := linkTo(t, n)
	if r := w.open(1, 0); r.Resumed || r.Last != 0 || r.Window != 1<<16 || r.AckTimeout != 10_000 {
		t.Errorf("%+v", r)
	}
	w.say(protocol.CmdLinkPush, linkPush(3, "a", "b", "c"))
	if got := fmt.Sprint(w.results(3)); got != "[1:3/0=offline 2:3/1=offline 3:3/2=offline]" {
		t.Error(got)
	}
	again := linkTo(t, n)
	if r := again.open(1, 1); !r.Resumed || r.Last != 3 {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(again.results(2)); got != "[2:3/1=offline 3:3/2=offline]" {
		t.Error(got)
	}
	w.wantEnd() // there is one connection
	again.say(protocol.CmdLinkPing, &protocol.LinkPing{Received: 3})
	var pong protocol.LinkPing
	again.want(protocol.CmdLinkPong, &pong)
	if pong.Received != 3 {
		t.Errorf("%+v", pong)
	}
	again.say(protocol.CmdLinkPush, linkPush(4, "d"))
	if got := fmt.Sprint(again.results(1)); got != "[4:4/0=offline]" {
		t.Error(got)
	}
	third := linkTo(t, n)
	third.open(1, 3)
	if got := fmt.Sprint(third.results(1)); got != "[4:4/0=offline]" {
		t.Error(got)
	}
	if r := linkTo(t, n).open(2, 0); r.Resumed || r.Last != 0 { // another link of the same node
		t.Errorf("%+v", r)
	}
}

// TestLinkResultsWhileAway: what ends while the connection is broken is told when there is
// another one.
func TestLinkResultsWhileAway(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	n.Dial(t, "mute", "alice")
	w := linkTo(t, n)
	w.open(1, 0)
	p := linkPush(1, "alice")
	p.Ack, p.AckTimeout = protocol.AckAuto, 200*time.Millisecond
	w.say(protocol.CmdLinkPush, p)
	servertest.Eventually(t, "it is delivered", func() bool { return testutil.ToFloat64(n.Metrics.DeliveriesInFlight) == 1 })
	_ = w.Close()
	servertest.Eventually(t, "it ends", func() bool { return testutil.ToFloat64(n.Metrics.DeliveriesInFlight) == 0 })
	again := linkTo(t, n)
	if r := again.open(1, 0); !r.Resumed || r.Last != 1 {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(again.results(1)); got != "[1:1/0=ack_timeout]" {
		t.Error(got)
	}
}

// TestLinkRemembersWhatMayBeMissing: as many results as the peer may have outstanding.
func TestLinkRemembersWhatMayBeMissing(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.GatewayInFlight = 4 })
	w := linkTo(t, n)
	if r := w.open(1, 0); r.Window != 4 {
		t.Errorf("%+v", r)
	}
	for request := range uint64(10) {
		w.say(protocol.CmdLinkPush, linkPush(request+1, "nobody"))
	}
	w.results(10)
	again := linkTo(t, n)
	again.open(1, 0)
	if got := fmt.Sprint(again.results(4)); got != "[7:7/0=offline 8:8/0=offline 9:9/0=offline 10:10/0=offline]" {
		t.Error(got)
	}
	n.Dial(t, "mute", "alice")
	p := linkPush(11, "alice")
	p.Ack, p.AckTimeout = protocol.AckAuto, time.Minute
	again.say(protocol.CmdLinkPush, p)
	again.say(protocol.CmdLinkPush, linkPush(12, "a", "b", "c", "d")) // one too many
	if got := fmt.Sprint(again.results(4)); strings.Count(got, "rejected") != 4 {
		t.Error(got)
	}
}

func TestLinkRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	long := bytes.Repeat([]byte("x"), 2<<20)
	for name, c := range map[string]struct {
		opened bool
		cmd    protocol.Command
		body   linkBody
		answer protocol.Command // before the end; 0: none
	}{
		"request first":     {false, protocol.CmdLinkPush, linkPush(1, "a"), protocol.CmdError},
		"ping first":        {false, protocol.CmdLinkPing, &protocol.LinkPing{}, protocol.CmdError},
		"hello that breaks": {false, protocol.CmdLinkHello, rawLink("x"), protocol.CmdLinkRefused},
		"hello too long":    {false, protocol.CmdLinkHello, rawLink(long), 0},
		"other version":     {false, protocol.CmdLinkHello, &protocol.LinkHello{Version: 9, Want: "node-1"}, protocol.CmdLinkRefused},
		"other node":        {false, protocol.CmdLinkHello, &protocol.LinkHello{Version: cluster.LinkVersion, Want: "node-9"}, protocol.CmdLinkRefused},
		"hello again":       {true, protocol.CmdLinkHello, &protocol.LinkHello{Version: cluster.LinkVersion, Want: "node-1"}, 0},
		"proof again":       {true, protocol.CmdLinkProof, &protocol.LinkProof{}, 0},
		"answer":            {true, protocol.CmdLinkResults, rawLink("12345678"), 0},
		"push that breaks":  {true, protocol.CmdLinkPush, rawLink("x"), 0},
		"push to nobody":    {true, protocol.CmdLinkPush, linkPush(1), 0},
		"broken broadcast":  {true, protocol.CmdLinkBroadcast, rawLink("x"), 0},
		"broken cancel":     {true, protocol.CmdLinkCancel, rawLink("x"), 0},
		"broken drain":      {true, protocol.CmdLinkDrain, rawLink("x"), 0},
		"broken ping":       {true, protocol.CmdLinkPing, rawLink("x"), 0},
	} {
		w := linkTo(t, n)
		if c.opened {
			w.open(1, 0)
		}
		if err := w.trySay(c.cmd, c.body); err != nil && name != "hello too long" { // that is cut off, perhaps before its end
			t.Errorf("%s: %v", name, err)
		}
		if c.answer != 0 {
			if p, ok := w.next(); !ok || p.Command != c.answer {
				t.Errorf("%s: got %v, want %v", name, p.Command, c.answer)
			}
		}
		t.Run(name, func(t *testing.T) { w.t = t; w.wantEnd() })
	}
	if n.Ready() != nil {
		t.Error("the node drains")
	}
	w := linkTo(t, n)
	w.open(9, 0)
	big := linkPush(1, "nobody")
	big.Content = long
	w.say(protocol.CmdLinkPush, big)
	if got := fmt.Sprint(w.results(1)); got != "[1:1/0=offline]" {
		t.Error(got)
	}
	if _, err := w.Write(protocol.AppendHeader(nil, protocol.CmdLinkPush, 0, 0, protocol.MaxLinkFrame+1)); err != nil {
		t.Fatal(err)
	}
	w.wantEnd()
}

type rawLink []byte

func (b rawLink) AppendBinary(dst []byte) ([]byte, error) { return append(dst, b...), nil }

// linkLog is a log that a test can read.
type linkLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *linkLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *linkLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestLinkProofsAreChecked(t *testing.T) {
	t.Parallel()
	log := new(linkLog)
	n := servertest.Start(t, func(o *server.Options) {
		o.GatewaySecret, o.Logger = "a secret of sixteen", slog.New(slog.NewTextHandler(log, nil))
	})
	for range 3 {
		w := linkTo(t, n)
		hello := &protocol.LinkHello{Version: cluster.LinkVersion, ID: "caller", Want: "node-1"}
		w.say(protocol.CmdLinkHello, hello)
		var challenge protocol.LinkChallenge
		w.want(protocol.CmdLinkChallenge, &challenge)
		if !bytes.Equal(challenge.Proof, protocol.ProveLink("a secret of sixteen", false, hello, &challenge)) {
			t.Error("the node does not prove that it knows the secret")
		}
		w.say(protocol.CmdLinkProof, &protocol.LinkProof{Proof: challenge.Proof}) // its own, sent back
		var refused protocol.LinkRefused
		w.want(protocol.CmdLinkRefused, &refused)
		if refused.Code != protocol.LinkRefusedSecret {
			t.Errorf("%+v", refused)
		}
		w.wantEnd()
	}
	if got := testutil.ToFloat64(n.Metrics.GatewayRequests(exporter.DirectionIn, exporter.ResultRefused)); got != 3 {
		t.Errorf("%v refusals were counted", got)
	}
	if got := strings.Count(log.String(), "link refused"); got != 1 || strings.Contains(log.String(), "sixteen") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestLinkThatIsDeaf: a peer that reads nothing is closed before its results take all memory.
func TestLinkThatIsDeaf(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := linkTo(t, n)
	w.open(1, 0)
	users := make([]string, 500)
	for i := range users {
		users[i] = "u"
	}
	m := linkPush(0, users...)
	for m.Request = 1; ; m.Request++ {
		body, _ := m.AppendBinary(nil)
		if _, err := w.Write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdLinkPush, Body: body})); err != nil {
			break
		}
		if m.Request > 20_000 {
			t.Fatal("ten million results wait for a peer that reads none")
		}
	}
	_, _ = io.Copy(io.Discard, w)
}
