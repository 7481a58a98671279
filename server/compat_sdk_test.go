package server_test

import (
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// sealed is a frame under the session's key.
func (w *wire) sealed(cmd int8, flags byte, session uint32, plain []byte) []byte {
	return raw(cmd, flags|1, session, w.seal.AppendEncrypt(nil, plain))
}

// expectLength is a guard of the script: what it sends is as long as what the Java
// SDK was recorded to send.
func expectLength(t testing.TB, frame []byte, body int) []byte {
	t.Helper()
	if got := len(frame) - protocol.HeaderSize; got != body {
		t.Fatalf("the body has %d bytes, the SDK's has %d", got, body)
	}
	return frame
}

// Check 67: the recorded conversations of the Java device SDK: a first start, a
// second one that resumes, and one whose session is gone.
func TestCompatJavaDevice(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	g := newGreeting(t, "d-01", "android")
	first := wireTo(t, n.DeviceAddress())
	first.send(expectLength(t, raw(2, 1, 1, sealedForNode(t, g.body())), 128))
	session := first.wantWelcome(g, 1)
	first.send(expectLength(t, first.sealed(5, 0, 2, bindBody("user-0", "", "")), 16))
	first.want(raw(11, 0, 2, okBody(5, "bind success")))
	firstStart(t, n, first)
	_ = first.nc.Close()

	second := wireTo(t, n.DeviceAddress())
	second.seal = first.seal
	second.send(expectLength(t, fastConnect(1, session.session, "d-01"), 48))
	second.want(raw(7, 0, 1, unhex(t, "0002bf20")))
	second.send(second.sealed(5, 0, 2, bindBody("user-1", "", "")))
	second.want(raw(11, 0, 2, okBody(5, "bind success")))

	third := wireTo(t, n.DeviceAddress())
	third.send(fastConnect(1, "00000000000000000000000000000000", "d-01"))
	third.want(raw(10, 0, 1, join(unhex(t, "0767000f"), []byte("session expired"), unhex(t, "0000"))))
	third.send(raw(2, 1, 2, sealedForNode(t, g.body())))
	third.wantWelcome(g, 2)
	third.send(third.sealed(5, 0, 3, bindBody("user-2", "", "")))
	third.want(raw(11, 0, 3, okBody(5, "bind success")))
}

// firstStart is what follows the bind: the app's push, two pushes to the device, and
// a change of users, whose requests the SDK sends without waiting.
func firstStart(t *testing.T, n *servertest.Node, w *wire) {
	t.Helper()
	w.send(w.sealed(15, 8, 3, []byte("from the app")))
	w.want(raw(23, 0, 3, nil))
	for _, test := range []struct {
		mode  protocol.AckMode
		flags byte
	}{{protocol.AckAuto, 9}, {protocol.AckBiz, 5}} {
		done := n.Send(t, cluster.Push{Content: []byte("to the device"), Ack: test.mode}, "user-0")
		w.send(raw(23, 0, w.wantSealed(15, test.flags, []byte("to the device")), nil))
		if r := servertest.Outcome(t, done); r.Outcome != protocol.OutcomeAcked {
			t.Errorf("push with ack %s ended as %s", test.mode, r.Outcome)
		}
	}
	w.send(w.sealed(6, 0, 5, bindBody("user-0", "", "")), w.sealed(5, 0, 6, bindBody("user-1", "", "")))
	w.want(raw(11, 0, 5, join(unhex(t, "0600000e"), []byte("unbind success"))), raw(11, 0, 6, join(unhex(t, "0500000c"), []byte("bind success"))))
}

// The Java device SDK throws on an empty push and connects again. It gets none.
func TestCompatNoEmptyPush(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w, back := resumed(t, n), gatewayTo(t, n)
	back.send(raw(16, 0, 1, gatewayBody("user-0", 1, 5000, "")), raw(16, 0, 2, toAll("", "", "", "")))
	back.wantAnswer(1, 1, "user-0").check(t, 2, "push-center-begin", "failure-end")
	back.wantAnswer(2, 0, "").check(t, 2, "push-center-begin", "failure-end")
	w.wantQuiet()
}

// The fields of BIND on the wire are user, credential, tags; the credential, which no
// SDK of MPush sends by itself, goes to the validator.
func TestCompatBindSendsCredential(t *testing.T) {
	t.Parallel()
	seen := make(chan [2]string, 1)
	n := servertest.Start(t, func(o *server.Options) {
		o.Validate = func(user, credential string) bool { seen <- [2]string{user, credential}; return true }
	})
	w := device(t, n, "dev-1", "ios", "")
	w.send(raw(5, 0, 2, bindBody("alice", "secret", "vip"))) // user, data, tags: not the order of the JSON examples
	w.want(raw(11, 0, 2, okBody(5, "bind success")))
	if got := <-seen; got != [2]string{"alice", "secret"} {
		t.Errorf("the validator was asked about %q", got)
	}
	if d := n.Devices("alice"); len(d) != 1 || d[0].Tags != "vip" {
		t.Errorf("alice has %+v", d)
	}
}
