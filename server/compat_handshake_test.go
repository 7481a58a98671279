package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
)

const lowerHex = "0123456789abcdef"

// Checks 10, 11 and 12: handshakes of one and more RSA blocks; wantWelcome looks at
// the bytes of the reply, the encrypted BIND proves the session's key.
func TestCompatHandshake(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	sessions := map[string]bool{}
	for name, test := range map[string]struct {
		osVersion string
		length    int // of the request, a multiple of the modulus
	}{
		"one block":    {"6.0", 128},
		"two blocks":   {strings.Repeat("6", 60), 256},
		"three blocks": {strings.Repeat("6", 180), 384},
		"no version":   {"", 128},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGreeting(t, "dev-1", "android")
			g.osVersion = test.osVersion
			w := wireTo(t, n.DeviceAddress())
			sealed := sealedForNode(t, g.body())
			if len(sealed) != test.length {
				t.Fatalf("the request has %d bytes, want %d", len(sealed), test.length)
			}
			w.send(raw(2, 1, 0x01020304, sealed))
			reply := w.wantWelcome(g, 0x01020304)
			if strings.Trim(reply.session, lowerHex) != "" || sessions[reply.session] {
				t.Errorf("session id %q: want 32 hexadecimal digits that were not given before", reply.session)
			}
			sessions[reply.session] = true
			w.bind("alice", "")
		})
	}
}

// The published example of the clear request, which greeting.body has to match.
func TestCompatHandshakeExample(t *testing.T) {
	t.Parallel()
	want := unhex(t, "00056465762d31 0007616e64726f6964 0003362e30 0003312e30 0010101112131415161718191a1b1c1d1e1f"+
		"0010000102030405060708090a0b0c0d0e0f 00002710 0003a980 0000015d3ef79800")
	if got := newGreeting(t, "dev-1", "android").body(); string(got) != string(want) {
		t.Errorf("the request is %x, want %x", got, want)
	}
}

// Check 13: a device that does not wait for the reply.
func TestCompatBindRightBehindHandshake(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	g := newGreeting(t, "dev-1", "android")
	w := wireTo(t, n.DeviceAddress())
	w.send(raw(2, 1, 1, sealedForNode(t, g.body())), raw(5, 0, 2, bindBody("alice", "", "")), beat)
	w.wantWelcome(g, 1)
	w.want(raw(11, 0, 2, okBody(5, "bind success")), beat)
}

// Checks 14 and 69: the heartbeat is kept between the node's bounds; what the device
// names as its smallest is ignored. An Objective-C device that counts in seconds
// (30/30) gets the smallest.
func TestCompatHeartbeatClamp(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	remember(t, n)
	for _, test := range []struct {
		least, most int32
		want        uint32
	}{
		{0, 5_000, 10_000}, {0, 60_000, 60_000}, {0, 36_000_000, 180_000}, {0, 0, 10_000}, {30, 30, 10_000},
		{120_000, 60_000, 60_000}, {10_000, 240_000, 180_000}, {0, -1, 10_000}, {0, 1<<31 - 1, 180_000},
	} {
		g := newGreeting(t, "dev-1", "android")
		g.least, g.most = test.least, test.most
		w := wireTo(t, n.DeviceAddress())
		if reply := w.handshake(g); reply.heartbeat != test.want {
			t.Errorf("handshake with %d/%d: heartbeat %d, want %d", test.least, test.most, reply.heartbeat, test.want)
		}
		w.send(raw(7, 0, 2, join(short(exampleSession), short("dev-1"), int32s(test.least, test.most))))
		w.want(raw(7, 0, 2, int32s(int32(test.want))))
	}
}

// Check 15: when the session ends, on the wall clock.
func TestCompatSessionExpiry(t *testing.T) {
	t.Parallel()
	const ttl = 36 * time.Hour
	n := servertest.Start(t, func(o *server.Options) { o.SessionTTL = ttl })
	w := wireTo(t, n.DeviceAddress())
	before := time.Now().Truncate(time.Millisecond)
	reply := w.handshake(newGreeting(t, "dev-1", "android"))
	if after := time.Now(); reply.expires.Before(before.Add(ttl)) || reply.expires.After(after.Add(ttl)) {
		t.Errorf("session expires at %v, want %v after a time between %v and %v", reply.expires, ttl, before, after)
	}
}

