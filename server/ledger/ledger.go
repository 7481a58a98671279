package ledger

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// Bounds of a ledger that [Options] leaves at zero.
const (
	DefaultMessages = 100_000
	DefaultBytes    = 64 << 20
)

var (
	// ErrConflict: the id is known with other content. Nothing was counted.
	ErrConflict = errors.New("the id was used for another message")
	// ErrInvalid: the request has no id or no target. Nothing was counted.
	ErrInvalid = errors.New("a message needs an id and at least one target")
)

// Options are the bounds of a ledger and what it reports to.
type Options struct {
	// Messages is how many messages are kept; 0 means [DefaultMessages].
	Messages int
	// Bytes is how much memory they may take, about; 0 means [DefaultBytes].
	Bytes int64
	// Node is the name of the entry point, shown with the stage accepted.
	Node string
	// Metrics gets the counts and durations. It is required.
	Metrics *exporter.Metrics
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Ledger keeps the last messages that an entry point accepted. Its methods may be
// called from any goroutine.
type Ledger struct {
	options Options

	mu    sync.Mutex // held for a few map and list steps, never across a call of another package
	known map[string]*Entry
	open  list // in flight, oldest first
	ended list // complete, first ended first
	bytes int64
	books Books
}

// Books are the sums over everything that was accepted since the start, counted
// per target.
type Books struct {
	Accepted int64                       // taken by the entry point, duplicates too
	InFlight int64                       // not ended yet
	Ended    [protocol.NumOutcomes]int64 // by [protocol.Outcome]; pending is always 0
}

// Request is a message that the entry point is about to accept.
type Request struct {
	ID        string           // what the message is known by, never empty
	Source    exporter.Source  // which entry point took it
	Broadcast bool             // to everybody; then Targets does not matter
	Targets   int              // users it goes to, at least one
	Digest    [32]byte         // of content, targets and filters, to tell a repetition from a conflict
	Ack       protocol.AckMode // labels the delivery time
	Received  time.Time        // when the request came; durations count from here; zero means now
}

// New makes an empty ledger.
func New(o Options) *Ledger {
	if o.Messages <= 0 {
		o.Messages = DefaultMessages
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ledger{options: o, known: make(map[string]*Entry)}
}

// Accept opens the books for a message. If the id is known with the same digest it
// returns the first message's entry and existing is true: the repetition counts as
// accepted and, per target, as ended with [protocol.OutcomeCollapsed], and it must
// not be sent again. The errors are [ErrConflict] and [ErrInvalid].
//
// Ids are known for as long as the message is kept. To make room the message that
// ended first is forgotten first; one in flight only when nothing kept has ended,
// and it is still counted when it ends.
func (l *Ledger) Accept(r Request) (e *Entry, existing bool, err error) {
	if r.Broadcast {
		r.Targets = 1
	}
	if r.ID == "" || r.Targets < 1 {
		return nil, false, ErrInvalid
	}
	e, existing, err = l.enter(r)
	if err != nil {
		return nil, false, fmt.Errorf("accepting message %q: %w", r.ID, err)
	}
	targets, m := float64(r.Targets), l.options.Metrics
	m.Accepted(r.Source, r.Broadcast).Add(targets)
	if existing {
		m.Messages(protocol.OutcomeCollapsed).Add(targets)
		return e, true, nil
	}
	m.MessagesInFlight.Add(targets)
	m.StageDuration(protocol.StageAccepted).Observe(e.offsets[protocol.StageAccepted].Seconds())
	return e, false, nil
}

// enter finds or adds the entry and writes the books.
func (l *Ledger) enter(r Request) (e *Entry, existing bool, err error) {
	fresh := l.newEntry(r) // before the lock, which it would lengthen
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, existing = l.known[r.ID]; existing {
		if e.digest != r.Digest {
			return nil, false, ErrConflict
		}
		l.books.Accepted += int64(r.Targets)
		l.books.Ended[protocol.OutcomeCollapsed] += int64(r.Targets)
		return e, true, nil
	}
	l.books.Accepted += int64(r.Targets)
	l.books.InFlight += int64(r.Targets)
	l.known[fresh.id] = fresh
	l.open.push(fresh)
	l.bytes += fresh.size()
	l.evict()
	return fresh, false, nil
}

// evict forgets messages until the bounds hold; the newest one always stays.
func (l *Ledger) evict() {
	for len(l.known) > 1 && (len(l.known) > l.options.Messages || l.bytes > l.options.Bytes) {
		from := &l.ended
		if from.first == nil {
			from = &l.open
		}
		e := from.first
		from.remove(e)
		delete(l.known, e.id)
		l.bytes -= e.size()
	}
}

// count writes one end into the books.
func (l *Ledger) count(o protocol.Outcome) {
	l.mu.Lock()
	l.books.InFlight--
	l.books.Ended[o]++
	l.mu.Unlock()
	l.options.Metrics.Messages(o).Inc()
	l.options.Metrics.MessagesInFlight.Dec()
}

// retire moves a complete entry to those that are forgotten first, unless it was
// forgotten already.
func (l *Ledger) retire(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.in == &l.open {
		l.open.remove(e)
		l.ended.push(e)
	}
}

// Get returns what is known about a message; ok is false when the id never came or
// was forgotten.
func (l *Ledger) Get(id string) (s Snapshot, ok bool) {
	l.mu.Lock()
	e, ok := l.known[id]
	l.mu.Unlock()
	if !ok {
		return Snapshot{}, false
	}
	return e.Snapshot(), true
}

// Books returns the sums. They balance at every instant, not only at rest.
func (l *Ledger) Books() Books {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.books
}

func (l *Ledger) newEntry(r Request) *Entry {
	now := l.options.Now()
	if r.Received.IsZero() {
		r.Received = now
	}
	e := &Entry{
		// The request's id may be a piece of a large body, which it would keep alive.
		id: strings.Clone(r.ID), ledger: l, digest: r.Digest, received: r.Received,
		ack: r.Ack, broadcast: r.Broadcast, targets: int32(r.Targets),
	}
	// A clock that was set back in between must not make the first stage negative.
	e.set(protocol.StageAccepted, l.options.Node, max(0, now.Sub(r.Received)))
	return e
}
