package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

// reaches waits until a push from a member gets to the user on the named node.
func reaches(t *testing.T, from *servertest.Member, user, node string) {
	t.Helper()
	servertest.Eventually(t, "a push reaches "+user+" on "+node, func() bool {
		r := push(t, from, user, protocol.AckNone)
		return r.Outcome == protocol.OutcomeSent && r.Node == node
	})
}

func TestRedisLosesEverything(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	a, b := c.Members[0], c.Members[1]
	for i := range 50 {
		a.Dial(t, fmt.Sprint("phone-", i), fmt.Sprint("user-", i))
	}
	c.Redis.Do("SET", "kept", "1")
	c.Redis.Kill()
	c.Redis.Restart()
	if there := fmt.Sprint(c.Redis.Do("EXISTS", "kept")); there != "0" {
		t.Fatal("Redis kept its keys; it was to lose them")
	}
	for i := range 50 {
		reaches(t, b, fmt.Sprint("user-", i), "node-1")
	}
	if n, err := b.Guard.OnlineUsers(t.Context(), "127.0.1.1"); n != 50 || err != nil {
		t.Errorf("%d users on the online list, %v; want 50", n, err)
	}
	if n := testutil.ToFloat64(a.Metrics.Closed(protocol.TCP, protocol.CloseReplaced)); n != 0 {
		t.Errorf("%v devices were taken for replaced", n)
	}
	// Kicks work after the restart, which in MPush they do not.
	b.Dial(t, "new", "user-0")
	servertest.Eventually(t, "the old phone of user-0 is kicked", func() bool { return len(a.Node.Node.Devices("user-0")) == 0 })
}

