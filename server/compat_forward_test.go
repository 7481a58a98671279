package server_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

// Check 40: a back end whose cache of routes is five minutes old. It goes on pushing to
// the node where the user was; never is it sent elsewhere, and never is anything lost.
func TestCompatGatewayForwards(t *testing.T) {
	c := servertest.StartCluster(t, 2)
	var backs [2]*wire
	for i, m := range c.Members {
		backs[i] = gatewayTo(t, m.Node)
	}
	var w *wire
	for move := range 12 {
		at, other := move%2, (move+1)%2
		before := w
		w = device(t, c.Members[at].Node, fmt.Sprint("phone-", at), "android", "alice")
		if before != nil {
			before.wantSealed(13, 1, join(short(fmt.Sprint("phone-", other)), short("alice")))
		}
		for _, ack := range []byte{0, 8, 4} {
			session := uint32(10*move) + uint32(ack)
			content := fmt.Sprintf("push %d.%d", move, ack)
			backs[other].send(raw(16, ack, session, gatewayBody("alice", 1, 5000, content)))
			id := w.wantSealed(15, 1|ack, []byte(content))
			if ack == 0 {
				backs[other].wantAnswer(session, 1, "alice").check(t, 0, "push-center-begin", "before-send", "success-end")
				continue
			}
			w.send(raw(23, 0, id, nil))
			backs[other].wantAnswer(session, 1, "alice").check(t, 0, "push-center-begin", "before-send", "waiting-ack", "success-end")
		}
	}
	for i, back := range backs { // the user is on the second node, on a phone
		back.send(raw(16, 0, 1000, gatewayBody("alice", 2, 5000, "x")))
		back.wantAnswer(1000, 2, "alice").check(t, 1, "push-center-begin", "offline-end")
		back.send(raw(16, 0, 1001, gatewayBody("bob", 1, 5000, "x")))
		back.wantAnswer(1001, 1, "bob").check(t, 1, "push-center-begin", "offline-end")
		back.send(raw(16, 0, 1002, toAll(fmt.Sprint("from ", i), "", "", ""))) // each for its own devices
		back.want(raw(11, 0, 1002, castDone))
	}
	w.wantSealed(15, 1, []byte("from 1"))
	backs[0].send(raw(16, 4, 1003, gatewayBody("alice", 1, 300, "not acknowledged")))
	w.wantSealed(15, 5, []byte("not acknowledged"))
	servertest.Eventually(t, "the ack times out", func() bool {
		return c.Members[0].Ledger.Books().Ended[protocol.OutcomeAckTimeout] == 1
	})
	backs[0].send(raw(16, 0, 1004, gatewayBody("bob", 1, 5000, "x")))
	backs[0].wantAnswer(1004, 1, "bob").check(t, 1, "push-center-begin", "offline-end") // nothing came before it
	for i, m := range c.Members {
		ended := 0
		b := m.Ledger.Books()
		for _, n := range b.Ended {
			ended += int(n)
		}
		if b.InFlight != 0 || int(b.Accepted) != ended {
			t.Errorf("the books of node %d do not balance: %+v", i+1, b)
		}
	}
}

// Check 40, the other half: routes that lead nowhere are code 1, and taken offline.
func TestCompatGatewayStaleRoutes(t *testing.T) {
	c := servertest.StartCluster(t, 2)
	back := gatewayTo(t, c.Members[0].Node)
	for session, address := range []string{c.Members[0].GatewayAddress(), c.Members[1].GatewayAddress(), "127.0.0.1:1"} {
		user := fmt.Sprint("ghost-", session)
		_, _, err := c.Members[0].Guard.PutRoute(context.Background(), user, store.Route{
			Address: address, Connection: "b49ed9c2", ClientType: protocol.ClientMobile, Since: time.Now().Add(-time.Hour), Online: true})
		if err != nil {
			t.Fatal(err)
		}
		back.send(raw(16, 0, uint32(session), gatewayBody(user, 1, 5000, "x")))
		back.wantAnswer(uint32(session), 1, user).check(t, 1, "push-center-begin", "offline-end")
		servertest.Eventually(t, "the route is offline", func() bool { return !routesOf(t, c.Members[0], user)[0].Online })
	}
}

// A node that is cut off, and a store that is away: code 2, in time, and what can be
// served is.
func TestCompatGatewayInTrouble(t *testing.T) {
	c := servertest.StartCluster(t, 2)
	here, there := c.Members[0], c.Members[1]
	back := gatewayTo(t, here.Node)
	near, far := device(t, here.Node, "dev-1", "android", "near"), device(t, there.Node, "dev-2", "android", "far")
	there.GatewayNet.Break()
	back.send(raw(16, 0, 1, gatewayBody("far", 1, 3000, "lost")))
	back.wantAnswer(1, 1, "far").check(t, 2, "push-center-begin", "failure-end")
	there.GatewayNet.Heal()
	servertest.Eventually(t, "the link is back", func() bool {
		back.send(raw(16, 0, 2, gatewayBody("far", 1, 3000, "again")))
		return back.wantAnswer(2, 1, "far").ok
	})
	far.wantSealed(15, 1, []byte("again"))
	here.RedisNet.Cut()
	back.send(raw(16, 0, 3, gatewayBody("far", 1, 2000, "no routes")), raw(16, 0, 4, gatewayBody("near", 1, 2000, "here")))
	near.wantSealed(15, 1, []byte("here"))
	back.wantAnswer(4, 1, "near").check(t, 0, "push-center-begin", "before-send", "success-end")
	back.wantAnswer(3, 1, "far").check(t, 2, "push-center-begin", "failure-end")
	here.RedisNet.Heal()
}

// A back end may send as much as it likes: what is too much is answered at once, and
// what was taken is not forgotten.
func TestCompatGatewayTooMuchAtOnce(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.GatewayInFlight = 2 })
	w, back := resumed(t, n), gatewayTo(t, n)
	var requests []byte
	for session := range uint32(5) {
		requests = append(requests, raw(16, 8, session, gatewayBody("user-0", 1, 20_000, fmt.Sprint("push ", session)))...)
	}
	back.send(requests)
	ids := []uint32{w.wantSealed(15, 9, []byte("push 0")), w.wantSealed(15, 9, []byte("push 1"))}
	for session := uint32(2); session < 5; session++ {
		back.wantAnswer(session, 1, "user-0").check(t, 2, "push-center-begin", "failure-end")
	}
	for session, id := range ids {
		w.send(raw(23, 0, id, nil))
		back.wantAnswer(uint32(session), 1, "user-0").check(t, 0, "push-center-begin", "before-send", "waiting-ack", "success-end")
	}
}
