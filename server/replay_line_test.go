package server_test

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

const (
	maxFrame       = 64 << 20
	closedByServer = "closed by the server"
)

// item is one thing a server said, in a form that a recording and a live node can
// be compared by: what differs on each run is left out.
type item struct {
	text    string
	push    int32  // session id of a PUSH, chosen by the server
	session string // session id of a HANDSHAKE reply
}

// talk is what the clients of one run share.
type talk struct {
	mu       sync.Mutex
	sessions map[string]protocol.SessionKey // by session id
}

func newTalk() *talk { return &talk{sessions: make(map[string]protocol.SessionKey)} }

// line follows one connection from the client's side.
type line struct {
	talk *talk
	web  bool
	ttl  time.Duration // expected life of a session; 0: recorded, not looked at

	in       []byte // bytes of an incomplete packet of the server
	dec      protocol.Decoder
	upgraded bool

	clientKey *protocol.SessionKey // of the last HANDSHAKE
	key       *protocol.SessionKey // in force
	resuming  string               // session id of the last FAST_CONNECT
}

func newLine(t *talk, web bool) *line { return &line{talk: t, web: web} }

// sent notes a packet of the client. The body of a HANDSHAKE is as on the wire,
// any other is opened.
func (l *line) sent(p *protocol.Packet) {
	switch p.Command {
	case protocol.CmdHandshake:
		opened := *p
		if p.Flags&protocol.FlagCrypto != 0 {
			opened.Body = decryptBlocks(p.Body)
			opened.Flags &^= protocol.FlagCrypto
		}
		var m protocol.Handshake
		plain, err := protocol.Open(nil, &opened, nil, maxFrame)
		if err != nil || m.UnmarshalBinary(plain) != nil || len(m.ClientKey) != 16 || len(m.IV) != 16 {
			return
		}
		l.clientKey = &protocol.SessionKey{Key: [16]byte(m.ClientKey), IV: [16]byte(m.IV)}
	case protocol.CmdFastConnect:
		var m protocol.FastConnect
		if m.UnmarshalBinary(p.Body) == nil {
			l.resuming = m.SessionID
		}
	}
}

// decryptBlocks undoes RSA with the demo key, as many blocks as there are; nil if
// it cannot.
func decryptBlocks(sealed []byte) (plain []byte) {
	key, err := protocol.DemoKeyPair()
	if err != nil {
		panic(err)
	}
	for block := range slices.Chunk(sealed, key.Bits()/8) {
		if plain, err = key.AppendDecrypt(plain, block); err != nil {
			return nil
		}
	}
	return plain
}

// cipherFor is the cipher of a packet, nil if there is none yet.
func (l *line) cipherFor(p *protocol.Packet) *protocol.Cipher {
	key := l.key
	if p.Command == protocol.CmdHandshake {
		key = l.clientKey
	}
	if key == nil {
		return nil
	}
	return protocol.NewCipher(*key)
}

// receive cuts what the server said into items.
func (l *line) receive(data []byte) (items []item) {
	if l.web {
		return l.receiveWeb(data)
	}
	for len(data) > 0 {
		p, rest, ok, err := l.dec.Next(data, maxFrame)
		if err != nil {
			return append(items, item{text: "garbage: " + err.Error()})
		}
		if ok {
			items = append(items, l.binaryItem(&p))
		}
		data = rest
	}
	return items
}

