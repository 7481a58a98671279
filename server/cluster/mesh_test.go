package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// roster is a registry that a test writes.
type roster struct {
	cluster.Registry // nil: the rest is not called

	mu      sync.Mutex
	peers   []cluster.Peer
	known   bool
	err     error
	changed func()
}

func (r *roster) Peers() ([]cluster.Peer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.peers), r.known
}

func (r *roster) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *roster) Watch(changed func()) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = changed
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed = func() {}
	}
}

// set changes what the registry says.
func (r *roster) set(err error, peers ...cluster.Peer) {
	r.mu.Lock()
	r.peers, r.err, r.known = peers, err, true
	changed := r.changed
	r.mu.Unlock()
	changed()
}

// mesh makes one with a clock that the test moves, until it ends.
func mesh(t testing.TB, r cluster.Registry, local *servertest.Node, later func() time.Duration) (*cluster.Mesh, *exporter.Metrics) {
	t.Helper()
	o, _ := options(func(o *cluster.LinkOptions) {
		o.Now = func() time.Time { return time.Now().Add(later()) }
		o.Timeout = 10 * time.Second
	})
	mo := cluster.MeshOptions{Registry: r, Link: o}
	if local != nil {
		mo.Local, mo.LocalID = local, local.Info().ID
	}
	m := cluster.NewMesh(mo)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := m.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return m, o.Metrics
}

func today() time.Duration { return 0 }

// states are the nodes of a mesh by id.
func states(m *cluster.Mesh) (ids []string, states map[string]cluster.State) {
	list, _ := m.List()
	states = make(map[string]cluster.State)
	for _, member := range list {
		info := member.Info()
		ids = append(ids, info.ID)
		states[info.ID] = info.State
	}
	return ids, states
}

func startNode(t testing.TB, id string) (*servertest.Node, cluster.Peer) {
	n := servertest.Start(t, func(o *server.Options) { o.ID = id })
	return n, peerOf(n, n.GatewayAddress())
}

func TestMeshFollowsTheRegistry(t *testing.T) {
	t.Parallel()
	local, self := startNode(t, "b")
	other, a := startNode(t, "a")
	in := receive(t, other.Dial(t, "device-1", "alice"))
	r := &roster{}
	m, metrics := mesh(t, r, local, today)
	if list, known := m.List(); known || len(list) != 1 || list[0] != cluster.Member(local) {
		t.Errorf("at first: %v, %v", list, known)
	}
	c := cluster.Peer{ID: "c", Gateway: "127.0.0.1:1", Link: 1}
	r.set(nil, c, self, a)
	if ids, _ := states(m); !slices.Equal(ids, []string{"a", "b", "c"}) {
		t.Errorf("%v", ids)
	}
	first, _ := m.List()
	r.set(nil, a, self, c)
	if again, known := m.List(); !known || !slices.Equal(first, again) {
		t.Error("the same nodes have other links")
	}
	if found, ok := m.Find(a.Gateway); !ok || found != first[0] {
		t.Errorf("%v, %v", found, ok)
	}
	if found, ok := m.Find(self.Gateway); !ok || found != cluster.Member(local) {
		t.Errorf("%v, %v", found, ok)
	}
	for _, nowhere := range []string{"", "127.0.0.1:2"} {
		if _, ok := m.Find(nowhere); ok {
			t.Errorf("%q was found", nowhere)
		}
	}
	g := new(gather)
	first[0].Push(message("1", "over the mesh"), "alice", g)
	if res := g.wait(t, 1)[0]; res.Outcome != protocol.OutcomeSent || res.Node != "a" {
		t.Errorf("%+v", res)
	}
	servertest.Eventually(t, "it arrives", func() bool { return in.counts()["over the mesh"] == 1 })
	if got := testutil.ToFloat64(metrics.ClusterNodes(exporter.NodeServing)); got != 3 {
		t.Errorf("%v nodes are serving", got)
	}
}

