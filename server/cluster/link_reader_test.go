package cluster

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// pieces is a connection from which a stream comes in pieces, and that takes anything.
type pieces struct {
	net.Conn
	list [][]byte
}

func (p *pieces) Read(b []byte) (int, error) {
	for len(p.list) > 0 && len(p.list[0]) == 0 {
		p.list = p.list[1:]
	}
	if len(p.list) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.list[0])
	p.list[0] = p.list[0][n:]
	return n, nil
}

func (p *pieces) Write(b []byte) (int, error)      { return len(b), nil }
func (p *pieces) SetWriteDeadline(time.Time) error { return nil }

// scribe writes down what a tracker hears.
type scribe struct {
	name string
	book *[]string
}

func (s scribe) Reached(stage protocol.Stage, _ string, _ time.Time) {}
func (s scribe) Progress(r Result) {
	*s.book = append(*s.book, fmt.Sprint(s.name, " progress ", r.Outcome, r.Deliveries))
}
func (s scribe) Done(r Result) {
	*s.book = append(*s.book, fmt.Sprint(s.name, " done ", r.User, r.Outcome, r.Moved, r.Unsent, r.Deliveries))
}

// idleLink is a link with three requests that were written, numbered from 1: a push, a
// list of two and a broadcast. Nothing of it runs.
func idleLink(t testing.TB, m *exporter.Metrics, version int) (*Link, *[]string) {
	book := new([]string)
	l := makeLink(Peer{ID: "peer", Link: version}, LinkOptions{Self: "self", Metrics: m, Logger: slog.New(slog.DiscardHandler)})
	p := &Push{ID: "m", Content: []byte("hello"), ClientTypes: []protocol.ClientType{protocol.ClientMobile}, Accepted: time.Now()}
	l.Push(p, "alice", scribe{"push", book})
	l.PushAll(p, []string{"bob", "carol"}, scribe{"list", book})
	cast := &Push{ID: "c", Content: []byte("hello"), Accepted: time.Now()}
	l.Broadcast(cast, scribe{"cast", book})
	w := writer{l: l, nc: &pieces{}}
	if _, err := w.flush(); err != nil {
		t.Fatal(err)
	}
	return l, book
}

// hearAll lets a link read a stream, and returns what its trackers heard until the end.
func hearAll(t testing.TB, m *exporter.Metrics, version int, parts ...[]byte) []string {
	l, book := idleLink(t, m, version)
	c := &linkConn{Conn: &pieces{list: parts}, buf: make([]byte, 4096), heard: func() {}}
	if err := l.readResults(c); err == nil {
		t.Fatal("reading ended without an error")
	}
	heard := slices.Clone(*book)
	l.Lost()
	ends := 0
	for _, line := range *book {
		if bytes.Contains([]byte(line), []byte(" done ")) {
			ends++
		}
	}
	if ends != 4 {
		t.Fatalf("%d ends of 4: %q", ends, *book)
	}
	if l.requests.bytes != 0 || l.requests.inFlight != 0 {
		t.Fatalf("%d bytes and %d users are left", l.requests.bytes, l.requests.inFlight)
	}
	return heard
}

// FuzzLinkReader: however a stream is split, the same pushes end in the same way, each
// once, and whatever it says, all end.
func FuzzLinkReader(f *testing.F) {
	frame := func(cmd protocol.Command, session int32, body []byte) []byte {
		return protocol.AppendPacket(nil, protocol.Packet{Command: cmd, SessionID: session, Body: body})
	}
	results := protocol.AppendLinkResults(nil, 1)
	for _, r := range []protocol.LinkResult{
		{Request: 1, Outcome: protocol.OutcomeSent, Reached: 1 << protocol.StageWritten}, {Request: 2, Index: 1, Outcome: protocol.OutcomeOffline},
		{Request: 3, Outcome: protocol.OutcomeSent}, {Request: 2, Outcome: protocol.OutcomeRejected, Unsent: true}, {Request: 2, Outcome: protocol.OutcomeSent},
	} {
		results = r.AppendBinary(results)
	}
	stream := frame(protocol.CmdLinkInfo, 0, []byte(`{"connections":1}`))
	stream = append(stream, frame(protocol.CmdLinkProgress, 0, results)...)
	stream = append(stream, protocol.HeartbeatByte)
	stream = append(stream, frame(protocol.CmdLinkPong, 0, []byte{7: 2})...)
	stream = append(stream, frame(protocol.CmdLinkResults, 0, results)...)
	f.Add(true, stream, uint16(20), uint16(30))
	f.Add(true, frame(protocol.CmdLinkResults, 0, []byte("12345678\xff")), uint16(1), uint16(1))
	ok, _ := (&protocol.OK{Command: protocol.CmdGatewayPush, Data: `{"timePoints":["push-center-begin",1,"before-send",2,"success-end",3]}`}).AppendBinary(nil)
	moved, _ := (&protocol.Error{Command: protocol.CmdGatewayPush, Code: protocol.CodeRouterChange}).AppendBinary(nil)
	java := append(frame(protocol.CmdOK, 1, ok), frame(protocol.CmdError, 2, moved)...)
	f.Add(false, append(java, frame(protocol.CmdOK, 4, ok)...), uint16(15), uint16(4))
	m := exporter.New(prometheus.NewRegistry())
	f.Fuzz(func(t *testing.T, ours bool, stream []byte, cut1, cut2 uint16) {
		version := 0
		if ours {
			version = LinkVersion
		}
		a := int(cut1) % (len(stream) + 1)
		b := a + int(cut2)%(len(stream)-a+1)
		whole := hearAll(t, m, version, bytes.Clone(stream))
		split := hearAll(t, m, version, bytes.Clone(stream[:a]), bytes.Clone(stream[a:b]), bytes.Clone(stream[b:]))
		if !slices.Equal(whole, split) {
			t.Fatalf("%q became %q", whole, split)
		}
	})
}