func TestRedisIsSilent(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	a, b := c.Members[0], c.Members[1]
	a.Dial(t, "phone", "alice")
	gone := a.Dial(t, "gone", "bob")
	reaches(t, b, "alice", "node-1")
	c.Redis.Pause()
	servertest.Eventually(t, "the node tells that its store is away", func() bool {
		err := a.Ready()
		return err != nil && strings.Contains(err.Error(), "store") && !strings.Contains(err.Error(), "registry")
	})
	if r := servertest.Outcome(t, a.Send(t, cluster.Push{Content: []byte("x")}, "alice")); r.Outcome != protocol.OutcomeSent {
		t.Errorf("a push on the device's own node ended as %v", r.Outcome)
	}
	if r := push(t, a, "alice", protocol.AckNone); r.Outcome != protocol.OutcomeSent {
		t.Errorf("a push through the device's own node ended as %v", r.Outcome)
	}
	if r := push(t, b, "alice", protocol.AckNone); r.Outcome != protocol.OutcomeFailed {
		t.Errorf("a push through the other node ended as %v, want failed: nobody knows where the user is", r.Outcome)
	}
	refused := a.Dial(t, "late", "")
	err := refused.Bind(t.Context(), "carol", "", "")
	if answer := new(client.ServerError); !errors.As(err, &answer) || answer.Fatal() {
		t.Errorf("a bind without store: %v, want a refusal that is not for good", err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	c.Redis.Resume()
	servertest.Eventually(t, "the node is ready again", func() bool { return a.Ready() == nil })
	reaches(t, b, "alice", "node-1")
	servertest.Eventually(t, "the device that left meanwhile is offline", func() bool {
		routes := routesOf(t, b, "bob")
		return len(routes) == 1 && !routes[0].Online && testutil.ToFloat64(a.Metrics.RouteDropsWaiting) == 0
	})
	a.Dial(t, "late-again", "carol")
	reaches(t, b, "carol", "node-1")
}

func TestCutFromRedisOnly(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	a, b := c.Members[0], c.Members[1]
	a.Dial(t, "phone", "alice")
	a.RedisNet.Cut()
	servertest.Eventually(t, "the store is away for node-1", func() bool { return a.Ready() != nil })
	reaches(t, b, "alice", "node-1")
	// The user logs in elsewhere, and the kick cannot be heard.
	b.Dial(t, "phone-2", "alice")
	reaches(t, b, "alice", "node-2")
	a.RedisNet.Heal()
	servertest.Eventually(t, "node-1 finds out that alice is elsewhere", func() bool { return len(a.Node.Node.Devices("alice")) == 0 })
	if routes := routesOf(t, a, "alice"); len(routes) != 1 || routes[0].Node != "node-2" || !routes[0].Online {
		t.Errorf("routes %+v", routes)
	}
}

func TestCutFromZooKeeperOnly(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	a, b := c.Members[0], c.Members[1]
	a.Dial(t, "phone", "alice")
	a.ZooKeeperNet.Cut()
	servertest.Eventually(t, "node-2 takes node-1 for lost", func() bool { return b.Sees() == 1 })
	if r := push(t, b, "alice", protocol.AckNone); r.Outcome != protocol.OutcomeOffline {
		t.Errorf("a push to a user of a lost node ended as %v, want offline at once", r.Outcome)
	}
	if a.Sees() != 2 {
		t.Error("node-1 emptied its membership while it could not reach the registry")
	}
	if err := a.Ready(); err == nil || !strings.Contains(err.Error(), "registry") {
		t.Errorf("node-1 is ready: %v", err)
	}
	if r := push(t, a, "alice", protocol.AckNone); r.Outcome != protocol.OutcomeSent {
		t.Errorf("a push on node-1 itself ended as %v", r.Outcome)
	}
	a.ZooKeeperNet.Heal()
	servertest.Eventually(t, "node-1 is back", func() bool { return b.Sees() == 2 && a.Ready() == nil })
	reaches(t, b, "alice", "node-1")
}

// TestRoutesDroppedLate: when a node comes back, another may not have seen that yet and
// take a route for stale that was just written again.
func TestRoutesDroppedLate(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	a, b := c.Members[0], c.Members[1]
	a.Dial(t, "phone", "alice")
	a.ZooKeeperNet.Cut()
	servertest.Eventually(t, "node-2 takes node-1 for lost", func() bool { return b.Sees() == 1 })
	before := testutil.ToFloat64(a.Metrics.RoutesRestored)
	a.ZooKeeperNet.Heal()
	servertest.Eventually(t, "node-1 is back and has written its routes", func() bool {
		return b.Sees() == 2 && testutil.ToFloat64(a.Metrics.RoutesRestored) > before
	})
	if dropped, err := b.Guard.DropRoute(t.Context(), "alice", routesOf(t, b, "alice")[0]); !dropped || err != nil {
		t.Fatalf("dropped %t, %v", dropped, err)
	}
	servertest.Eventually(t, "node-1 writes the route again", func() bool { return routesOf(t, b, "alice")[0].Online })
}

func TestCutFromPeersOnly(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	a, b := c.Members[0], c.Members[1]
	a.Dial(t, "phone", "alice")
	reaches(t, b, "alice", "node-1")
	a.CutPeers()
	began := time.Now()
	r := push(t, b, "alice", protocol.AckNone)
	if r.Outcome != protocol.OutcomeNodeLost {
		t.Errorf("a push over a cut ended as %v after %v, want node_lost", r.Outcome, time.Since(began))
	}
	a.HealPeers()
	reaches(t, b, "alice", "node-1")
	if n := testutil.ToFloat64(b.Metrics.RoutesStale(exporter.StaleConnection)); n != 0 {
		t.Errorf("%v routes were taken for stale", n)
	}
}

// TestRoutesOfDeadNodes: nobody takes these routes back but those who meet them.
func TestRoutesOfDeadNodes(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2, func(_ int, o *server.Options) { o.SweepEvery = 24 * time.Hour })
	a, b := c.Members[0], c.Members[1]
	dead := store.Route{Node: "node-9", Address: "127.0.0.9:3001", PublicIP: "127.0.1.9", Connection: "0123456789abcdef", DeviceID: "d", OSName: "ios", ClientType: protocol.ClientMobile, Since: time.Now().Add(-time.Hour)}
	former := dead
	former.Node, former.Address, former.PublicIP = "node-1", a.Info().Gateway, "127.0.1.1"
	put := func(user string, r store.Route) {
		if _, _, err := a.Guard.PutRoute(t.Context(), user, r); err != nil {
			t.Fatal(err)
		}
	}
	offline := func(user string) bool { return !routesOf(t, a, user)[0].Online }
	put("met-dead", dead)
	put("met-former", former)
	for _, user := range []string{"met-dead", "met-former"} {
		if r := push(t, b, user, protocol.AckNone); r.Outcome != protocol.OutcomeOffline {
			t.Errorf("%s: %v", user, r.Outcome)
		}
		servertest.Eventually(t, "the route of "+user+" is taken back by who met it", func() bool { return offline(user) })
	}
	put("left-behind", former)
	c.Add(t, 2)
	c.AwaitMembers(t, 3)
	third := c.Members[2]
	put("of-the-third", store.Route{Node: "node-3", Address: third.Info().Gateway, Connection: "fedcba9876543210", ClientType: protocol.ClientPC, Since: time.Now()})
	// Somebody that this registry does not know, and that lives: of another namespace.
	stranger := c.Redis.Addr
	put("of-a-stranger", store.Route{Node: "java", Address: stranger, Connection: "00000000deadbeef", ClientType: protocol.ClientPC, Since: dead.Since})
	third.ZooKeeperNet.Cut() // dies, for the others
	servertest.Eventually(t, "a sweep takes back the routes of the node that died", func() bool { return offline("of-the-third") })
	if offline("of-a-stranger") {
		t.Error("the route to a node that answers was taken back")
	}
	servertest.Eventually(t, "it is counted", func() bool {
		return testutil.ToFloat64(a.Metrics.RouteSweeps(true))+testutil.ToFloat64(b.Metrics.RouteSweeps(true)) > 2 &&
			testutil.ToFloat64(a.Metrics.RoutesSweptAt)+testutil.ToFloat64(b.Metrics.RoutesSweptAt) > 0
	})
}

func TestDrainMovesDevices(t *testing.T) {
	t.Parallel()
	c := servertest.StartCluster(t, 2)
	a, b := c.Members[0], c.Members[1]
	for i := range 40 {
		a.Dial(t, fmt.Sprint("phone-", i), fmt.Sprint("user-", i))
	}
	slow := a.Dial(t, "slow", "dora")
	acked := a.Send(t, cluster.Push{Content: []byte("ack me"), Ack: protocol.AckBiz, AckTimeout: 10 * time.Second}, "dora")
	p, err := slow.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.Drain(100)
	servertest.Eventually(t, "the other node sees it drain", func() bool { return b.Sees() == 1 })
	servertest.Eventually(t, "all but the one with a message under way are gone", func() bool { return a.Info().Connections == 1 })
	if peers, _ := b.ZooKeeper.Peers(); len(peers) != 2 || peers[0].State != cluster.Draining || peers[0].Device != "" {
		t.Errorf("the registry says %+v", peers)
	}
	reaches(t, b, "dora", "node-1") // pushes still find it
	if err := slow.Ack(p.SessionID); err != nil {
		t.Fatal(err)
	}
	if r := servertest.Outcome(t, acked); r.Outcome != protocol.OutcomeAcked {
		t.Errorf("the message under way ended as %v", r.Outcome)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	report, err := a.Drained(ctx)
	if err != nil || report.Connections != 41 || report.Left != 0 {
		t.Errorf("report %+v, %v", report, err)
	}
	servertest.Eventually(t, "no route leads to the drained node", func() bool {
		for i := range 40 {
			if routesOf(t, b, fmt.Sprint("user-", i))[0].Online {
				return false
			}
		}
		return !routesOf(t, b, "dora")[0].Online
	})
}
