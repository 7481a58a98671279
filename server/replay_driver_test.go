package server_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// replayTarget is the node under test: host:port of each port.
type replayTarget struct{ Device, WebSocket, Gateway string }

const (
	// patience is how long an answer may take on a busy machine.
	patience = 15 * time.Second
	// glance is how long something that must not come is looked for.
	glance = 20 * time.Millisecond

	nothing = "nothing"
)

// replay plays the clients of a transcript against a node.
type replay struct {
	t         *testing.T
	script    *transcript
	target    replayTarget
	elsewhere map[int]replayTarget // of connections to another node
	paced     bool                 // steps come no closer together than they were recorded
	ttl       time.Duration
	report    func(format string, args ...any) // takes the differences
	patience  time.Duration                    // for an answer; 0: patience
	talk      *talk
	lines     map[int]*liveLine
	pushes    map[int32]int32 // recorded session id of a push to the live one
	sessions  map[string]string
}

// liveLine is a connection to the node.
type liveLine struct {
	*line
	conn    net.Conn
	waiting []item
	over    bool // closed, or no longer compared after a difference
}

func (r *replay) run() {
	if r.patience == 0 {
		r.patience = patience
	}
	r.talk, r.lines = newTalk(), make(map[int]*liveLine)
	r.pushes, r.sessions = make(map[int32]int32), make(map[string]string)
	defer func() {
		for _, l := range r.lines {
			l.conn.Close()
		}
	}()
	began, at := time.Now(), 0
	for _, s := range r.script.steps {
		if r.paced {
			<-time.After(time.Until(began.Add(time.Duration(s.at-at) * time.Millisecond)))
			began, at = time.Now(), s.at
		}
		r.step(s)
	}
}

func (r *replay) step(s step) {
	l := r.lines[s.conn]
	if l == nil {
		l = r.dial(s.conn)
		r.lines[s.conn] = l
	}
	if l.over {
		return
	}
	for _, part := range s.send {
		r.send(l, part)
	}
	for _, want := range s.want {
		if l.over || !r.expect(l, s, want) {
			return
		}
	}
	if s.hang {
		r.hangUp(l, s)
	}
}

func (r *replay) dial(conn int) *liveLine {
	c := r.script.conns[conn]
	target, ok := r.elsewhere[conn]
	if !ok {
		target = r.target
	}
	address := map[int]string{3000: target.Device, 3001: target.Gateway, 8008: target.WebSocket}[c.Port]
	nc, err := net.Dial("tcp", address)
	if err != nil {
		r.t.Fatal(err)
	}
	l := &liveLine{line: newLine(r.talk, c.Port == 8008), conn: nc}
	l.ttl = r.ttl
	return l
}

// send writes a segment, with this run's keys and ids where the recording's were.
// Errors show as missing answers.
func (r *replay) send(l *liveLine, s segment) {
	wire := s.raw
	switch {
	case s.build:
		wire = r.rebuild(l, *s.packet)
	case s.acks != 0:
		wire = r.webAck(s)
	}
	if s.packet != nil && s.packet.Command == protocol.CmdHandshake {
		l.sent(s.packet)
	}
	_, _ = l.conn.Write(wire)
}

// rebuild is the frame of a packet that depends on the server's choices.
func (r *replay) rebuild(l *liveLine, p protocol.Packet) []byte {
	if live, ok := r.pushes[p.SessionID]; ok && p.Command == protocol.CmdAck {
		p.SessionID = live
	}
	if p.Command == protocol.CmdFastConnect {
		p.Body = r.resumption(p.Body)
		l.sent(&p)
	}
	var cipher *protocol.Cipher
	threshold := 0
	if p.Flags&protocol.FlagCrypto != 0 {
		cipher = l.cipherFor(&p)
	}
	if p.Flags&protocol.FlagCompress != 0 {
		threshold = len(p.Body) - 1
	}
	frame, err := protocol.AppendSealed(nil, p.Command, p.Flags&^(protocol.FlagCrypto|protocol.FlagCompress), p.SessionID, p.Body, threshold, cipher)
	if err != nil {
		r.t.Fatal(err)
	}
	return frame
}