func TestMeshKeepsLostNodes(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var moved time.Duration
	r := &roster{}
	m, metrics := mesh(t, r, nil, func() time.Duration { mu.Lock(); defer mu.Unlock(); return moved })
	a := cluster.Peer{ID: "a", Gateway: "127.0.0.1:1", Link: 1, State: cluster.Serving}
	b := cluster.Peer{ID: "b", Gateway: "127.0.0.1:2", Link: 1, State: cluster.Serving}
	r.set(nil, a, b)
	list, _ := m.List()
	g := new(gather)
	list[0].Push(message("1", "hello"), "alice", g)
	list[0].Broadcast(message("2", "hello"), g)
	r.set(nil, b)
	for _, res := range g.wait(t, 2) { // at once, long before their deadline
		if res.Outcome != protocol.OutcomeNodeLost || !res.Unsent {
			t.Errorf("%+v", res)
		}
	}
	ids, state := states(m)
	if !slices.Equal(ids, []string{"a", "b"}) || state["a"] != cluster.Lost || state["b"] != cluster.Serving {
		t.Errorf("%v", state)
	}
	if _, ok := m.Find(a.Gateway); ok {
		t.Error("a lost node was found")
	}
	servertest.Eventually(t, "the lost node is counted", func() bool { return testutil.ToFloat64(metrics.ClusterNodes(exporter.NodeLost)) == 1 })

	r.set(nil, a, b)
	if _, state := states(m); state["a"] != cluster.Serving || len(state) != 2 {
		t.Errorf("back: %v", state)
	}
	r.set(nil, b)
	elsewhere := a
	elsewhere.Gateway = "127.0.0.1:3"
	r.set(nil, elsewhere, b)
	if ids, state := states(m); !slices.Equal(ids, []string{"a", "b"}) || state["a"] != cluster.Serving {
		t.Errorf("back elsewhere: %v", state)
	}
	moving := elsewhere
	moving.Gateway = "127.0.0.1:4"
	r.set(nil, moving, b)
	if ids, _ := states(m); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("moved: %v", ids)
	}
	r.set(nil, b)
	mu.Lock()
	moved = 16 * time.Minute
	mu.Unlock()
	if ids, _ := states(m); !slices.Equal(ids, []string{"b"}) {
		t.Errorf("after a while: %v", ids)
	}
	if got := testutil.ToFloat64(metrics.ClusterNodes(exporter.NodeLost)); got != 0 {
		t.Errorf("%v nodes are lost", got)
	}
}

func TestMeshForgetsNodesThatDrained(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	r := &roster{}
	m, _ := mesh(t, r, nil, func() time.Duration { return time.Duration(later.Load()) })
	a := cluster.Peer{ID: "a", Gateway: "127.0.0.1:1", Link: 1, State: cluster.Serving}
	r.set(nil, a)
	a.State = cluster.Draining
	r.set(nil, a)
	if _, state := states(m); state["a"] != cluster.Draining {
		t.Errorf("%v", state)
	}
	if left := m.Left(); len(left) != 0 {
		t.Errorf("it is there and has left: %v", left)
	}
	r.set(nil)
	if list, known := m.List(); len(list) != 0 || !known {
		t.Errorf("%v, %v", list, known)
	}
	if left := m.Left(); len(left) != 1 || time.Since(left["a"]).Abs() > time.Minute {
		t.Errorf("it has left: %v", left)
	}
	r.set(nil, a)
	if left := m.Left(); len(left) != 0 {
		t.Errorf("it is back: %v", left)
	}
	r.set(nil)
	later.Store(int64(59 * time.Minute))
	if left := m.Left(); len(left) != 1 {
		t.Errorf("within the hour: %v", left)
	}
	later.Store(int64(61 * time.Minute))
	if left := m.Left(); len(left) != 0 {
		t.Errorf("an hour later: %v", left)
	}
}

// TestMeshKnowsWhoLeft: neither a node that was lost nor one that serves elsewhere has
// left, and there is a bound.
func TestMeshKnowsWhoLeft(t *testing.T) {
	t.Parallel()
	r := &roster{}
	m, _ := mesh(t, r, nil, today)
	lost := cluster.Peer{ID: "lost", Gateway: "127.0.0.1:1", Link: 1, State: cluster.Serving}
	moved := cluster.Peer{ID: "moved", Gateway: "127.0.0.1:2", Link: 1, State: cluster.Draining}
	r.set(nil, lost, moved)
	moved.Gateway, moved.State = "127.0.0.1:3", cluster.Serving
	r.set(nil, moved)
	if left := m.Left(); len(left) != 0 {
		t.Errorf("%v", left)
	}
	var many []cluster.Peer
	for i := range 1001 {
		many = append(many, cluster.Peer{ID: fmt.Sprint("node-", i), Gateway: fmt.Sprintf("127.0.0.1:%d", 1000+i), State: cluster.Draining})
	}
	r.set(nil, many...)
	r.set(nil)
	if left := m.Left(); len(left) != 1000 {
		t.Errorf("%d of 1001 have left", len(left))
	}
}

