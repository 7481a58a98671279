// Package spool keeps what the bridge has promised to send, on disk: notifications that
// wait, what was accepted lately, dead letters, and small states that survive a restart.
// What it has accepted is synced to the disk.
package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// ErrFull refuses a notification for which there is no room.
var ErrFull = errors.New("the queue is full")

// ErrStalled: a write has been under way for so long that the disk hangs. What was handed
// in before may still get there.
var ErrStalled = errors.New("the disk does not answer")

// ErrClosed answers after [Spool.Close].
var ErrClosed = errors.New("the spool is closed")

// fileName is the name of the file in the data directory.
const fileName = "spool.db"

// Names of the file's buckets.
const (
	bucketQueue = "queue" // sequence -> header and body
	bucketSeen  = "seen"  // expiry and key -> group and time of acceptance
	bucketDead  = "dead"  // sequence -> dead letter
	bucketDrop  = "drop"  // sequence of the dead letter and of the entry -> header and body
	bucketState = "state" // kind/name -> the owner's bytes
)

// Options configure [Open].
type Options struct {
	// Dir is the data directory; it is made if it is not there.
	Dir string
	// Limits bound what is kept; see [Spool.SetLimits].
	Limits Limits
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger hears when the disk begins and ceases to fail; nil: nobody.
	Logger *slog.Logger
	// Failed is called after every write that failed; nil: nobody.
	Failed func()
	// Stalled is called when a write has been under way for so long that the disk hangs;
	// nil: nobody.
	Stalled func()
	// Late is called when an item is on disk after all whose giver was told [ErrStalled],
	// with its target; nil: nobody. It must not wait for the spool.
	Late func(target string)
}

// Limits bound a spool.
type Limits struct {
	Queue       int   // notifications that wait for one target
	Bytes       int64 // of all bodies that wait
	DeadLetters int
}

// Spool is an open spool. Its methods may be called by several goroutines.
type Spool struct {
	options Options
	db      *bolt.DB
	update  func(write func(*bolt.Tx) error) error // db.Update, which tests let hang
	ops     chan *op
	quit    chan struct{}
	done    chan struct{}
	once    sync.Once

	mu      sync.Mutex
	limits  Limits
	queues  map[string][]Entry           // by target, in the order of arrival
	ranks   map[string]*[maxRank + 1]int // how many of each rank wait, by target
	bytes   int64                        // of the bodies in queues
	booked  map[string]int               // accepted, not yet committed
	seen    map[Key]seenAt
	latest  map[uint64]Key // accepted last, by group
	order   []seenAt       // of seen, oldest first
	next    uint64         // sequence
	failure error          // of a write, nil once one as large has gone well
	failed  time.Time      // when that began
	short   int            // bytes of the largest that could not be written since
	writing time.Time      // when the write that is under way began, zero if none is
	gone    map[uint64]struct{}

	buried      int64 // bytes of the entries of dead letters; the writer's
	buriedAfter int64 // the same once the commit in hand has succeeded
}

// Open opens the spool in a data directory, or makes one. Nobody else can have it open.
func Open(o Options) (*Spool, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Failed == nil {
		o.Failed = func() {}
	}
	if o.Stalled == nil {
		o.Stalled = func() {}
	}
	if o.Late == nil {
		o.Late = func(string) {}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory %s: %w", o.Dir, cause(err))
	}
	file := filepath.Join(o.Dir, fileName)
	s := &Spool{options: o, ops: make(chan *op, 256), quit: make(chan struct{}), done: make(chan struct{}),
		limits: o.Limits, queues: map[string][]Entry{}, ranks: map[string]*[maxRank + 1]int{}, booked: map[string]int{},
		seen: map[Key]seenAt{}, latest: map[uint64]Key{}, gone: map[uint64]struct{}{}}
	s.update = func(write func(*bolt.Tx) error) error { return s.db.Update(write) }
	var err error
	if s.db, err = openFile(file); err != nil {
		return nil, err
	}
	if err := guarded(s.load); err != nil {
		_ = s.db.Close() // nothing was written
		return nil, damaged(file, "read", err)
	}
	s.shrink(file)
	if s.db == nil { // it was there a moment ago
		return nil, fmt.Errorf("%s could not be opened again after it was made smaller", file)
	}
	go s.run()
	return s, nil
}

