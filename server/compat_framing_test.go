package server_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

// The published example of a resumed session, byte for byte.
const (
	exampleSession     = "34b37ed163965735ab20c62bdb98ee53"
	exampleSessionKey  = "0b3157799bc1ef093b5177a9cbe11f39"
	exampleFastConnect = "00000031070000000000000100 00203334623337656431363339363537333561623230633632626462393865653533" +
		"00056465762d31 00002710 0003a980"
	exampleFastConnectOK  = "00000004070000000000000100 0002bf20"
	exampleBind           = "00000010050000010000000200 7710e672adba28cd274a04120dd8bece"
	exampleBindOK         = "000000100b0000000000000200 0500000c62696e642073756363657373"
	examplePushBody       = "1a2c7f83900b430ec660e26d79ecde01"
	exampleKick           = "000000100d0000010000000000 ed9962c991e0b227e10889ca0ffd1a13"
	exampleSessionExpired = "000000150a0000000000000100 0767000f73657373696f6e20657870697265640000"
	exampleGatewayPush    = "0000001d100000080000000100 0006757365722d3000000001000009c4000568656c6c6f000000000000"
	exampleBroadcast      = "0000002a100000000000000200 00000000000000000000000268690003742d3100075b22766970225d000c757365724964213d6e756c6c"
)

// remember puts the session of the published examples into a node's store.
func remember(t testing.TB, n *servertest.Node) {
	t.Helper()
	err := n.Store.SaveSession(t.Context(), exampleSession, store.Session{
		OSName: "android", OSVersion: "6.0", ClientVersion: "1.0", DeviceID: "dev-1",
		Key:     protocol.SessionKey{Key: [16]byte(unhex(t, exampleSessionKey)), IV: [16]byte(unhex(t, exampleIV))},
		Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// resumed connects as the device of the published examples and binds it to user-0
// with the tag vip.
func resumed(t testing.TB, n *servertest.Node) *wire {
	t.Helper()
	remember(t, n)
	w := wireTo(t, n.DeviceAddress())
	w.send(unhex(t, exampleFastConnect), unhex(t, exampleBind))
	w.want(unhex(t, exampleFastConnectOK), unhex(t, exampleBindOK))
	w.seal = protocol.NewCipher(protocol.SessionKey{Key: [16]byte(unhex(t, exampleSessionKey)), IV: [16]byte(unhex(t, exampleIV))})
	return w
}

// Check 1: header layout, any segmentation, several frames in one segment.
func TestCompatFramesInAnySegments(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	remember(t, n)
	stream := join(unhex(t, exampleFastConnect), beat, unhex(t, exampleBind), beat, raw(15, 8, 9, []byte("x")), beat)
	for _, size := range []int{1, 2, 7, 12, 13, 14, 50, 62, 63, len(stream)} {
		t.Run(fmt.Sprintf("segments of %d", size), func(t *testing.T) {
			w := wireTo(t, n.DeviceAddress())
			for rest := stream; len(rest) > 0; {
				cut := min(size, len(rest))
				w.send(rest[:cut])
				rest = rest[cut:]
			}
			w.want(unhex(t, exampleFastConnectOK), beat, unhex(t, exampleBindOK), beat, raw(23, 0, 9, nil), beat)
		})
	}
}

// Checks 2 and 3: the heartbeat byte, and the full frame that means the same.
func TestCompatHeartbeats(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for name, test := range map[string]struct{ send, want [][]byte }{
		"one":                          {[][]byte{beat}, [][]byte{beat}},
		"three in a row":               {[][]byte{beat, beat, beat}, [][]byte{beat, beat, beat}},
		"before, between and after":    {[][]byte{beat, beat, raw(15, 8, 4, nil), beat}, [][]byte{beat, beat, raw(23, 0, 4, nil), beat}},
		"frame without a body":         {[][]byte{raw(1, 0, 7, nil)}, [][]byte{beat}},
		"frame with a body":            {[][]byte{raw(1, 0, 7, []byte("whatever"))}, [][]byte{beat}},
		"frame that claims encryption": {[][]byte{raw(1, 1, 7, []byte("whatever"))}, [][]byte{beat}},
	} {
		t.Run(name, func(t *testing.T) {
			w := wireTo(t, n.DeviceAddress())
			w.send(test.send...)
			w.want(test.want...)
			w.wantQuiet()
		})
	}
}

// Check 4: the two dead fields of the header.
func TestCompatCheckCodeAndLRCAreDead(t *testing.T) {
	t.Parallel()
	w := wireTo(t, servertest.Start(t).DeviceAddress())
	push := raw(15, 8, 3, []byte("hello"))
	binary.BigEndian.PutUint16(push[5:], 1234)
	push[12] = 55
	w.send(push)
	w.want(raw(23, 0, 3, nil)) // both are 0 in what raw makes
}

// Check 5: the limit is on the body, and nothing is answered beyond it.
func TestCompatBodyLimit(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := wireTo(t, n.DeviceAddress())
	w.send(raw(15, 8, 3, make([]byte, 10_240)))
	w.want(raw(23, 0, 3, nil))
	for _, length := range []uint32{10_241, 1 << 30, 0x7fffffff} {
		w := wireTo(t, n.DeviceAddress())
		w.send(binary.BigEndian.AppendUint32(nil, length), raw(15, 8, 3, nil)[4:])
		w.wantClosed() // Java first waits for the body
	}
}

// Check 6: the lengths of fields around the change of encoding; empty is null.
func TestCompatFieldLengths(t *testing.T) {
	t.Parallel()
	credentials := make(chan string, 1)
	n := servertest.Start(t, func(o *server.Options) {
		o.Limits.PacketBytes = 64 << 10
		o.Validate = func(_, credential string) bool { credentials <- credential; return true }
	})
	for length, prefix := range map[int]string{
		0: "0000", 1: "0001", 32_766: "7ffe", 32_767: "7fff00000000", 32_768: "7fff00000001", 40_000: "7fff00001c41",
	} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			w := device(t, n, "dev", "android", "")
			credential, user := strings.Repeat("c", length), fmt.Sprintf("user-%d", length)
			w.send(raw(5, 0, 2, join(short(user), unhex(t, prefix), []byte(credential), short("tag"))))
			w.want(raw(11, 0, 2, okBody(5, "bind success")))
			devices := n.Devices(user)
			if got := <-credentials; got != credential || len(devices) != 1 || devices[0].Tags != "tag" {
				t.Errorf("a credential of %d bytes arrived with %d, or spoilt the field behind it", length, len(got))
			}
		})
	}
	w := device(t, n, "dev", "android", "")
	w.send(raw(5, 0, 2, join(short("u"), short(""), unhex(t, "8000"))))
	w.want(raw(10, 0, 2, errorBody(5, 100, "handle message error")))
	w.wantClosed()
}

