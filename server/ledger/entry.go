package ledger

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// Entry is the page of one message. It implements [cluster.Tracker] for all its
// targets: Done is expected once for each, and further calls change nothing.
type Entry struct {
	ledger    *Ledger
	id        string
	digest    [32]byte
	received  time.Time
	targets   int32
	ack       protocol.AckMode
	broadcast bool

	in         *list // where the ledger keeps it, nil once forgotten; these four under the ledger's lock
	prev, next *Entry
	grown      int64 // bytes of byNode

	mu         sync.Mutex
	claimed    int32                             // Done calls that count
	settled    int32                             // of those, how many are in the books
	complete   bool                              // all are, and the durations are reported
	best       protocol.Outcome                  // of those that ended
	reached    uint8                             // bit per stage
	offsets    [protocol.NumStages]time.Duration // since received
	nodes      [protocol.NumStages]string        // where a stage was reached
	node       string                            // that decided
	outcomes   [protocol.NumOutcomes]int32       // targets by outcome
	deliveries [protocol.NumOutcomes]int32       // connections by outcome
	byNode     []NodeResult                      // of a broadcast, by id
	done       chan struct{}                     // closed when complete; made by the first that waits
}

var _ cluster.Tracker = (*Entry)(nil)

// overhead is what the index takes for an entry besides the entry and its id.
const overhead = 64

// size is the memory of an entry in bytes, about. Names of nodes at the stages are not
// counted: all entries share them. The caller holds the ledger's lock.
func (e *Entry) size() int64 { return int64(unsafe.Sizeof(*e)) + int64(len(e.id)) + overhead + e.grown }

// Reached notes that a delivery of the message came to a stage, so that
// [Entry.Snapshot] shows it while the end is awaited.
func (e *Entry) Reached(stage protocol.Stage, node string, at time.Time) {
	if int(stage) >= protocol.NumStages || stage == protocol.StageAccepted {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.settled < e.targets {
		e.reach(stage, node, at)
	}
}

// reach merges a time into the stages. Of many deliveries the first that was
// queued counts and the last that was written.
func (e *Entry) reach(stage protocol.Stage, node string, at time.Time) {
	offset, bit := at.Sub(e.received), uint8(1)<<stage
	if e.reached&bit != 0 && (stage >= protocol.StageWritten) != (offset > e.offsets[stage]) {
		return
	}
	e.set(stage, node, offset)
}

func (e *Entry) set(stage protocol.Stage, node string, offset time.Duration) {
	e.reached |= 1 << stage
	e.offsets[stage], e.nodes[stage] = offset, node
}

// Done notes the end for one target, or of the whole broadcast. With the last
// target the message is complete: its durations are reported and those that wait
// for it go on. An outcome that is none, as [protocol.OutcomePending], counts as
// [protocol.OutcomeFailed].
func (e *Entry) Done(r cluster.Result) {
	if int(r.Outcome) >= protocol.NumOutcomes || r.Outcome == protocol.OutcomePending {
		r.Outcome = protocol.OutcomeFailed
	}
	if !e.claim() {
		return
	}
	e.ledger.count(r.Outcome)
	// The books come before the page: who sees the message complete finds it counted.
	last, grown := e.settle(&r)
	if grown > 0 {
		e.ledger.grow(e, grown)
	}
	if last {
		e.report()
		e.ledger.retire(e)
		e.release()
	}
}

// claim tells whether this Done is one of those that were expected.
func (e *Entry) claim() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.claimed == e.targets {
		return false
	}
	e.claimed++
	return true
}

// settle writes a result on the page and tells whether it was the last, and what memory
// that took.
func (e *Entry) settle(r *cluster.Result) (last bool, grown int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settled++
	e.outcomes[r.Outcome]++
	for o, n := range r.Deliveries {
		e.deliveries[o] += int32(n)
	}
	if best := e.best.Better(r.Outcome); best != e.best {
		e.best, e.node = best, r.Node
	}
	for stage := protocol.StageRouted; int(stage) < protocol.NumStages; stage++ {
		e.decide(stage, r)
	}
	return e.settled == e.targets, e.closeLine(r)
}

// decide merges one stage of a result. For a single target the result knows which
// of the devices counts, so its time replaces what was noted on the way.
func (e *Entry) decide(stage protocol.Stage, r *cluster.Result) {
	at := r.Stages[stage]
	switch {
	case at.IsZero():
	case e.targets == 1:
		e.set(stage, r.Node, at.Sub(e.received))
	default:
		e.reach(stage, r.Node, at)
	}
}

// report observes the durations. The last settle was before, so nothing changes
// the page any more and it is read without the lock.
func (e *Entry) report() {
	m, last := e.ledger.options.Metrics, e.offsets[protocol.StageAccepted]
	for stage := protocol.StageRouted; int(stage) < protocol.NumStages; stage++ {
		if e.reached&(1<<stage) == 0 {
			continue
		}
		m.StageDuration(stage).Observe(max(0, e.offsets[stage]-last).Seconds())
		last = e.offsets[stage]
	}
	if e.best == protocol.OutcomeSent || e.best == protocol.OutcomeAcked {
		m.DeliveryDuration(e.ack).Observe(e.latency().Seconds())
	}
}

// latency is the time from receiving the message to the ack, or if there was none
// to the write. It is 0 if the message was not written.
func (e *Entry) latency() time.Duration {
	stage := protocol.StageWritten
	if e.best == protocol.OutcomeAcked {
		stage = protocol.StageAcked
	}
	if e.reached&(1<<stage) == 0 {
		return 0
	}
	return max(0, e.offsets[stage])
}

// release lets those go on that wait.
func (e *Entry) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.complete = true
	if e.done != nil {
		close(e.done)
	}
}

// Wait returns when the message is complete, or when ctx ends with what is known
// by then. complete tells which of the two it was.
func (e *Entry) Wait(ctx context.Context) (s Snapshot, complete bool) {
	if done := e.waiting(); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	s = e.Snapshot()
	return s, s.Outcome != protocol.OutcomePending
}

// waiting is closed when the message is complete; nil if it is already.
func (e *Entry) waiting() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.complete {
		return nil
	}
	if e.done == nil {
		e.done = make(chan struct{})
	}
	return e.done
}