func TestMeshIsFrozenWithoutTheRegistry(t *testing.T) {
	t.Parallel()
	r := &roster{}
	m, _ := mesh(t, r, nil, today)
	a := cluster.Peer{ID: "a", Gateway: "127.0.0.1:1", Link: 1, State: cluster.Serving}
	b := cluster.Peer{ID: "b", Gateway: "127.0.0.1:2", State: cluster.Serving}
	r.set(nil, a)
	away := errors.New("away")
	r.set(away)
	if _, state := states(m); state["a"] != cluster.Serving {
		t.Errorf("%v", state)
	}
	r.set(away, b)
	if _, state := states(m); len(state) != 2 || state["a"] != cluster.Serving {
		t.Errorf("%v", state)
	}
	r.set(nil, b)
	if _, state := states(m); state["a"] != cluster.Lost || state["b"] != cluster.Serving {
		t.Errorf("%v", state)
	}
}

func TestMeshCloses(t *testing.T) {
	t.Parallel()
	n, a := startNode(t, "a")
	n.Dial(t, "mute", "alice")
	r := &roster{}
	m, metrics := mesh(t, r, nil, today)
	r.set(nil, a)
	list, _ := m.List()
	p, g := message("1", "hello"), new(gather)
	p.Ack, p.AckTimeout = protocol.AckAuto, time.Minute
	list[0].Push(p, "alice", g)
	servertest.Eventually(t, "it is written", func() bool { return testutil.ToFloat64(n.Metrics.DeliveriesInFlight) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		if err := m.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if res := g.ended(); len(res) != 1 || res[0].Outcome != protocol.OutcomeNodeLost || res[0].Unsent {
		t.Errorf("%+v", res)
	}
	r.set(nil, a, cluster.Peer{ID: "b", Gateway: "127.0.0.1:1"})
	if got := testutil.ToFloat64(metrics.Links(exporter.LinkUp)) + testutil.ToFloat64(metrics.Links(exporter.LinkDown)); got != 0 {
		t.Errorf("%v links are left", got)
	}
}

// TestMeshLetsLeavingNodesAnswer: one that has drained still answers what it was given.
func TestMeshLetsLeavingNodesAnswer(t *testing.T) {
	t.Parallel()
	n, a := startNode(t, "a")
	n.Dial(t, "mute", "alice")
	r := &roster{}
	m, metrics := mesh(t, r, nil, today)
	r.set(nil, a)
	list, _ := m.List()
	p, written := message("1", "hello"), new(gather)
	p.Ack, p.AckTimeout = protocol.AckAuto, 500*time.Millisecond
	list[0].Push(p, "alice", written)
	servertest.Eventually(t, "it is written", func() bool { return testutil.ToFloat64(n.Metrics.DeliveriesInFlight) == 1 })
	a.State = cluster.Draining
	r.set(nil, a)
	r.set(nil)
	if list, _ := m.List(); len(list) != 0 {
		t.Errorf("%v", list)
	}
	servertest.Eventually(t, "no more is taken", func() bool {
		late := new(gather)
		list[0].Push(message("2", "hello"), "alice", late)
		got := late.ended()
		return len(got) == 1 && got[0].Outcome == protocol.OutcomeNodeLost && got[0].Unsent
	})
	if res := written.wait(t, 1)[0]; res.Outcome != protocol.OutcomeAckTimeout {
		t.Errorf("%+v", res)
	}
	servertest.Eventually(t, "the link ends", func() bool {
		return testutil.ToFloat64(metrics.Links(exporter.LinkUp))+testutil.ToFloat64(metrics.Links(exporter.LinkDown)) == 0
	})
}
