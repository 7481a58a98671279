package alloc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/store"
)

// scriptedNode is a member whose every answer a test decides. The tests here are
// about what the allocator does with the answers; those with real nodes are in the
// server package.
type scriptedNode struct {
	pushed chan delivery // gets every push and broadcast
	hold   bool          // do not end pushes; the test calls Done itself
	fault  bool          // panic when asked for the info
	deaf   bool          // do nothing when asked to drain
	quiet  bool          // remember no pushes

	mu      sync.Mutex
	info    cluster.Info
	devices map[string][]cluster.Device
	outcome protocol.Outcome // for users that are online
	kicks   []kick
	rates   []int
	cancels []string
}

var _ cluster.Local = (*scriptedNode)(nil)

type delivery struct {
	push      *cluster.Push
	user      string
	broadcast bool
	tracker   cluster.Tracker
}

type kick struct {
	user  string
	types []protocol.ClientType
}

var started = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

func newNode(id string) *scriptedNode {
	return &scriptedNode{
		pushed: make(chan delivery, 1000),
		info: cluster.Info{
			ID: id, Device: id + ".example:3000", Gateway: id + ".example:3001", Ops: id + ".example:9310",
			State: cluster.Serving, Weight: 1, Version: "1.2.3", Since: started,
		},
		devices: make(map[string][]cluster.Device),
		outcome: protocol.OutcomeSent,
	}
}

// online gives users one device each, of another class than those that they have.
func (n *scriptedNode) online(users ...string) *scriptedNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, user := range users {
		n.devices[user] = append(n.devices[user], cluster.Device{
			ClientType: protocol.ClientTypes()[len(n.devices[user])], Node: n.info.ID, Connection: "c-" + user, Since: started,
			Online: true, DeviceID: "d-" + user, OSName: "android", Transport: protocol.TLS.String(),
		})
	}
	return n
}

func (n *scriptedNode) set(change func(*cluster.Info)) *scriptedNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.info)
	return n
}

func (n *scriptedNode) state(s cluster.State) *scriptedNode {
	return n.set(func(i *cluster.Info) { i.State = s })
}

func (n *scriptedNode) Info() cluster.Info {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fault {
		panic("the node is broken")
	}
	return n.info
}

// routes are what a store knows of the node's devices.
func (n *scriptedNode) routes() (routes []store.UserRoute) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for user, devices := range n.devices {
		for _, d := range devices {
			routes = append(routes, store.UserRoute{User: user, Route: store.Route{
				Node: n.info.ID, Address: n.info.Gateway, Connection: d.Connection, DeviceID: d.DeviceID,
				OSName: d.OSName, ClientType: d.ClientType, Since: d.Since, Online: d.Online,
			}})
		}
	}
	return routes
}

func (n *scriptedNode) Push(p *cluster.Push, user string, t cluster.Tracker) {
	if !n.quiet {
		n.pushed <- delivery{p, user, false, t}
	}
	if !n.hold {
		t.Done(n.result(p, len(n.Devices(user))))
	}
}

func (n *scriptedNode) PushAll(p *cluster.Push, users []string, t cluster.Tracker) {
	for _, user := range users {
		n.Push(p, user, named{t, user})
	}
}

// named says whom the ends are of.
type named struct {
	cluster.Tracker
	user string
}

func (t named) Done(r cluster.Result) {
	r.User = t.user
	t.Tracker.Done(r)
}

func (n *scriptedNode) Cancel(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cancels = append(n.cancels, id)
}

func (n *scriptedNode) Broadcast(p *cluster.Push, t cluster.Tracker) {
	n.pushed <- delivery{p, "", true, t}
	if !n.hold {
		t.Done(n.result(p, len(n.devices)))
	}
}

// result is that of a push which was written to so many devices.
func (n *scriptedNode) result(p *cluster.Push, devices int) cluster.Result {
	r := cluster.Result{Node: n.Info().ID, Outcome: protocol.OutcomeOffline}
	if devices == 0 {
		return r
	}
	r.Outcome = n.outcome
	r.Deliveries[n.outcome] = devices
	r.Stages[protocol.StageQueued] = p.Accepted.Add(time.Millisecond)
	r.Stages[protocol.StageWritten] = p.Accepted.Add(2 * time.Millisecond)
	if n.outcome == protocol.OutcomeAcked {
		r.Stages[protocol.StageAcked] = p.Accepted.Add(3 * time.Millisecond)
	}
	return r
}

func (n *scriptedNode) Devices(user string) []cluster.Device {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.devices[user])
}

func (n *scriptedNode) Kick(user string, types ...protocol.ClientType) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kicks = append(n.kicks, kick{user, types})
	return len(n.devices[user])
}

func (n *scriptedNode) Drain(rate int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rates = append(n.rates, rate)
	if n.deaf {
		return
	}
	n.info.State = cluster.Draining
}

// next is the next push that the node got.
func (n *scriptedNode) next(t *testing.T) delivery {
	t.Helper()
	select {
	case d := <-n.pushed:
		return d
	case <-t.Context().Done():
	case <-time.After(10 * time.Second):
	}
	t.Fatalf("node %s got no push", n.info.ID)
	return delivery{}
}

// none fails if the node got a push.
func (n *scriptedNode) none(t *testing.T) {
	t.Helper()
	select {
	case d := <-n.pushed:
		t.Errorf("node %s got a push for %q", n.info.ID, d.user)
	default:
	}
}

// roster is a membership that a test can change.
type roster struct {
	mu      sync.Mutex
	members []cluster.Member
	unknown bool
}

func (r *roster) List() ([]cluster.Member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members, !r.unknown
}

func (r *roster) set(nodes ...*scriptedNode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members, r.unknown = nil, false
	for _, n := range nodes {
		r.members = append(r.members, n)
	}
}

// nodes are the members as tests know them.
func (r *roster) nodes() (nodes []*scriptedNode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		nodes = append(nodes, m.(*scriptedNode))
	}
	return nodes
}

func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members, r.unknown = nil, true
}

// flakyStore is a real store that can be away. It adds what one of a single node does
// not keep, the addresses of the nodes.
type flakyStore struct {
	store.Store
	gateways map[string]string // by node id
	mu       sync.Mutex
	away     error
	kicks    []store.Kick // that were sent
	refuse   int          // kicks after this many fail; 0 = none
}

func (s *flakyStore) SendKick(_ context.Context, k store.Kick) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse > 0 && len(s.kicks) >= s.refuse {
		return errors.New("connection reset")
	}
	s.kicks = append(s.kicks, k)
	return nil
}

func (s *flakyStore) leave(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = err
}

func (s *flakyStore) Routes(ctx context.Context, users ...string) ([][]store.Route, error) {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	if away != nil {
		return nil, away
	}
	lists, err := s.Store.Routes(ctx, users...)
	for _, routes := range lists {
		for i := range routes {
			routes[i].Address = s.gateways[routes[i].Node]
		}
	}
	return lists, err
}
