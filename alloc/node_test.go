package alloc

import (
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// scriptedNode is a member whose every answer a test decides. The tests here are
// about what the allocator does with the answers; those with real nodes are in the
// server package.
type scriptedNode struct {
	pushed chan delivery // gets every push and broadcast
	hold   bool          // do not end pushes; the test calls Done itself
	fault  bool          // panic on a push

	mu      sync.Mutex
	info    cluster.Info
	devices map[string][]cluster.Device
	outcome protocol.Outcome // for users that are online
	kicks   []kick
	rates   []int
}

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
			ID: id, Device: id + ".example:3000", Ops: id + ".example:9310",
			State: cluster.Serving, Version: "1.2.3", Since: started,
		},
		devices: make(map[string][]cluster.Device),
		outcome: protocol.OutcomeSent,
	}
}

// online gives users one device each.
func (n *scriptedNode) online(users ...string) *scriptedNode {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, user := range users {
		n.devices[user] = append(n.devices[user], cluster.Device{
			ClientType: protocol.ClientMobile, Node: n.info.ID, Connection: "c-" + user, Since: started,
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
	return n.info
}

func (n *scriptedNode) Push(p *cluster.Push, user string, t cluster.Tracker) {
	if n.fault {
		panic("the node is broken")
	}
	n.pushed <- delivery{p, user, false, t}
	if !n.hold {
		t.Done(n.result(p, len(n.Devices(user))))
	}
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
	return n.devices[user]
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

func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members, r.unknown = nil, true
}