// binaryItem opens a packet of the server and learns its keys.
func (l *line) binaryItem(p *protocol.Packet) item {
	if p.Command == protocol.CmdHeartbeat {
		return item{text: "HEARTBEAT"}
	}
	head := fmt.Sprintf("%v flags=%d session=%d ", p.Command, p.Flags, p.SessionID)
	if p.CheckCode != 0 || p.LRC != 0 {
		head += "check codes "
	}
	plain, err := protocol.Open(nil, p, l.cipherFor(p), maxFrame)
	if err != nil {
		return item{text: head + "cannot be opened: " + err.Error()}
	}
	opened := *p
	opened.Body = plain
	var it item
	switch p.Command {
	case protocol.CmdHandshake:
		it = l.welcomed(&opened)
	case protocol.CmdFastConnect:
		it = l.resumed(&opened)
	case protocol.CmdPush:
		head = fmt.Sprintf("PUSH flags=%d ", p.Flags)
		it = item{text: shorten(plain), push: p.SessionID}
	default:
		it = item{text: fieldsOf(&opened)}
	}
	it.text = head + it.text
	return it
}

// fieldsOf renders the body of a reply.
func fieldsOf(p *protocol.Packet) string {
	var m protocol.Message
	switch p.Command {
	case protocol.CmdOK:
		m = new(protocol.OK)
	case protocol.CmdError:
		m = new(protocol.Error)
	case protocol.CmdKick:
		m = new(protocol.Kick)
	case protocol.CmdHTTPProxy:
		m = new(protocol.HTTPResponse)
	default:
		return shorten(p.Body)
	}
	if err := m.UnmarshalBinary(p.Body); err != nil {
		return err.Error()
	}
	switch m := m.(type) {
	case *protocol.OK:
		return fmt.Sprintf("%v %d %q", m.Command, m.Code, withoutTimes(m.Data))
	case *protocol.Error:
		return fmt.Sprintf("%v %d %q %q", m.Command, m.Code, m.Reason, withoutTimes(m.Data))
	case *protocol.HTTPResponse:
		lines := slices.Sorted(strings.Lines(m.Headers)) // Java's are in no order
		return fmt.Sprintf("%d %q %q %s", m.Status, m.Reason, strings.Join(lines, ""), shorten(m.Body))
	default:
		k := m.(*protocol.Kick)
		return fmt.Sprintf("%q %q", k.DeviceID, k.UserID)
	}
}

var epochTime = regexp.MustCompile(`\b\d{13}\b`)

// withoutTimes hides the moments in the timeline of a gateway reply.
func withoutTimes(s string) string { return epochTime.ReplaceAllString(s, "T") }

// shorten renders content; long content by its start, length and digest.
func shorten(b []byte) string {
	if len(b) <= 200 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q... %d bytes %x", b[:40], len(b), md5.Sum(b))
}

// welcomed takes the reply to a HANDSHAKE.
func (l *line) welcomed(p *protocol.Packet) item {
	var m protocol.HandshakeOK
	if err := m.UnmarshalBinary(p.Body); err != nil || len(m.ServerKey) != 16 || l.clientKey == nil {
		return item{text: fmt.Sprintf("unusable: %v, key of %d bytes", err, len(m.ServerKey))}
	}
	key := protocol.SessionKey{Key: protocol.MixKey(l.clientKey.Key, [16]byte(m.ServerKey)), IV: l.clientKey.IV}
	l.key = &key
	l.talk.mu.Lock()
	l.talk.sessions[m.SessionID] = key
	l.talk.mu.Unlock()
	life := "ttl"
	if off := time.Until(time.UnixMilli(m.ExpireTime)) - l.ttl; l.ttl > 0 && off.Abs() > 2*time.Second {
		life = "ttl off by " + off.String()
	}
	id := "id"
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(m.SessionID) {
		id = m.SessionID
	}
	return item{text: fmt.Sprintf("heartbeat=%d %s %s", m.Heartbeat, id, life), session: m.SessionID}
}

// resumed takes the reply to a FAST_CONNECT.
func (l *line) resumed(p *protocol.Packet) item {
	var m protocol.FastConnectOK
	if err := m.UnmarshalBinary(p.Body); err != nil {
		return item{text: err.Error()}
	}
	l.talk.mu.Lock()
	key, known := l.talk.sessions[l.resuming]
	l.talk.mu.Unlock()
	if known {
		l.key = &key
	}
	return item{text: fmt.Sprintf("heartbeat=%d", m.Heartbeat)}
}