// TestLinkForgetsWhatTheNodeHas: what the node has confirmed takes no room, and what it
// says never arrived is written again, in order, before all others.
func TestLinkForgetsWhatTheNodeHas(t *testing.T) {
	t.Parallel()
	l, book := idleLink(t, exporter.New(prometheus.NewRegistry()), LinkVersion)
	before := l.requests.bytes
	l.requests.confirm(1)
	if l.requests.bytes >= before || l.requests.pending[1].push != nil || l.requests.pending[2].push == nil {
		t.Errorf("%d bytes of %d", l.requests.bytes, before)
	}
	l.Push(&Push{ID: "later", Content: []byte("x")}, "dave", scribe{"later", book})
	l.resume(&protocol.LinkReady{Resumed: true, Last: 2})
	if l.requests.pending[2] == nil || l.requests.pending[3] != nil || len(l.requests.pending) != 2 {
		t.Errorf("pending: %v", l.requests.pending)
	}
	batch := l.take(nil)
	if len(batch) != 2 || batch[0].push.ID != "c" || batch[1].push.ID != "later" || batch[0].id >= batch[1].id || batch[0].id <= 3 {
		t.Errorf("%+v", batch)
	}
	l.resume(&protocol.LinkReady{}) // a node that knows nothing
	if len(l.requests.pending) != 0 || len(*book) != 6 {
		t.Errorf("%d pending, %q", len(l.requests.pending), *book)
	}
	l.Lost()
}

// discardTracker counts nothing.
type discardTracker struct{}

func (discardTracker) Reached(protocol.Stage, string, time.Time) {}
func (discardTracker) Progress(Result)                           {}
func (discardTracker) Done(Result)                               {}

// onePush is the way of a push for one user through a link: queued, put into a frame,
// answered.
func onePush(tb testing.TB) func() {
	l := makeLink(Peer{ID: "peer", Link: LinkVersion}, LinkOptions{
		Self: "self", Metrics: exporter.New(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler),
	})
	p := &Push{ID: "01JDN5T8Z3", Content: bytes.Repeat([]byte("x"), 100), Accepted: time.Now()}
	w := writer{l: l, nc: &pieces{}}
	result := protocol.LinkResult{Outcome: protocol.OutcomeSent, Reached: 1 << protocol.StageWritten}
	result.Deliveries[protocol.OutcomeSent] = 1
	var frame []byte
	answer := &protocol.Packet{Command: protocol.CmdLinkResults}
	var t Tracker = discardTracker{}
	return func() {
		l.Push(p, "alice", t)
		if _, err := w.flush(); err != nil {
			tb.Fatal(err)
		}
		result.Request = l.lastID
		frame = result.AppendBinary(protocol.AppendLinkResults(frame[:0], l.lastID))
		answer.Body = frame
		if err := l.talk.receive(answer); err != nil {
			tb.Fatal(err)
		}
		if len(l.requests.pending) != 0 {
			tb.Fatal("not answered")
		}
	}
}

func TestLinkPushAllocations(t *testing.T) {
	push := onePush(t)
	if got := testing.AllocsPerRun(1000, push); got > 0 {
		t.Errorf("%v allocations for a push", got)
	}
}

func BenchmarkLinkPush(b *testing.B) {
	push := onePush(b)
	b.ReportAllocs()
	for b.Loop() {
		push()
	}
}
