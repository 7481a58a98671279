package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// gatewayTo connects as a back end.
func gatewayTo(t testing.TB, n *servertest.Node) *wire {
	t.Helper()
	return wireTo(t, n.GatewayAddress())
}

// gatewayBody is the body of a push to one user.
func gatewayBody(user string, class, timeout int32, content string) []byte {
	return join(short(user), int32s(class, timeout), short(content), short(""), short(""), short(""))
}

// answer is a reply of the gateway.
type answer struct {
	ok     bool
	code   byte
	reason string
	data   string
	names  []string // of the points of time
}

// cutShort takes a field off a body.
func cutShort(t testing.TB, body []byte) (text string, rest []byte) {
	t.Helper()
	if len(body) < 2 || len(body) < 2+int(body[0])<<8+int(body[1]) {
		t.Fatalf("body %x ends early", body)
	}
	end := 2 + int(body[0])<<8 + int(body[1])
	return string(body[2:end]), body[end:]
}

// wantAnswer expects the reply to a push with the given session id and, for one
// user, looks at the JSON that Java back ends read.
func (w *wire) wantAnswer(session uint32, class int, user string) (a answer) {
	w.t.Helper()
	frame := w.next()
	cmd, body := frame[4], frame[13:]
	if string(frame[:13]) != string(raw(int8(cmd), 0, session, body)[:13]) || cmd != 10 && cmd != 11 || len(body) < 2 || body[0] != 16 {
		w.t.Fatalf("the node sent %x, want the reply to push %d", frame, session)
	}
	a.ok, a.code, body = cmd == 11, body[1], body[2:]
	if !a.ok {
		a.reason, body = cutShort(w.t, body)
	}
	a.data, body = cutShort(w.t, body)
	if len(body) != 0 {
		w.t.Errorf("reply %x goes on after its last field", frame)
	}
	if a.data != "" {
		a.names = w.timeline(a.data, class, user)
	}
	return a
}

// timeline checks the members of the JSON and returns the names in it.
func (w *wire) timeline(data string, class int, user string) (names []string) {
	w.t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(data), &got); err != nil {
		w.t.Fatalf("data %q: %v", data, err)
	}
	if number, known := got["clientType"]; known != (class > 0) || known && number != float64(class) || got["userId"] != user {
		w.t.Errorf("data %s, want client type %d (absent unless positive) and user %q", data, class, user)
	}
	points, _ := got["timePoints"].([]any)
	for i := 0; i+1 < len(points); i += 2 {
		name, _ := points[i].(string)
		if at, ok := points[i+1].(float64); !ok || at < 1e12 {
			w.t.Errorf("data %s: %v is not a time in milliseconds", data, points[i+1])
		}
		names = append(names, name)
	}
	return names
}

func (a answer) check(t testing.TB, code byte, names ...string) {
	t.Helper()
	reason := map[byte]string{1: "user offline", 2: "push to client failure"}[code]
	if a.ok != (code == 0) || a.code != code || a.reason != reason || !slices.Equal(a.names, names) {
		t.Errorf("the back end got %+v, want code %d with %q", a, code, names)
	}
}

// Checks 36 and 37, and pushes with both ack flags.
func TestCompatGatewayPush(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w, back := resumed(t, n), gatewayTo(t, n)
	session := uint32(0x7ffffff0) // back ends count for ever
	for _, test := range []struct{ asked, given byte }{{0, 1}, {4, 5}, {8, 9}, {12, 9}} {
		session += 7 // and overflow
		back.send(raw(16, test.asked, session, gatewayBody("user-0", 1, 5000, "hello")))
		id := w.wantSealed(15, test.given, []byte("hello"))
		if test.asked == 0 {
			back.wantAnswer(session, 1, "user-0").check(t, 0, "push-center-begin", "before-send", "success-end")
			continue
		}
		session++
		back.send(raw(16, 0, session, gatewayBody("nobody", 1, 5000, "x")))
		back.wantAnswer(session, 1, "nobody").check(t, 1, "push-center-begin", "offline-end") // overtakes the push that waits
		w.send(raw(23, 0, id, nil))
		back.wantAnswer(session-1, 1, "user-0").check(t, 0, "push-center-begin", "before-send", "waiting-ack", "success-end")
	}
}

