package alloc

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// node is a member with what it said of itself when a request came.
type node struct {
	cluster.Member
	info cluster.Info
}

// reachable leaves out the lost nodes and puts the serving before the draining.
// A draining node is still asked: its devices are connected until it lets them go.
func reachable(members []cluster.Member) []node {
	var serving, draining []node
	for _, m := range members {
		switch n := (node{m, m.Info()}); n.info.State {
		case cluster.Serving:
			serving = append(serving, n)
		case cluster.Draining:
			draining = append(draining, n)
		}
	}
	return append(serving, draining...)
}

// choose picks the node for a user: one where a device of the user is online, else
// the first, which then says that the user is offline.
func choose(nodes []node, user string) node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	online := func(d cluster.Device) bool { return d.Online }
	for _, n := range nodes {
		if slices.ContainsFunc(n.Devices(user), online) {
			return n
		}
	}
	return nodes[0]
}

// byLoad orders nodes for devices: least connections first.
func byLoad(a, b cluster.Info) int {
	return cmp.Or(cmp.Compare(a.Connections, b.Connections), cmp.Compare(a.ID, b.ID))
}

// merger makes one result of the results of several nodes for one broadcast.
type merger struct {
	cluster.Tracker

	mu      sync.Mutex
	missing int
	merged  cluster.Result
}

func newMerger(t cluster.Tracker, nodes int) *merger { return &merger{Tracker: t, missing: nodes} }

// Done adds the result of a node; with the last one the broadcast is done.
func (m *merger) Done(r cluster.Result) {
	if merged, last := m.add(r); last {
		m.Tracker.Done(merged)
	}
}

func (m *merger) add(r cluster.Result) (merged cluster.Result, last bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if best := m.merged.Outcome.Better(r.Outcome); best != m.merged.Outcome {
		m.merged.Outcome, m.merged.Node = best, r.Node
	}
	for o, n := range r.Deliveries {
		m.merged.Deliveries[o] += n
	}
	for s, at := range r.Stages {
		m.merged.Stages[s] = mergeStage(protocol.Stage(s), m.merged.Stages[s], at)
	}
	m.missing--
	return m.merged, m.missing == 0
}

// mergeStage keeps the first time up to queued and the last from written on, as
// [cluster.Result] has it for a broadcast.
func mergeStage(s protocol.Stage, a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.After(a) == (s >= protocol.StageWritten) {
		return b
	}
	return a
}
