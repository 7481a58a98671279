package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// wire is a peer of a node that sends and expects bytes. Frames are put together by
// hand, so that a mistake in package protocol cannot hide from these tests.
type wire struct {
	t    testing.TB
	nc   net.Conn
	in   *bufio.Reader
	seal *protocol.Cipher // of the session, once there is one
}

// wireTo connects to a port of a node. Whatever the test waits for on the
// connection has to come within half a minute.
func wireTo(t testing.TB, address string) *wire {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &wire{t: t, nc: nc, in: bufio.NewReader(nc)}
}

// raw is a frame with the layout of MPush's 13-byte header.
func raw(cmd int8, flags byte, session uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(b, byte(cmd), 0, 0, flags)
	b = binary.BigEndian.AppendUint32(b, session)
	return append(append(b, 0), body...)
}

// beat is a heartbeat.
var beat = []byte{0xdf}

// short is a field with the 16-bit length that all but very long ones have.
func short(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// okBody and errorBody are the replies of a node; towards devices data of an error
// is null.
func okBody(cmd byte, data string) []byte { return join([]byte{cmd, 0}, short(data)) }

func errorBody(cmd, code byte, reason string) []byte {
	return join([]byte{cmd, code}, short(reason), []byte{0, 0})
}

func bindBody(user, data, tags string) []byte { return join(short(user), short(data), short(tags)) }

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send writes the parts in one segment.
func (w *wire) send(parts ...[]byte) {
	w.t.Helper()
	if _, err := w.nc.Write(join(parts...)); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

// take reads one frame, or a heartbeat byte.
func (w *wire) take() ([]byte, error) {
	first, err := w.in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == beat[0] {
		_, err := w.in.Discard(1)
		return beat, err
	}
	frame := make([]byte, protocol.HeaderSize)
	if _, err := io.ReadFull(w.in, frame); err != nil {
		return nil, err
	}
	frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
	_, err = io.ReadFull(w.in, frame[protocol.HeaderSize:])
	return frame, err
}

// next is take for a frame that must come.
func (w *wire) next() []byte {
	w.t.Helper()
	frame, err := w.take()
	if err != nil {
		w.t.Fatalf("read: %v", err)
	}
	return frame
}

// want expects these frames and nothing between them.
func (w *wire) want(frames ...[]byte) {
	w.t.Helper()
	for _, frame := range frames {
		if got := w.next(); !bytes.Equal(got, frame) {
			w.t.Fatalf("the node sent\n%x, want\n%x", got, frame)
		}
	}
}

// wantQuiet shows that nothing was sent, and that the connection lives: the next
// that comes is the answer to a heartbeat.
func (w *wire) wantQuiet() {
	w.t.Helper()
	w.send(beat)
	w.want(beat)
}

// wantClosed expects the end of the connection and nothing before it.
func (w *wire) wantClosed() {
	w.t.Helper()
	switch frame, err := w.take(); {
	case err == nil:
		w.t.Fatalf("the node sent %x, want the end of the connection", frame)
	case !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET):
		w.t.Fatalf("the node did not close: %v", err)
	}
}

// wantSealed expects a frame that is encrypted with the session's key and returns
// its session id.
func (w *wire) wantSealed(cmd int8, flags byte, plain []byte) (session uint32) {
	w.t.Helper()
	frame := w.next()
	if len(frame) < protocol.HeaderSize {
		w.t.Fatalf("the node sent %x, want command %d", frame, cmd)
	}
	session = binary.BigEndian.Uint32(frame[8:])
	if want := raw(cmd, flags, session, w.seal.AppendEncrypt(nil, plain)); !bytes.Equal(frame, want) {
		w.t.Fatalf("the node sent\n%x, want\n%x", frame, want)
	}
	return session
}

// The key and iv of the client in the published examples of the protocol.
const (
	exampleKey = "000102030405060708090a0b0c0d0e0f"
	exampleIV  = "101112131415161718191a1b1c1d1e1f"
)

// greeting is the clear body of a HANDSHAKE.
type greeting struct {
	device, osName, osVersion, version string
	iv, key                            []byte
	least, most                        int32 // heartbeat, ms
}

func newGreeting(t testing.TB, device, osName string) greeting {
	return greeting{device, osName, "6.0", "1.0", unhex(t, exampleIV), unhex(t, exampleKey), 10_000, 240_000}
}

func (g greeting) body() []byte {
	b := join(short(g.device), short(g.osName), short(g.osVersion), short(g.version), short(string(g.iv)), short(string(g.key)))
	b = binary.BigEndian.AppendUint32(b, uint32(g.least))
	b = binary.BigEndian.AppendUint32(b, uint32(g.most))
	return binary.BigEndian.AppendUint64(b, 1500000000000)
}

// sealedForNode encrypts with the public key of MPush's demo pair, as a device does.
func sealedForNode(t testing.TB, plain []byte) []byte {
	t.Helper()
	key, err := protocol.DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.Public().AppendEncrypt(nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// welcome is the clear body of the reply to a HANDSHAKE.
type welcome struct {
	serverKey []byte
	heartbeat uint32
	session   string
	expires   time.Time
}

// wantWelcome expects the reply to a handshake, takes it apart by its offsets and
// takes over the session's key.
func (w *wire) wantWelcome(g greeting, session uint32) welcome {
	w.t.Helper()
	frame := w.next()
	if len(frame) != protocol.HeaderSize+80 || !bytes.Equal(frame[:protocol.HeaderSize], raw(2, 1, session, make([]byte, 80))[:protocol.HeaderSize]) {
		w.t.Fatalf("the node sent %x, want the reply to a handshake", frame)
	}
	client := protocol.SessionKey{Key: [16]byte(g.key), IV: [16]byte(g.iv)}
	plain, err := protocol.NewCipher(client).AppendDecrypt(nil, frame[protocol.HeaderSize:])
	if err != nil || len(plain) != 64 {
		w.t.Fatalf("reply opens to %x, %v; want 64 bytes", plain, err)
	}
	if plain[0] != 0 || plain[1] != 16 || plain[22] != 0 || plain[23] != 32 {
		w.t.Fatalf("reply %x: want a key of 16 bytes, a heartbeat, a session id of 32", plain)
	}
	reply := welcome{plain[2:18], binary.BigEndian.Uint32(plain[18:]), string(plain[24:56]), time.UnixMilli(int64(binary.BigEndian.Uint64(plain[56:])))}
	mixed := protocol.SessionKey{IV: client.IV}
	for i := range mixed.Key {
		mixed.Key[i] = g.key[i] ^ reply.serverKey[i]
	}
	w.seal = protocol.NewCipher(mixed)
	return reply
}

// handshake makes an encrypted handshake.
func (w *wire) handshake(g greeting) welcome {
	w.t.Helper()
	w.send(raw(2, 1, 1, sealedForNode(w.t, g.body())))
	return w.wantWelcome(g, 1)
}

// bind binds the connection with an encrypted request.
func (w *wire) bind(user, tags string) {
	w.t.Helper()
	w.send(raw(5, 1, 2, w.seal.AppendEncrypt(nil, bindBody(user, "", tags))))
	w.want(raw(11, 0, 2, okBody(5, "bind success")))
}

// device logs a device in over TCP and binds it, if a user is given.
func device(t testing.TB, n *servertest.Node, id, osName, user string) *wire {
	t.Helper()
	w := wireTo(t, n.DeviceAddress())
	w.handshake(newGreeting(t, id, osName))
	if user != "" {
		w.bind(user, "")
	}
	return w
}
