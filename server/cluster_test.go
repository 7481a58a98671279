package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

// routesOf asks Redis, through whichever node.
func routesOf(t testing.TB, m *servertest.Member, user string) []store.Route {
	t.Helper()
	all, err := m.Guard.Routes(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// push sends through a member's router and waits for the outcome.
func push(t testing.TB, m *servertest.Member, user string, ack protocol.AckMode) cluster.Result {
	t.Helper()
	p := cluster.Push{ID: fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano()), Content: []byte("hello"), Ack: ack, Accepted: time.Now()}
	k := m.Track(t, &p, user == "")
	if user == "" {
		m.Router.Broadcast(&p, k)
	} else {
		m.Router.Push(&p, user, k)
	}
	return servertest.Outcome(t, k.Result())
}

func TestPushToAnotherNode(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 3)
	phone := c.Members[1].Dial(t, "phone", "alice")
	c.Members[2].Dial(t, "pc", "alice", func(o *client.DeviceOptions) { o.OSName = "windows" })
	for i, m := range c.Members {
		r := push(t, m, "alice", protocol.AckNone)
		if r.Outcome != protocol.OutcomeSent || r.Deliveries[protocol.OutcomeSent] != 2 {
			t.Errorf("from node %d: %+v, want both devices reached", i+1, r)
		}
	}
	if r := push(t, c.Members[0], "nobody", protocol.AckNone); r.Outcome != protocol.OutcomeOffline {
		t.Errorf("nobody: %v", r.Outcome)
	}
	if err := phone.Close(); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "the phone's route is taken back", func() bool { return !routesOf(t, c.Members[0], "alice")[0].Online })
	if r := push(t, c.Members[0], "alice", protocol.AckNone); r.Deliveries[protocol.OutcomeSent] != 1 {
		t.Errorf("after the phone left: %+v", r)
	}
	if r := push(t, c.Members[0], "", protocol.AckNone); r.Deliveries[protocol.OutcomeSent] != 1 {
		t.Errorf("broadcast: %+v", r)
	}
}

// awaitKick reads until KICK or the end of the connection.
func awaitKick(conn *client.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		p, err := conn.Receive(ctx)
		if err != nil {
			return err
		}
		if p.Command == protocol.CmdKick {
			return nil
		}
	}
}

func TestLoginOnAnotherNodeKicks(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2, func(_ int, o *server.Options) { o.KickGrace = 200 * time.Millisecond })
	a, b := c.Members[0], c.Members[1]
	old := a.Dial(t, "old-phone", "alice")
	b.Dial(t, "new-phone", "alice")
	if err := awaitKick(old); err != nil {
		t.Errorf("the old phone heard %v, want a kick", err)
	}
	servertest.Eventually(t, "the old phone is closed as replaced", func() bool {
		return testutil.ToFloat64(a.Metrics.Closed(protocol.TCP, protocol.CloseReplaced)) == 1
	})
	routes := routesOf(t, a, "alice")
	if len(routes) != 1 || !routes[0].Online || routes[0].Node != "node-2" {
		t.Errorf("routes %+v, want one on node-2", routes)
	}
	if r := push(t, a, "alice", protocol.AckNone); r.Outcome != protocol.OutcomeSent || r.Node != "node-2" {
		t.Errorf("push after the move: %+v", r)
	}
	if n, err := a.Guard.OnlineUsers(t.Context(), "127.0.1.1"); n != 0 || err != nil {
		t.Errorf("%d users on the old node's online list, %v", n, err)
	}
}

func TestKickOnAnotherNode(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2, func(_ int, o *server.Options) { o.KickGrace = 0 })
	phone := c.Members[0].Dial(t, "phone", "alice")
	if n, err := c.Members[1].Router.Kick(t.Context(), "alice"); n != 1 || err != nil {
		t.Fatalf("kicked %d, %v", n, err)
	}
	if err := awaitKick(phone); err != nil {
		t.Errorf("the phone heard %v", err)
	}
	servertest.Eventually(t, "closed as kicked, and offline", func() bool {
		return testutil.ToFloat64(c.Members[0].Metrics.Closed(protocol.TCP, protocol.CloseKicked)) == 1 &&
			!routesOf(t, c.Members[1], "alice")[0].Online
	})
}

// TestTwoLoginsAtOnce: one user logs in on two nodes at the same time, again and
// again. One route remains each time, and it leads to a connection that is there.
func TestTwoLoginsAtOnce(t *testing.T) {
	t.Parallel()
	const rounds = 1000
	c := servertest.StartCluster(t, 2, func(_ int, o *server.Options) { o.KickGrace = 0 })
	var all sync.WaitGroup
	for lane := range 4 {
		all.Go(func() {
			for i := lane; i < rounds; i += 4 {
				loginTwice(t, c, fmt.Sprintf("user-%d", i))
			}
		})
	}
	all.Wait()
}

func loginTwice(t *testing.T, c *servertest.Cluster, user string) {
	var conns [2]*client.Conn
	var both sync.WaitGroup
	for i, m := range c.Members {
		both.Go(func() {
			conn, err := client.Dial(t.Context(), client.DeviceOptions{
				Address: m.DeviceAddress(), DemoKey: true, DeviceID: fmt.Sprintf("%s-%d", user, i), OSName: "android", OSVersion: "1", ClientVersion: "1"})
			if err != nil {
				t.Error(err)
				return
			}
			conns[i] = conn
			_ = conn.Bind(t.Context(), user, "", "") // the other may have won already
		})
	}
	both.Wait()
	servertest.Eventually(t, user+" has one connection, which its route leads to", func() bool {
		var bound []cluster.Device
		for _, m := range c.Members {
			bound = append(bound, m.Node.Node.Devices(user)...)
		}
		routes := routesOf(t, c.Members[0], user)
		return len(bound) == 1 && len(routes) == 1 && routes[0].Online && routes[0].Connection == bound[0].Connection && routes[0].Node == bound[0].Node
	})
	for _, conn := range conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
	servertest.Eventually(t, user+" is offline", func() bool { return !routesOf(t, c.Members[0], user)[0].Online })
}
