package ledger

import (
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Snapshot is what is known about a message at one instant.
type Snapshot struct {
	ID        string
	Targets   int // users it went to; 1 for a broadcast
	Ended     int // of those, how many have an outcome
	Broadcast bool
	// Outcome is [protocol.OutcomePending] until the message is complete, then that
	// of its only target or the best of them (see [protocol.Outcome.Better]).
	Outcome    protocol.Outcome
	Outcomes   [protocol.NumOutcomes]int // targets by outcome
	Deliveries [protocol.NumOutcomes]int // connections by outcome; of a broadcast that runs, so far
	Stages     []StageTime               // those that were reached, in order of the stages
	Accepted   time.Time                 // when the entry point received it
	// Latency is from Accepted until the deciding delivery was acknowledged or, with
	// no ack, written. It is 0 until the message is complete and if it never was written.
	Latency time.Duration
	Node    string // the id of the node that decided; empty until one did
	// Nodes is what each node did of a broadcast, by id, the first thousand that said
	// something; nil of other messages.
	Nodes []NodeResult
}

// NodeResult is what one node did of a broadcast.
type NodeResult struct {
	Node string
	// Outcome is [protocol.OutcomePending] while the node is at it.
	Outcome    protocol.Outcome
	Deliveries [protocol.NumOutcomes]int // connections by outcome, so far
}

// StageTime is when and where a message came to a stage. With many targets it is
// the first that was queued and the last that was written.
type StageTime struct {
	Stage protocol.Stage `json:"stage"`
	Node  string         `json:"node"`
	At    time.Time      `json:"at"`
}

// Snapshot reads the page of the message.
func (e *Entry) Snapshot() Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Snapshot{
		ID: e.id, Targets: int(e.targets), Ended: int(e.settled), Broadcast: e.broadcast,
		Stages: e.stages(), Accepted: e.received, Node: e.node,
	}
	for o := range protocol.NumOutcomes {
		s.Outcomes[o], s.Deliveries[o] = int(e.outcomes[o]), int(e.deliveries[o])
	}
	s.Nodes = slices.Clone(e.byNode)
	if e.settled < e.targets && e.broadcast {
		s.Deliveries = e.soFar()
	}
	if e.complete {
		s.Outcome, s.Latency = e.best, e.latency()
	}
	return s
}

func (e *Entry) stages() []StageTime {
	stages := make([]StageTime, 0, protocol.NumStages)
	for _, stage := range protocol.Stages() {
		if e.reached&(1<<stage) != 0 {
			stages = append(stages, StageTime{stage, e.nodes[stage], e.received.Add(e.offsets[stage])})
		}
	}
	return stages
}