// Checks 16 and 17: what is wrong with a handshake, and how that is said.
func TestCompatBadHandshakes(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	invalid, broken := errorBody(2, 0, "Param invalid"), errorBody(2, 100, "handle message error")
	for name, test := range map[string]struct {
		change func(*greeting)
		want   []byte
	}{
		"empty device":      {func(g *greeting) { g.device = "" }, invalid},
		"iv of 8 bytes":     {func(g *greeting) { g.iv = g.iv[:8] }, invalid},
		"iv of 17 bytes":    {func(g *greeting) { g.iv = append(g.iv, 1) }, invalid},
		"key of 8 bytes":    {func(g *greeting) { g.key = g.key[:8] }, broken},
		"key of 17 bytes":   {func(g *greeting) { g.key = append(g.key, 1) }, invalid},
		"no key":            {func(g *greeting) { g.key = nil }, broken},
		"no iv":             {func(g *greeting) { g.iv = nil }, broken},
		"both of 8 bytes":   {func(g *greeting) { g.iv, g.key = g.iv[:8], g.key[:8] }, broken},
		"no device, no key": {func(g *greeting) { g.device, g.key = "", nil }, broken},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGreeting(t, "dev-1", "android")
			test.change(&g)
			for _, body := range [][]byte{raw(2, 1, 5, sealedForNode(t, g.body())), raw(2, 0, 5, g.body())} {
				w := wireTo(t, n.DeviceAddress())
				w.send(body)
				w.want(raw(10, 0, 5, test.want))
				w.wantClosed()
			}
		})
	}
	whole := newGreeting(t, "dev-1", "android").body()
	for name, frame := range map[string][]byte{
		"one block of garbage":     raw(2, 1, 5, make([]byte, 128)),
		"not a whole block":        raw(2, 1, 5, []byte(strings.Repeat("x", 100))),
		"clear text called sealed": raw(2, 1, 5, whole),
		"cut off, sealed":          raw(2, 1, 5, sealedForNode(t, whole[:40])),
		"cut off, clear":           raw(2, 0, 5, whole[:40]),
		"no body":                  raw(2, 0, 5, nil),
	} {
		t.Run(name, func(t *testing.T) {
			w := wireTo(t, n.DeviceAddress())
			w.send(frame)
			w.want(raw(10, 0, 5, broken))
			w.wantClosed()
		})
	}
}

// Check 18: the same device again is refused and stays; another one is taken, and
// its request is under RSA again whatever the cipher of the connection.
func TestCompatSecondHandshake(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := device(t, n, "dev-1", "android", "alice")
	w.send(raw(2, 1, 3, sealedForNode(t, newGreeting(t, "dev-1", "android").body())))
	w.want(raw(10, 0, 3, errorBody(2, 102, "repeat handshake")))
	w.wantQuiet()
	if devices := n.Devices("alice"); len(devices) != 1 || !devices[0].Online {
		t.Errorf("after the refusal alice has %+v", devices)
	}

	w.handshake(newGreeting(t, "dev-2", "ios"))
	if devices := n.Devices("alice"); len(devices) != 1 || devices[0].Online {
		t.Errorf("another device took the connection, and alice has %+v; want her offline", devices)
	}
	w.bind("bob", "")
	if devices := n.Devices("bob"); len(devices) != 1 || devices[0].DeviceID != "dev-2" {
		t.Errorf("bob has %+v", devices)
	}
}

// Check 19: a clear handshake, and the switch that forbids it.
func TestCompatClearHandshake(t *testing.T) {
	t.Parallel()
	g := newGreeting(t, "dev-1", "android")
	w := wireTo(t, servertest.Start(t).DeviceAddress())
	w.send(raw(2, 0, 1, g.body()))
	w.wantWelcome(g, 1) // encrypted nevertheless
	w.bind("alice", "")

	strict := servertest.Start(t, func(o *server.Options) { o.RequireEncryption = true })
	w = wireTo(t, strict.DeviceAddress())
	w.send(raw(2, 0, 1, g.body()))
	w.want(raw(10, 0, 1, errorBody(2, 0, "Param invalid")))
	w.wantClosed()
	w = device(t, strict, "dev-1", "android", "alice")
	w.send(raw(5, 0, 3, bindBody("alice", "", "")))
	w.want(raw(10, 0, 3, errorBody(5, 0, "invalid param")))
	w.wantClosed()
}
