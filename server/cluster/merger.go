package cluster

import (
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// merger makes one result of the results of several nodes for one broadcast.
type merger struct {
	Tracker

	mu      sync.Mutex
	missing int
	merged  Result
}

func newMerger(t Tracker, nodes int) *merger { return &merger{Tracker: t, missing: nodes} }

// Done adds the result of a node; with the last one the broadcast is done.
func (m *merger) Done(r Result) {
	if merged, last := m.add(r); last {
		m.Tracker.Done(merged)
	}
}

func (m *merger) add(r Result) (merged Result, last bool) {
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
	merged = m.merged
	merged.Outcome = commonest(merged)
	return merged, m.missing == 0
}

// commonest is the outcome of a broadcast: the best if anybody got it, else what most
// connections ended with, else what became of the nodes.
func commonest(r Result) protocol.Outcome {
	switch r.Outcome {
	case protocol.OutcomeAcked, protocol.OutcomeSent, protocol.OutcomeAckTimeout:
		return r.Outcome
	}
	most, common := 0, r.Outcome
	for o, n := range r.Deliveries {
		if n > most {
			most, common = n, protocol.Outcome(o)
		}
	}
	return common
}

// mergeStage keeps the first time up to queued and the last from written on, as
// [Result] has it for a broadcast.
func mergeStage(s protocol.Stage, a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.After(a) == (s >= protocol.StageWritten) {
		return b
	}
	return a
}

// mergeUser adds the result of another of a user's nodes to sum. The best outcome
// brings its node and its stages along.
func mergeUser(sum, r *Result) {
	if best := sum.Outcome.Better(r.Outcome); best != sum.Outcome {
		sum.Outcome, sum.Node, sum.Stages = best, r.Node, r.Stages
	}
	for o, n := range r.Deliveries {
		sum.Deliveries[o] += n
	}
}