// The published example of a push through the gateway, byte for byte.
func TestCompatGatewayExample(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w, back := resumed(t, n), gatewayTo(t, n)
	back.send(unhex(t, exampleGatewayPush))
	push := w.next()
	id := uint32(push[8])<<24 | uint32(push[9])<<16 | uint32(push[10])<<8 | uint32(push[11])
	if want := raw(15, 9, id, unhex(t, examplePushBody)); string(push) != string(want) {
		t.Fatalf("the device got %x, want %x", push, want)
	}
	if id < 1<<30 || id >= 1<<31 {
		t.Errorf("the push has id %d: it could be taken for the reply to a request of the device", id)
	}
	w.send(raw(23, 0, id, nil))
	back.wantAnswer(1, 1, "user-0").check(t, 0, "push-center-begin", "before-send", "waiting-ack", "success-end")
}

// Checks 38 and 44: no ack means silence, and only the right ack counts.
func TestCompatGatewayAcks(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w, back := resumed(t, n), gatewayTo(t, n)
	other := device(t, n, "dev-2", "windows", "user-0")

	back.send(raw(16, 8, 1, gatewayBody("user-0", 1, 20_000, "first")))
	id := w.wantSealed(15, 9, []byte("first"))
	other.send(raw(23, 0, id, nil)) // another connection, of the same user even
	w.send(raw(23, 0, id+1, nil), raw(23, 0, 0, nil))
	other.wantQuiet()
	w.wantQuiet()
	if books := n.Ledger.Books(); books.InFlight != 1 {
		t.Errorf("an ack that was not meant for it ended the push: %+v", books)
	}
	w.send(raw(23, 0, id, nil))
	back.wantAnswer(1, 1, "user-0").check(t, 0, "push-center-begin", "before-send", "waiting-ack", "success-end")

	back.send(raw(16, 4, 2, gatewayBody("user-0", 1, 1, "second")))
	id = w.wantSealed(15, 5, []byte("second"))
	servertest.Eventually(t, "the ack times out", func() bool {
		return n.Ledger.Books().Ended[protocol.OutcomeAckTimeout] == 1
	})
	w.send(raw(23, 0, id, nil)) // late
	w.wantQuiet()
	back.send(raw(16, 0, 3, gatewayBody("nobody", 1, 0, "x")))
	back.wantAnswer(3, 1, "nobody").check(t, 1, "push-center-begin", "offline-end") // the first that comes

	w.send(raw(23, 1, id, []byte("garbage that claims encryption")))
	w.want(raw(10, 0, id, errorBody(23, 100, "handle message error")))
	w.wantClosed()
}

// Checks 39, 40 (without other nodes) and 41: who is offline, and for whom.
func TestCompatGatewayOffline(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	back := gatewayTo(t, n)
	device(t, n, "dev-1", "android", "alice")
	gone := device(t, n, "dev-2", "android", "bob")
	_ = gone.nc.Close()
	servertest.Eventually(t, "bob's connection ends", func() bool { return n.Info().Connections == 1 })
	for i, test := range []struct {
		user  string
		class int32
	}{{"carol", 1}, {"bob", 1}, {"alice", 2}, {"alice", 3}, {"alice", -1}, {"alice", 0}, {"alice", 99}} {
		session := uint32(i + 1)
		back.send(raw(16, 8, session, gatewayBody(test.user, test.class, 1000, "x")))
		back.wantAnswer(session, int(test.class), test.user).check(t, 1, "push-center-begin", "offline-end")
	}
}

