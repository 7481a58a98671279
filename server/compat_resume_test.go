package server_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

func int32s(numbers ...int32) (b []byte) {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func fastConnect(session uint32, id, device string) []byte {
	return raw(7, 0, session, join(short(id), short(device), int32s(240_000, 240_000)))
}

// Check 21: refusals leave the connection open for a handshake.
func TestCompatFastConnectRefused(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := wireTo(t, n.DeviceAddress())
	w.send(unhex(t, exampleFastConnect))
	w.want(unhex(t, exampleSessionExpired))
	remember(t, n)
	w.send(fastConnect(2, exampleSession, "dev-2"))
	w.want(raw(10, 0, 2, errorBody(7, 104, "invalid device")))
	for session, id := range []string{"", "0", "34b37ed163965735ab20c62bdb98ee5", exampleSession + "0", "../../etc/passwd", "\x00"} {
		w.send(fastConnect(uint32(session), id, "dev-1"))
		w.want(raw(10, 0, uint32(session), errorBody(7, 103, "session expired")))
	}
	w.handshake(newGreeting(t, "dev-1", "android"))
	w.bind("alice", "")
}

// A device that encrypts its FAST_CONNECT is told what Java tells it.
func TestCompatFastConnectIsClear(t *testing.T) {
	t.Parallel()
	w := wireTo(t, servertest.Start(t).DeviceAddress())
	w.send(raw(7, 1, 1, make([]byte, 128)))
	w.want(raw(10, 0, 1, errorBody(7, 100, "handle message error")))
	w.wantClosed()
}

// Check 22: the user is not restored, the key is.
func TestCompatFastConnectNeedsBind(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	first := wireTo(t, n.DeviceAddress())
	session := first.handshake(newGreeting(t, "dev-1", "android")).session
	first.bind("alice", "")
	_ = first.nc.Close()
	servertest.Eventually(t, "alice is offline", func() bool {
		return servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x")}, "alice")).Outcome == protocol.OutcomeOffline
	})

	w := wireTo(t, n.DeviceAddress())
	w.seal = first.seal
	w.send(fastConnect(1, session, "dev-1"))
	w.want(raw(7, 0, 1, int32s(180_000)))
	if r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x")}, "alice")); r.Outcome != protocol.OutcomeOffline {
		t.Errorf("push before BIND: %s, want offline", r.Outcome)
	}
	w.wantQuiet()
	w.bind("alice", "")
	n.Send(t, cluster.Push{Content: []byte("hello")}, "alice")
	w.wantSealed(15, 1, []byte("hello"))
}

// The published example of a resumption, a push, an ack and a kick, byte for byte.
func TestCompatResumedConversation(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := resumed(t, n)
	done := n.Send(t, cluster.Push{Content: []byte("hello"), Ack: protocol.AckAuto}, "user-0")
	push := w.next()
	id := binary.BigEndian.Uint32(push[8:])
	if want := raw(15, 9, id, unhex(t, examplePushBody)); string(push) != string(want) {
		t.Fatalf("the push is %x, want %x", push, want)
	}
	w.send(raw(23, 0, id, nil))
	if r := servertest.Outcome(t, done); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("push ended as %s", r.Outcome)
	}
	device(t, n, "dev-2", "ios", "user-0")
	w.want(unhex(t, exampleKick))
	w.wantQuiet()
}

// Check 23, first half: resuming does not prolong a session.
func TestCompatFastConnectDoesNotProlong(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.SessionTTL = time.Second })
	w := wireTo(t, n.DeviceAddress())
	session := w.handshake(newGreeting(t, "dev-1", "android")).session
	ok, expired := raw(7, 0, 3, int32s(180_000)), raw(10, 0, 3, errorBody(7, 103, "session expired"))
	resumptions := 0
	servertest.Eventually(t, "the session expires while it is used", func() bool {
		w.send(fastConnect(3, session, "dev-1"))
		switch got := string(w.next()); got {
		case string(ok):
			resumptions++
			return false
		case string(expired):
			return true
		default:
			t.Fatalf("fast connect answered with %x", got)
			return false
		}
	})
	t.Logf("resumed %d times before it expired", resumptions)
}

// Check 23, second half: names with commas, which Java's session text cannot hold.
func TestCompatFastConnectWithCommas(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	g := newGreeting(t, "dev,1", "android,x")
	g.osVersion, g.version = "6,0", ",,,"
	first := wireTo(t, n.DeviceAddress())
	session := first.handshake(g).session

	w := wireTo(t, n.DeviceAddress())
	w.seal = first.seal
	w.send(fastConnect(1, session, "dev,1"))
	w.want(raw(7, 0, 1, int32s(180_000)))
	w.bind("alice", "")
	devices := n.Devices("alice")
	if len(devices) != 1 || devices[0].OSName != "android,x" || devices[0].OSVersion != "6,0" || devices[0].ClientVersion != ",,," || devices[0].DeviceID != "dev,1" {
		t.Errorf("after the resumption alice has %+v", devices)
	}
}

// A fast connect on a bound connection leaves no ghost of its user behind.
func TestCompatFastConnectOnABoundConnection(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := resumed(t, n)
	w.send(unhex(t, exampleFastConnect))
	w.want(unhex(t, exampleFastConnectOK))
	if devices := n.Devices("user-0"); len(devices) != 1 || devices[0].Online {
		t.Errorf("user-0 has %+v, want an offline device", devices)
	}
}