// compressed runs text through a compressor.
func compressed(t testing.TB, text []byte, open func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var b bytes.Buffer
	c := open(&b)
	if _, err := c.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Check 7: zlib as the Java SDK sends it, gzip as the iOS SDKs do.
func TestCompatCompressedRequests(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	openers := map[string]func(io.Writer) io.WriteCloser{
		"zlib": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	}
	for name, open := range openers {
		for _, encrypted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, encrypted: %v", name, encrypted), func(t *testing.T) {
				w := device(t, n, "dev", "android", "")
				tags, user := strings.Repeat("vip,", 1000), name+fmt.Sprint(encrypted)
				body, flags := compressed(t, bindBody(user, "", tags), open), byte(2)
				if encrypted {
					body, flags = w.seal.AppendEncrypt(nil, body), 3
				}
				w.send(raw(5, flags, 2, body))
				w.want(raw(11, 0, 2, okBody(5, "bind success")))
				if devices := n.Devices(user); len(devices) != 1 || devices[0].Tags != tags {
					t.Errorf("the tags did not arrive: %d devices", len(devices))
				}
			})
		}
	}
	w := device(t, n, "dev", "android", "")
	w.send(raw(5, 2, 2, []byte("this is neither")))
	w.want(raw(10, 0, 2, errorBody(5, 100, "handle message error")))
	w.wantClosed()
}

// Check 8: compression above the threshold, then encryption; raw replies stay raw.
func TestCompatLongPushesAreCompressedThenEncrypted(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.CompressThreshold = 100 })
	w := device(t, n, "dev-1", "android", "alice")
	for content, flags := range map[string]byte{strings.Repeat("a", 100): 1, strings.Repeat("a", 101): 3, strings.Repeat("a", 5000): 3} {
		n.Send(t, cluster.Push{Content: []byte(content)}, "alice")
		frame := w.next()
		if frame[4] != 15 || frame[7] != flags {
			t.Fatalf("content of %d bytes arrived as command %d with flags %d, want flags %d", len(content), frame[4], frame[7], flags)
		}
		plain, err := w.seal.AppendDecrypt(nil, frame[13:])
		if err != nil {
			t.Fatal(err)
		}
		if flags&2 != 0 {
			if plain[0] != 0x78 || plain[1] != 0x9c {
				t.Errorf("compressed content starts with %x, want zlib's 789c", plain[:2])
			}
			r, err := zlib.NewReader(bytes.NewReader(plain))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if string(plain) != content {
			t.Errorf("got %q, want %q", plain, content)
		}
	}

	raws := servertest.Start(t, func(o *server.Options) { o.Limits.CompressThreshold = 1 })
	w = wireTo(t, raws.DeviceAddress())
	w.send(raw(7, 0, 1, join(short("no such session"), short("dev-1"), int32s(0, 0))))
	w.want(raw(10, 0, 1, errorBody(7, 103, "session expired")))
}

// Check 9: a negative length ends the connection and nothing else.
func TestCompatNegativeLength(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	bystander := wireTo(t, n.DeviceAddress())
	for _, length := range []uint32{0xffffffff, 0x80000000, 0xfffffff3} {
		w := wireTo(t, n.DeviceAddress())
		w.send(binary.BigEndian.AppendUint32(nil, length), raw(15, 8, 3, nil)[4:])
		w.wantClosed()
	}
	bystander.wantQuiet()
}

// Check 63, and the rest of the commands that no device may send.
func TestCompatUnsupportedCommands(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for _, cmd := range []int8{0, -1, 3, 4, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 24, 99} {
		for _, known := range []bool{false, true} {
			w := wireTo(t, n.DeviceAddress())
			if known {
				w.handshake(newGreeting(t, "dev-1", "android"))
			}
			w.send(raw(cmd, 0, 0xfffffff0, []byte("body")))
			w.want(raw(10, 0, 0xfffffff0, errorBody(byte(cmd), 101, "unsupported command")))
			w.wantClosed()
		}
	}
}