// cause leaves out the path of an error, which the sentence names already.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// load reads what waits, without the bodies. It writes only into a new file: a bridge
// whose disk is full can start and send what it has.
func (s *Spool) load() error {
	missing := false
	err := s.db.View(func(tx *bolt.Tx) error {
		if err := s.whole(tx); err != nil {
			return err
		}
		for _, name := range buckets() {
			missing = missing || tx.Bucket([]byte(name)) == nil
		}
		if missing {
			return nil
		}
		return s.read(tx)
	})
	if err != nil || !missing {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return s.read(tx)
	})
}

func buckets() []string {
	return []string{bucketQueue, bucketSeen, bucketDead, bucketDrop, bucketState}
}

func (s *Spool) read(tx *bolt.Tx) error {
	s.next = tx.Bucket([]byte(bucketQueue)).Sequence()
	err := tx.Bucket([]byte(bucketQueue)).ForEach(func(k, v []byte) error {
		e, _, err := decodeEntry(k, v)
		if err != nil {
			return err
		}
		s.insert(e)
		s.next = max(s.next, e.Seq)
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.readSeen(tx); err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketDrop)).ForEach(func(_, v []byte) error {
		s.buried += int64(len(v))
		return nil
	})
}

// insert puts an entry in its place.
func (s *Spool) insert(e Entry) {
	q := s.queues[e.Target]
	if len(q) > 0 {
		e.Target = q[0].Target // one copy of the name for all
	}
	at, _ := slices.BinarySearchFunc(q, e.Seq, bySeq)
	s.queues[e.Target] = slices.Insert(q, at, e)
	s.bytes += int64(e.Size)
	if s.ranks[e.Target] == nil {
		s.ranks[e.Target] = new([maxRank + 1]int)
	}
	s.ranks[e.Target][min(e.Rank, maxRank)]++
}

// remove takes entries out.
func (s *Spool) remove(entries []Entry) {
	out := make(map[uint64]struct{}, len(entries))
	targets := map[string]struct{}{}
	for _, e := range entries {
		out[e.Seq], targets[e.Target] = struct{}{}, struct{}{}
	}
	for target := range targets {
		s.queues[target] = slices.DeleteFunc(s.queues[target], func(e Entry) bool {
			_, leaves := out[e.Seq]
			if leaves {
				s.bytes -= int64(e.Size)
				s.ranks[target][min(e.Rank, maxRank)]--
			}
			return leaves
		})
	}
}

func bySeq(e Entry, seq uint64) int {
	switch {
	case e.Seq < seq:
		return -1
	case e.Seq > seq:
		return 1
	}
	return 0
}

// SetLimits changes the limits. What is beyond them already stays.
func (s *Spool) SetLimits(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
}

// Err is why a write failed, nil if none did or one as large has gone well since. On a
// full disk something small may still find room; that proves nothing for the next alert.
// While the disk hangs it is [ErrStalled].
func (s *Spool) Err() error {
	_, err := s.Failing()
	return err
}

// Targets returns the names of the targets that something waits for.
func (s *Spool) Targets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, q := range s.queues {
		if len(q) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Waiting returns what waits for a target, the most urgent first and what is equally
// urgent in the order of its arrival.
func (s *Spool) Waiting(target string) []Entry {
	s.mu.Lock()
	q := slices.Clone(s.queues[target])
	s.mu.Unlock()
	slices.SortStableFunc(q, func(a, b Entry) int { return int(a.Rank) - int(b.Rank) })
	return q
}

// Depth is how many entries wait for a target.
func (s *Spool) Depth(target string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queues[target])
}

// maxRank is the least urgent rank that is told from others by [Spool.Urgent].
const maxRank = 7

// Urgent is the rank of the most urgent entry that waits for a target, 255 if none waits.
func (s *Spool) Urgent(target string) uint8 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counts := s.ranks[target]; counts != nil {
		for rank, n := range counts {
			if n > 0 {
				return uint8(rank)
			}
		}
	}
	return 255
}

// Oldest is when the oldest notification that waits for a target was accepted, zero if
// none waits.
func (s *Spool) Oldest(target string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest time.Time
	for _, e := range s.queues[target] {
		if oldest.IsZero() || e.Received.Before(oldest) {
			oldest = e.Received
		}
	}
	return oldest
}

// Close writes what was handed in before and closes the file.
func (s *Spool) Close() error {
	s.once.Do(func() { close(s.quit) })
	<-s.done
	return s.db.Close()
}
