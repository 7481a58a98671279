package server_test

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fanfare-push/fanfare/protocol"
)

// The transcripts were recorded from the Java programs; testdata/transcripts keeps
// those that one node can serve.

// transcript is a recording as a list of steps for the driver.
type transcript struct {
	name  string
	conns map[int]transcriptConn
	steps []step
}

type transcriptConn struct {
	Port  int    // 3000 device, 3001 gateway, 8008 WebSocket
	Label string // what the scenario does on it
}

// step is one thing that happened on one connection: the client sent something,
// the server did, or one of them closed.
type step struct {
	at   int // ms since the start of the recording
	conn int
	send []segment // by the client
	want []item    // by the server, its close included
	hang bool      // the client closes, after which nothing may come
}

// segment is a piece of what a client sent: bytes as they are, or a packet that
// depends on keys or ids of the server and is built anew with those of the node
// under test.
type segment struct {
	raw    []byte
	packet *protocol.Packet // opened, if it is complete with this segment
	build  bool             // send packet, not raw
	acks   int32            // session id of the push that a WebSocket ack names
}

// loadTranscript reads a recording. After the moment until (0: none) clients only
// hang up, unless the server closes later; that it does is kept.
func loadTranscript(name string, until int) (*transcript, error) {
	text, err := os.ReadFile(filepath.Join("testdata", "transcripts", name+".json"))
	if err != nil {
		return nil, err
	}
	var recorded struct {
		Connections []struct {
			ID int
			transcriptConn
		}
		Events []recordedEvent
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t := &transcript{name: name, conns: make(map[int]transcriptConn)}
	r := reader{transcript: t, lines: make(map[int]*recordedLine), talk: newTalk(), until: until}
	for _, c := range recorded.Connections {
		t.conns[c.ID] = c.transcriptConn
	}
	for i, e := range recorded.Events {
		if until > 0 && e.T > until {
			return t, r.leaveEarly(recorded.Events[i:])
		}
		if err := r.event(e); err != nil {
			return nil, fmt.Errorf("%s at %d ms: %w", name, e.T, err)
		}
	}
	r.finish(nil)
	return t, nil
}

type recordedEvent struct {
	T    int
	Conn int
	Ev   string
	By   string
	Dir  string
	Hex  string
}

// reader turns events into steps.
type reader struct {
	transcript *transcript
	lines      map[int]*recordedLine
	talk       *talk
	until      int
}

// recordedLine is one recorded connection.
type recordedLine struct {
	*line
	out    []byte // bytes of a client packet that is not complete
	told   int    // how many of them are in steps already
	opaque bool   // what follows is not framed
	closed bool
}

func (r *reader) line(conn int) (*recordedLine, error) {
	if l := r.lines[conn]; l != nil {
		return l, nil
	}
	c, ok := r.transcript.conns[conn]
	if !ok {
		return nil, fmt.Errorf("connection %d is not listed", conn)
	}
	l := &recordedLine{line: newLine(r.talk, c.Port == 8008)}
	r.lines[conn] = l
	return l, nil
}

func (r *reader) event(e recordedEvent) error {
	if e.Conn == 0 {
		return nil // notes and what the scripts did
	}
	l, err := r.line(e.Conn)
	if err != nil || l.closed {
		return err
	}
	s := step{at: e.T, conn: e.Conn}
	data, err := hex.DecodeString(e.Hex)
	switch {
	case err != nil:
		return err
	case e.Dir == "C>S":
		s.send = l.clientSaid(data)
	case e.Dir == "S>C":
		s.want = l.receive(data)
	case e.closesServer():
		s.want, l.closed = []item{{text: closedByServer}}, true
	case e.Ev == "close":
		s.hang, l.closed = true, true
	case e.Ev != "open":
		return fmt.Errorf("unknown event %+v", e)
	}
	r.transcript.steps = append(r.transcript.steps, s)
	return nil
}

func (e recordedEvent) closesServer() bool {
	return e.Ev == "close" && strings.HasPrefix(e.By, "server")
}

// leaveEarly hangs up all but those that the server closes in what is left, and
// keeps that it does.
func (r *reader) leaveEarly(left []recordedEvent) error {
	left = slices.DeleteFunc(left, func(e recordedEvent) bool { return !e.closesServer() })
	var stay []int
	for _, e := range left {
		stay = append(stay, e.Conn)
	}
	r.finish(stay)
	for _, e := range left {
		e.T = r.until
		if err := r.event(e); err != nil {
			return err
		}
	}
	return nil
}

// finish hangs up what is open, but for those to stay.
func (r *reader) finish(stay []int) {
	at := 0
	if steps := r.transcript.steps; len(steps) > 0 {
		at = steps[len(steps)-1].at
	}
	for _, conn := range slices.Sorted(maps.Keys(r.transcript.conns)) {
		if l := r.lines[conn]; l != nil && !l.closed && !slices.Contains(stay, conn) {
			r.transcript.steps = append(r.transcript.steps, step{at: at, conn: conn, hang: true})
		}
	}
}

// clientSaid cuts what a client sent into segments.
func (l *recordedLine) clientSaid(data []byte) []segment {
	switch {
	case l.opaque:
		return []segment{{raw: data}}
	case l.web:
		return l.webClientSaid(data)
	}
	var segments []segment
	l.out = append(l.out, data...)
	for len(l.out) > 0 {
		n := frameLength(l.out)
		if n < 0 {
			l.opaque, n = true, len(l.out)
		}
		if n == 0 || n > len(l.out) {
			break
		}
		segments = append(segments, l.clientPacket(l.out[:n:n]))
		l.out = l.out[n:]
	}
	if tail := l.out[l.told:]; len(tail) > 0 && !needsKeys(l.out) {
		segments = append(segments, segment{raw: tail})
		l.told = len(l.out)
	}
	return segments
}

// frameLength is the length of the frame or heartbeat at the start of b, 0 while
// that is not known and -1 if it is none.
func frameLength(b []byte) int {
	switch {
	case b[0] == protocol.HeartbeatByte:
		return 1
	case len(b) < protocol.HeaderSize:
		return 0
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n < 0 {
		return -1
	}
	return protocol.HeaderSize + n
}

// needsKeys reports whether the frame that starts b must be built anew.
func needsKeys(b []byte) bool {
	if len(b) < protocol.HeaderSize {
		return false
	}
	cmd, flags := protocol.Command(b[4]), protocol.Flags(b[7])
	return cmd == protocol.CmdFastConnect || cmd == protocol.CmdAck || cmd != protocol.CmdHandshake && flags&protocol.FlagCrypto != 0
}

// clientPacket is the segment of a complete packet.
func (l *recordedLine) clientPacket(wire []byte) segment {
	s := segment{raw: wire[l.told:]}
	told := l.told
	l.told = 0
	var d protocol.Decoder
	p, _, ok, err := d.Next(wire, maxFrame)
	if !ok || err != nil || len(wire) == 1 {
		return s
	}
	if plain, err := protocol.Open(nil, &p, l.cipherFor(&p), maxFrame); err == nil {
		readable := p.Flags&protocol.FlagCrypto == 0 || l.key != nil
		p.Body = append([]byte(nil), plain...)
		s.packet = &p
		s.build = told == 0 && readable && needsKeys(wire)
	}
	if p.Command == protocol.CmdHandshake {
		p.Body = append([]byte(nil), wire[protocol.HeaderSize:]...)
		s.packet = &p
	}
	if s.packet != nil {
		l.sent(s.packet)
	}
	return s
}

// webClientSaid keeps everything as it is but marks acknowledgements.
func (l *recordedLine) webClientSaid(data []byte) []segment {
	s := segment{raw: data}
	if f, rest, ok := cutWebFrame(data); l.upgraded && ok && len(rest) == 0 {
		p, err := protocol.ParseJSONPacket(f.payload)
		if err == nil && p.Command == protocol.CmdAck {
			s.acks = p.SessionID
		}
	}
	return []segment{s}
}
