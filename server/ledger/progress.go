package ledger

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// maxNodes bounds the nodes that the page of a broadcast tells apart. What further ones
// do is seen when the broadcast is done, in its sums.
const maxNodes = 1000

// Progress notes what a node has done so far of a broadcast, or its end.
func (e *Entry) Progress(r cluster.Result) {
	if !e.broadcast || r.Node == "" {
		return
	}
	if grown := e.note(&r); grown > 0 {
		e.ledger.grow(e, grown)
	}
}

// note writes the line of a node and returns how much memory that took.
func (e *Entry) note(r *cluster.Result) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.settled == e.targets {
		return 0
	}
	return e.line(r)
}

// line writes the line of a node, a new one if it has none; the caller holds mu.
func (e *Entry) line(r *cluster.Result) (grown int64) {
	at, known := slices.BinarySearchFunc(e.byNode, r.Node, func(n NodeResult, id string) int { return strings.Compare(n.Node, id) })
	if !known {
		if len(e.byNode) >= maxNodes {
			return 0
		}
		before := cap(e.byNode)
		// The id may be a piece of a frame, which it would keep alive.
		e.byNode = slices.Insert(e.byNode, at, NodeResult{Node: strings.Clone(r.Node)})
		grown = int64(cap(e.byNode)-before)*int64(unsafe.Sizeof(NodeResult{})) + int64(len(r.Node))
	}
	line := &e.byNode[at]
	if line.Outcome == protocol.OutcomePending { // the end is not taken back
		line.Outcome, line.Deliveries = r.Outcome, r.Deliveries
	}
	return grown
}

// closeLine writes the end of a broadcast on the line of its only node. The end of several
// was noted node by node. The caller holds mu.
func (e *Entry) closeLine(r *cluster.Result) (grown int64) {
	if e.broadcast && r.Node != "" && (len(e.byNode) == 0 || len(e.byNode) == 1 && e.byNode[0].Node == r.Node) {
		return e.line(r)
	}
	return 0
}

// soFar sums up what nodes have done of a broadcast that runs; the caller holds mu.
func (e *Entry) soFar() (sum [protocol.NumOutcomes]int) {
	for i := range e.byNode {
		for o, n := range e.byNode[i].Deliveries {
			sum[o] += n
		}
	}
	return sum
}

// grow accounts for memory that an entry took after it was entered.
func (l *Ledger) grow(e *Entry, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.in != nil {
		e.grown += bytes
		l.bytes += bytes
		l.evict()
	}
}