// Check 42: what fits through the gateway, and what does not. The limit is the
// gateway's own; a push over it is answered, and those behind it are not lost.
func TestCompatGatewayLimit(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	n := servertest.Start(t, func(o *server.Options) { o.Limits.GatewayPacketBytes = limit })
	w, back := resumed(t, n), gatewayTo(t, n)
	overhead := len(gatewayBody("user-0", 1, 5000, ""))
	most := limit - overhead - 4 // a length above 32,766 takes four bytes more
	for session, length := range map[uint32]int{1: 10_200, 2: 10_240 - overhead, 3: 10_241 - overhead, 4: most} {
		content := noise(length)
		back.send(raw(16, 0, session, longGatewayBody("user-0", content)))
		back.wantAnswer(session, 1, "user-0").check(t, 0, "push-center-begin", "before-send", "success-end")
		w.wantPush(content)
	}
	long := raw(16, 8, 5, longGatewayBody("user-0", noise(most+1)))
	back.send(long, raw(16, 0, 6, gatewayBody("user-0", 1, 5000, "after it")))
	back.wantAnswer(5, 0, "").check(t, 2, "push-center-begin", "failure-end")
	w.wantSealed(15, 1, []byte("after it"))
	back.wantAnswer(6, 1, "user-0").check(t, 0, "push-center-begin", "before-send", "success-end")
	for _, cut := range []int{1, 12, 13, 14, 1000} { // in pieces, the header too
		back.send(long[:cut])
		back.send(long[cut:])
		back.wantAnswer(5, 0, "").check(t, 2, "push-center-begin", "failure-end")
	}
	w.wantQuiet()
}

// What no back end sends ends its connection without a reply.
func TestCompatGatewayGarbage(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for name, bytes := range map[string][]byte{
		"an HTTP request":    []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"1 GiB":              raw(16, 0, 1, nil)[4:],
		"too long a command": join(unhex(t, "00100001"), raw(5, 0, 1, nil)[4:]),
		"a negative length":  join(unhex(t, "ffffff00"), raw(16, 0, 1, nil)[4:]),
	} {
		if name == "1 GiB" {
			bytes = join(unhex(t, "40000000"), bytes)
		}
		back := gatewayTo(t, n)
		back.send(bytes)
		back.wantClosed()
	}
	cut := gatewayTo(t, n)
	cut.send(raw(16, 0, 1, gatewayBody("user-0", 1, 5000, "never whole"))[:30])
	_ = cut.nc.Close()
	servertest.Eventually(t, "nothing is in flight", func() bool { return n.Ledger.Books().InFlight == 0 })
}

// wantPush expects a push of content of any length.
func (w *wire) wantPush(content []byte) {
	w.t.Helper()
	var d protocol.Decoder
	p, _, ok, err := d.Next(w.next(), 1<<20)
	if err != nil || !ok || p.Command != protocol.CmdPush {
		w.t.Fatalf("the node sent %+v, %v, want a push", p, err)
	}
	got, err := protocol.Open(nil, &p, w.seal, 1<<20)
	if err != nil || !bytes.Equal(got, content) {
		w.t.Fatalf("the device got %d bytes, %v, want the %d that were pushed", len(got), err, len(content))
	}
}

