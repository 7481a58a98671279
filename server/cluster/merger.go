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
	return m.merged, m.missing == 0
}

// mergeStage keeps the first time up to queued and the last from written on, as
// [Result] has it for a broadcast.
func mergeStage(s protocol.Stage, a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.After(a) == (s >= protocol.StageWritten) {
		return b
	}
	return a
}