// resumption replaces the recorded session id of a FAST_CONNECT.
func (r *replay) resumption(body []byte) []byte {
	var m protocol.FastConnect
	if m.UnmarshalBinary(body) != nil {
		return body
	}
	if live, ok := r.sessions[m.SessionID]; ok {
		m.SessionID = live
	}
	body, err := m.AppendBinary(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return body
}

var sessionMember = regexp.MustCompile(`"sessionId":\s*-?\d+`)

// webAck is a masked text frame that acknowledges this run's push.
func (r *replay) webAck(s segment) []byte {
	f, _, _ := cutWebFrame(s.raw)
	live, ok := r.pushes[s.acks]
	if !ok {
		return s.raw
	}
	text := sessionMember.ReplaceAll(f.payload, fmt.Appendf(nil, `"sessionId":%d`, live))
	if len(text) > 125 {
		r.t.Fatalf("long ack %s", text)
	}
	frame := []byte{f.first, 0x80 | byte(len(text)), 0, 0, 0, 0} // masked with zeros
	return append(frame, text...)
}

// expect waits for what the recorded server said.
func (r *replay) expect(l *liveLine, s step, want item) bool {
	got := l.next(r.patience)
	if got.text != want.text {
		r.differ(l, s, got.text, want.text)
		return false
	}
	if want.push != 0 {
		r.pushes[want.push] = got.push
	}
	if want.session != "" {
		r.sessions[want.session] = got.session
	}
	l.over = got.text == closedByServer
	return true
}

// hangUp ends the client's side. Until then the node may not say more or close,
// which shows if it did at once; afterwards it may only close in turn, on a
// WebSocket with a close frame.
func (r *replay) hangUp(l *liveLine, s step) {
	const nothingMore = "nothing more, the client hangs up"
	if got := l.next(glance); got.text != nothing {
		r.differ(l, s, got.text, nothingMore)
		return
	}
	_ = l.conn.(*net.TCPConn).CloseWrite()
	got := l.next(r.patience)
	if l.web && strings.HasPrefix(got.text, "close frame") {
		got = l.next(r.patience)
	}
	if got.text != closedByServer {
		r.differ(l, s, got.text, nothingMore)
	}
	l.over = true
}

func (r *replay) differ(l *liveLine, s step, got, want string) {
	l.over = true
	r.report("%s, connection %d (%s) at %d ms:\nwant %s\n got %s", r.script.name, s.conn, r.script.conns[s.conn].Label, s.at, want, got)
}

// next is the next thing that the node says within the time.
func (l *liveLine) next(within time.Duration) item {
	buf := make([]byte, 64<<10)
	_ = l.conn.SetReadDeadline(time.Now().Add(within))
	for len(l.waiting) == 0 {
		n, err := l.conn.Read(buf)
		l.waiting = append(l.waiting, l.receive(buf[:n])...)
		switch {
		case len(l.waiting) > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return item{text: nothing}
		case err != nil: // FIN or, with bytes of ours unread, RST
			return item{text: closedByServer}
		}
	}
	it := l.waiting[0]
	l.waiting = l.waiting[1:]
	return it
}

func TestLoadTranscript(t *testing.T) {
	script, err := loadTranscript("03-fast-connect-expired", 0)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	rebuilt := 0
	for _, s := range script.steps {
		for _, it := range s.want {
			said = append(said, it.text)
		}
		for _, part := range s.send {
			if part.build {
				rebuilt++
			}
		}
	}
	want := []string{
		`ERROR flags=0 session=5 FAST_CONNECT 103 "session expired" ""`,
		"HANDSHAKE flags=1 session=6 heartbeat=180000 id ttl",
		`OK flags=0 session=7 BIND 0 "bind success"`,
	}
	if fmt.Sprint(said) != fmt.Sprint(want) || rebuilt != 2 {
		t.Errorf("read %d rebuilt packets and\n%q, want\n%q", rebuilt, said, want)
	}
}

// TestReplayFindsDifferences changes a recording: each change must be reported,
// once.
func TestReplayFindsDifferences(t *testing.T) {
	const name = "09-kick-same-device"
	target := startReplayNode(t, scenario{name: name, minHeartbeat: 10 * time.Second, sessionTTL: time.Hour})
	for _, change := range []struct {
		recorded string
		ours     []string
		reports  int
	}{
		{"KICK", []string{"KICK"}, 1},  // another text
		{"KICK", nil, 1},               // an answer too much
		{hangsUp, []string{"more"}, 2}, // an answer too few, on both connections
		{"no such answer", []string{}, -1},
	} {
		script, err := loadTranscript(name, 0)
		if err != nil {
			t.Fatal(err)
		}
		unused := script.deviate([]deviation{{name, nil, change.recorded, change.ours, "test"}})
		if (len(unused) == 1) != (change.reports < 0) {
			t.Errorf("%+v: unused %v", change, unused)
		}
		reports := 0
		r := &replay{t: t, script: script, target: target, ttl: time.Hour, report: func(string, ...any) { reports++ }}
		if change.recorded == hangsUp {
			r.patience = time.Second // it would wait in vain
		}
		r.run()
		if reports != max(change.reports, 0) {
			t.Errorf("%+v: %d reports", change, reports)
		}
	}
}

// TestTranscriptsAreReadable: every recorded byte of a server can be opened with
// the recorded keys.
func TestTranscriptsAreReadable(t *testing.T) {
	unreadable := regexp.MustCompile("cannot be opened|garbage|unusable|no HTTP|check codes")
	for _, scenario := range scenarios {
		script, err := loadTranscript(scenario.name, 0)
		if err != nil {
			t.Fatal(err)
		}
		answers := 0
		for _, s := range script.steps {
			for _, it := range s.want {
				answers++
				if unreadable.MatchString(it.text) {
					t.Errorf("%s at %d ms: %s", scenario.name, s.at, it.text)
				}
			}
		}
		if answers == 0 {
			t.Errorf("%s: no answers", scenario.name)
		}
	}
}

func TestWebFrames(t *testing.T) {
	for _, n := range []int{0, 125, 126, 70000} {
		payload := bytes.Repeat([]byte("x"), n)
		wire := []byte{0x81, 127}
		wire = append(binary.BigEndian.AppendUint64(wire, uint64(n)), payload...)
		f, rest, ok := cutWebFrame(append(wire, "rest"...))
		if !ok || !bytes.Equal(f.payload, payload) || string(rest) != "rest" {
			t.Errorf("%d bytes: %v %q", n, ok, rest)
		}
		if _, _, ok := cutWebFrame(wire[:len(wire)-1]); ok && n > 0 {
			t.Errorf("%d bytes: cut short", n)
		}
	}
}