// receiveWeb does the same for a WebSocket.
func (l *line) receiveWeb(data []byte) (items []item) {
	l.in = append(l.in, data...)
	for len(l.in) > 0 {
		if !l.upgraded {
			it, ok := l.httpItem()
			if !ok {
				return items
			}
			items = append(items, it)
			continue
		}
		f, rest, ok := cutWebFrame(l.in)
		if !ok {
			return items
		}
		l.in = rest
		items = append(items, f.item())
	}
	return items
}

// httpItem reads the answer to the upgrade request. Bodies of pages are left out
// of recordings, other answers have no length there.
func (l *line) httpItem() (item, bool) {
	if !bytes.Contains(l.in, []byte("\r\n\r\n")) {
		return item{}, false
	}
	r := bufio.NewReader(bytes.NewReader(l.in))
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return item{text: "no HTTP: " + err.Error()}, true
	}
	text := fmt.Sprintf("HTTP %d", answer.StatusCode)
	if answer.StatusCode == http.StatusSwitchingProtocols {
		l.upgraded = true
		l.in, _ = io.ReadAll(r)
		return item{text: fmt.Sprintf("%s accept=%s extensions=%q protocol=%q", text, answer.Header.Get("Sec-WebSocket-Accept"),
			answer.Header.Get("Sec-WebSocket-Extensions"), answer.Header.Get("Sec-WebSocket-Protocol"))}, true
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil && l.ttl > 0 {
		return item{}, false // more is to come
	}
	l.in = nil
	if answer.StatusCode == http.StatusOK {
		return item{text: text + " " + answer.Header.Get("Content-Type")[:len("text/html")]}, true
	}
	return item{text: fmt.Sprintf("%s %q", text, body)}, true
}

// webFrame is one WebSocket frame of either side, unmasked.
type webFrame struct {
	first   byte // FIN, RSV and opcode
	payload []byte
}

// cutWebFrame cuts the first frame off b; ok is false if it is not complete.
func cutWebFrame(b []byte) (f webFrame, rest []byte, ok bool) {
	if len(b) < 2 {
		return f, nil, false
	}
	f.first = b[0]
	n, head := int(b[1]&0x7F), 2
	switch {
	case n == 126 && len(b) >= 4:
		n, head = int(binary.BigEndian.Uint16(b[2:])), 4
	case n == 127 && len(b) >= 10:
		n, head = int(binary.BigEndian.Uint64(b[2:])), 10
	case n >= 126:
		return f, nil, false
	}
	var mask [4]byte
	if masked := b[1]&0x80 != 0; masked && len(b) >= head+4 {
		mask = [4]byte(b[head:])
		head += 4
	} else if masked {
		return f, nil, false
	}
	if len(b) < head+n {
		return f, nil, false
	}
	f.payload = bytes.Clone(b[head : head+n])
	for i := range f.payload {
		f.payload[i] ^= mask[i%4]
	}
	return f, b[head+n:], true
}

var pushSession = regexp.MustCompile(`("cmd":15,.*"sessionId":)(-?\d+)(\}$)`)

func (f webFrame) item() item {
	switch f.first {
	case 0x81:
		it := item{text: "text " + string(f.payload)}
		if m := pushSession.FindStringSubmatchIndex(it.text); m != nil {
			_, _ = fmt.Sscan(it.text[m[4]:m[5]], &it.push)
			it.text = it.text[:m[4]] + "*" + it.text[m[5]:]
		}
		return it
	case 0x88:
		if len(f.payload) < 2 {
			return item{text: "close frame without a code"}
		}
		// The texts are netty's; 1000 says "Bye" or repeats the client's.
		return item{text: fmt.Sprintf("close frame %d", binary.BigEndian.Uint16(f.payload))}
	default:
		return item{text: fmt.Sprintf("frame %#x %s", f.first, shorten(f.payload))}
	}
}
