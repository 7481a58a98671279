package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// did is what a node says of a broadcast.
func did(node string, o protocol.Outcome, sent, rejected int) cluster.Result {
	r := cluster.Result{Node: node, Outcome: o}
	r.Deliveries[protocol.OutcomeSent], r.Deliveries[protocol.OutcomeRejected] = sent, rejected
	return r
}

func checkNodes(t *testing.T, s Snapshot, sum cluster.Result, want ...cluster.Result) {
	t.Helper()
	var lines []NodeResult
	for _, r := range want {
		lines = append(lines, NodeResult{r.Node, r.Outcome, r.Deliveries})
	}
	if !slices.Equal(s.Nodes, lines) || s.Deliveries != sum.Deliveries {
		t.Errorf("nodes %+v with sums %v, want %+v and %v", s.Nodes, s.Deliveries, lines, sum.Deliveries)
	}
}

func TestBroadcastShowsItsNodes(t *testing.T) {
	const pending, sent, rejected = protocol.OutcomePending, protocol.OutcomeSent, protocol.OutcomeRejected
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m", Broadcast: true})
	checkNodes(t, e.Snapshot(), cluster.Result{})
	e.Progress(did("b", pending, 5, 0))
	e.Progress(did("a", pending, 1, 0))
	checkNodes(t, e.Snapshot(), did("", pending, 6, 0), did("a", pending, 1, 0), did("b", pending, 5, 0))
	e.Progress(did("a", pending, 7, 0))
	e.Progress(did("b", rejected, 5, 4))
	e.Progress(did("b", pending, 1, 0)) // late: the end stays
	running := e.Snapshot()
	checkNodes(t, running, did("", pending, 12, 4), did("a", pending, 7, 0), did("b", rejected, 5, 4))
	if running.Outcome != pending || running.Ended != 0 {
		t.Errorf("a running broadcast: %+v", running)
	}
	e.Progress(did("a", sent, 9, 0))
	e.Done(did("a", sent, 14, 4))
	e.Progress(did("a", sent, 100, 0)) // too late
	e.Progress(did("c", sent, 100, 0))
	checkNodes(t, e.Snapshot(), did("", sent, 14, 4), did("a", sent, 9, 0), did("b", rejected, 5, 4))
	checkNodes(t, running, did("", pending, 12, 4), did("a", pending, 7, 0), did("b", rejected, 5, 4)) // a copy
	checkIndexNow(t, b.Ledger)
}

func TestBroadcastOfOneNodeNeedsNoProgress(t *testing.T) {
	b := newRig(Options{})
	quick := b.accept(t, Request{ID: "quick", Broadcast: true})
	quick.Done(did("a", protocol.OutcomeSent, 3, 0))
	checkNodes(t, quick.Snapshot(), did("", 0, 3, 0), did("a", protocol.OutcomeSent, 3, 0))
	long := b.accept(t, Request{ID: "long", Broadcast: true})
	long.Progress(did("a", protocol.OutcomePending, 1, 0))
	long.Done(did("a", protocol.OutcomeSent, 3, 1))
	checkNodes(t, long.Snapshot(), did("", 0, 3, 1), did("a", protocol.OutcomeSent, 3, 1))
	checkIndexNow(t, b.Ledger)
}

func TestOnlyBroadcastsHaveNodes(t *testing.T) {
	e := newRig(Options{}).accept(t, Request{ID: "m", Targets: 2})
	e.Progress(did("a", protocol.OutcomePending, 1, 0))
	e.Done(did("a", protocol.OutcomeSent, 1, 0))
	if s := e.Snapshot(); s.Nodes != nil || s.Deliveries[protocol.OutcomeSent] != 1 {
		t.Errorf("%+v", s)
	}
	nameless := newRig(Options{}).accept(t, Request{ID: "m", Broadcast: true})
	nameless.Progress(did("", protocol.OutcomePending, 1, 0))
	nameless.Done(cluster.Result{Outcome: protocol.OutcomeOffline})
	if s := nameless.Snapshot(); s.Nodes != nil {
		t.Errorf("%+v", s)
	}
}

func TestNodesOfABroadcastAreBounded(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m", Broadcast: true})
	before := b.bytes
	for i := range maxNodes + 10 {
		e.Progress(did(fmt.Sprintf("node-%04d", i), protocol.OutcomePending, 1, 0))
	}
	s := e.Snapshot()
	if len(s.Nodes) != maxNodes || s.Deliveries[protocol.OutcomeSent] != maxNodes {
		t.Errorf("%d nodes, %d sent; want %d of each", len(s.Nodes), s.Deliveries[protocol.OutcomeSent], maxNodes)
	}
	if took := b.bytes - before; took < maxNodes*100 || took > maxNodes*1000 {
		t.Errorf("%d bytes accounted for %d nodes", took, maxNodes)
	}
	checkIndexNow(t, b.Ledger)
}

func TestNodesOfABroadcastMakeOthersForgotten(t *testing.T) {
	b := newRig(Options{Bytes: 20 << 10})
	for i := range 5 {
		b.accept(t, Request{ID: fmt.Sprint(i)}).Done(did("n", protocol.OutcomeSent, 1, 0))
	}
	e := b.accept(t, Request{ID: "cast", Broadcast: true})
	for i := range 500 {
		e.Progress(did(fmt.Sprint("node-", i), protocol.OutcomePending, 1, 0))
	}
	b.checkKnown(t, "cast", "0 1 2 3 4")
	b.accept(t, Request{ID: "next"}) // the broadcast alone is over the bound
	b.checkKnown(t, "next", "cast")
	e.Progress(did("one more", protocol.OutcomePending, 1, 0)) // a page that is forgotten
	e.Done(did("n", protocol.OutcomeSent, 1, 0))
	checkIndexNow(t, b.Ledger)
}

func TestNodesKeepNoFrameAlive(t *testing.T) {
	frame := strings.Repeat("x", 1000)
	e := newRig(Options{}).accept(t, Request{ID: "m", Broadcast: true})
	e.Progress(did(frame[10:14], protocol.OutcomePending, 1, 0))
	if sameMemory(e.Snapshot().Nodes[0].Node, frame[10:14]) {
		t.Error("the name of a node is a piece of the frame")
	}
}

// checkIndexNow is checkIndex for tests that draw nothing.
func checkIndexNow(t *testing.T, l *Ledger) {
	t.Helper()
	var size int64
	for _, q := range []*list{&l.open, &l.ended} {
		for e := q.first; e != nil; e = e.next {
			size += e.size()
		}
	}
	if size != l.bytes {
		t.Errorf("%d bytes listed, %d indexed", size, l.bytes)
	}
}