// noise is content that does not compress.
func noise(length int) []byte {
	b := make([]byte, length)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// longGatewayBody is gatewayBody for content of any length.
func longGatewayBody(user string, content []byte) []byte {
	length := []byte{byte(len(content) >> 8), byte(len(content))}
	if n := len(content) - 32767; n >= 0 {
		length = []byte{0x7f, 0xff, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	}
	return join(short(user), int32s(1, 5000), length, content, short(""), short(""), short(""))
}

// Check 43: what a device pushes, at any time.
func TestCompatDevicePush(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	fresh, bound := wireTo(t, n.DeviceAddress()), device(t, n, "dev-1", "android", "alice")
	for _, w := range []*wire{fresh, bound} {
		for _, flags := range []byte{0, 4} {
			w.send(raw(15, flags, 9, []byte("hello")))
			w.wantQuiet()
		}
		w.send(raw(15, 8, 0x80000001, []byte("hello")))
		w.want(raw(23, 0, 0x80000001, nil))
	}
	bound.send(raw(15, 9, 10, bound.seal.AppendEncrypt(nil, []byte("sealed"))))
	bound.want(raw(23, 0, 10, nil))
	bound.send(raw(15, 9, 11, []byte("not sealed")))
	bound.want(raw(10, 0, 11, errorBody(15, 100, "handle message error")))
	bound.wantClosed()
}

// Check 45: a device that reads nothing.
func TestCompatGatewayPushToAFullDevice(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	device(t, n, "dev-1", "android", "alice") // from here on nobody reads
	back := gatewayTo(t, n)
	refused := make(chan error, 1)
	go func() {
		for {
			frame, err := back.take()
			if err == nil && frame[4] == 11 {
				continue
			}
			if err == nil && (frame[4] != 10 || frame[14] != 2) {
				err = fmt.Errorf("the node sent %x, want an error with code 2", frame)
			}
			refused <- err
			return
		}
	}()
	content := strings.Repeat("c", 10_000)
	for session := uint32(1); ; session++ {
		select {
		case err := <-refused:
			if err != nil {
				t.Error(err)
			}
			return
		default:
			back.send(raw(16, 0, session, gatewayBody("alice", 1, 5000, content)))
		}
	}
}

// Check 46: whatever a back end sends as a push, it gets a code that its SDK knows,
// and keeps its connection.
func TestCompatGatewayCodes(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.PendingAcks = 1 })
	w, back := resumed(t, n), gatewayTo(t, n)
	whole := gatewayBody("user-0", 1, 5000, "hello")
	for name, frame := range map[string][]byte{
		"no body":             raw(16, 0, 9, nil),
		"a body of one byte":  raw(16, 0, 9, []byte{0}),
		"a body cut off":      raw(16, 0, 9, whole[:20]),
		"negative length":     raw(16, 0, 9, join(unhex(t, "8001"), whole)),
		"called JSON":         raw(16, 16, 9, whole),
		"called compressed":   raw(16, 2, 9, whole),
		"no content":          raw(16, 0, 9, gatewayBody("user-0", 1, 5000, "")),
		"no content, to all":  raw(16, 0, 9, gatewayBody("", 0, 5000, "")),
		"tags that are words": raw(16, 0, 9, join(short(""), int32s(0, 0), short("x"), short(""), short("vip"), short(""))),
		"condition of noise":  raw(16, 0, 9, join(short(""), int32s(0, 0), short("x"), short(""), short(""), short("userId ==="))),
	} {
		t.Run(name, func(t *testing.T) {
			back.send(frame)
			reply := back.next()
			if reply[4] != 10 || reply[13] != 16 || reply[14] != 2 || string(reply[8:12]) != "\x00\x00\x00\x09" {
				t.Errorf("the node sent %x, want an error with code 2", reply)
			}
		})
	}
	back.send(raw(16, 8, 20, whole), raw(16, 8, 21, whole)) // one ack may be awaited
	back.wantAnswer(21, 1, "user-0").check(t, 2, "push-center-begin", "failure-end")
	id := w.wantSealed(15, 9, []byte("hello"))
	w.wantQuiet()
	w.send(raw(23, 0, id, nil))
	back.wantAnswer(20, 1, "user-0").check(t, 0, "push-center-begin", "before-send", "waiting-ack", "success-end")
}

// What the gateway does not take at all: answered with the request's command.
func TestCompatGatewayUnsupported(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for _, cmd := range []int8{2, 5, 7, 14, 15, 23, 0, -1, 99} {
		back := gatewayTo(t, n)
		back.send(raw(cmd, 0, 8, []byte("body")))
		back.want(raw(10, 0, 8, errorBody(byte(cmd), 101, "unsupported command")))
		back.wantClosed()
	}
	back := gatewayTo(t, n)
	back.send(beat)
	back.want(raw(10, 0, 0, errorBody(1, 101, "unsupported command")))
	back.wantClosed()
}
