package spool

import (
	"crypto/rand"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Bounds of one commit and of what is remembered.
const (
	maxBatch    = 512     // operations in one commit
	maxSeen     = 100_000 // keys; the oldest go first
	pruneAtOnce = 1000    // old keys that one commit forgets
	probeEvery  = 2 * time.Second
	leastProbe  = 8         // bytes
	maxProbe    = 256 << 10 // more than most webhooks have; a larger one may have to wait longer
)

// Item is something to keep.
type Item struct {
	Entry
	Body []byte
	// Key and TTL: an item with the same key within the time is a duplicate.
	Key Key
	TTL time.Duration

	accepted time.Time
}

// keyed reports whether an equal item is to be recognised.
func (i Item) keyed() bool { return i.Key != Key{} && i.TTL > 0 }

// op is one request to the writer.
type op struct {
	put       []Item
	dedupe    bool    // put is refused if its key was seen
	del       []Entry // leave the queue
	dead      *DeadLetter
	state     [][2]string // kind/name and value
	answer    chan error
	duplicate bool        // set by the writer
	left      atomic.Bool // who handed it in does not wait any more
	booked    string
}

// size is about how many bytes the operation takes on disk.
func (o *op) size() (n int) {
	for _, p := range o.put {
		n += len(p.Body)
	}
	for _, st := range o.state {
		n += len(st[1])
	}
	if o.dead != nil { // it keeps what it is made of
		n += len(o.dead.Title) + len(o.dead.Text)
		for _, e := range o.del {
			n += e.Size
		}
	}
	return n
}

// Accept keeps an item that came from outside. When it returns without an error the item
// is on disk, or was before (duplicate). The error is [ErrFull] or the disk's; after
// [ErrStalled] the item may yet be kept, which makes its next coming a duplicate.
func (s *Spool) Accept(item Item) (duplicate bool, err error) {
	if err := s.book(item); err != nil {
		return false, err
	}
	o := &op{put: []Item{item}, dedupe: item.keyed(), booked: item.Target}
	if err := s.hasten(o); err != nil {
		return false, err
	}
	return o.duplicate, nil
}

// book takes room for an item, or refuses it.
func (s *Spool) book(item Item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.duplicate(item.Key, s.options.Now()) {
		s.booked[item.Target]++ // a duplicate needs no room
		return nil
	}
	if len(s.queues[item.Target])+s.booked[item.Target] >= s.limits.Queue || s.bytes+int64(len(item.Body)) > s.limits.Bytes {
		return ErrFull
	}
	s.booked[item.Target]++
	return nil
}

// Add keeps an item of the bridge itself, whatever the limits say. After [ErrStalled] it
// may yet be kept, so that who tries again may say it twice.
func (s *Spool) Add(item Item) error { return s.hasten(&op{put: []Item{item}}) }

// Replace takes entries out and puts items in their place, or none, in one step.
// An item with a sequence keeps it.
//
// When the disk fails the entries are taken out of memory all the same, since what was
// sent must not be sent again; they are removed from the disk by a later write. The
// items are then lost from memory too, so the entries are kept if there are any.
func (s *Spool) Replace(out []Entry, in ...Item) error {
	err := s.do(&op{del: out, put: in})
	if err != nil && len(in) == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(out)
		for _, e := range out {
			s.gone[e.Seq] = struct{}{}
		}
	}
	return err
}

// Bury takes entries out and keeps a dead letter of them.
func (s *Spool) Bury(out []Entry, d DeadLetter) error { return s.do(&op{del: out, dead: &d}) }

// SetState keeps a small state. After [ErrStalled] it may yet be kept.
func (s *Spool) SetState(kind, name string, value []byte) error {
	return s.hasten(&op{state: [][2]string{{kind + "/" + name, string(value)}}})
}

// hasten is do for those who cannot wait for a disk that hangs. What is with the writer by
// then stays there, which is little: nothing comes after it while the disk hangs.
func (s *Spool) hasten(o *op) error {
	if s.hangs() {
		s.unbook(o)
		return ErrStalled
	}
	patience := time.NewTimer(stallAfter)
	defer patience.Stop()
	return s.doUntil(o, patience.C)
}

// do hands an operation to the writer and waits until it is on disk.
func (s *Spool) do(o *op) error { return s.doUntil(o, nil) }

// doUntil is do that waits no longer than until something comes from limit.
func (s *Spool) doUntil(o *op, limit <-chan time.Time) error {
	o.answer = make(chan error, 1)
	select {
	case s.ops <- o:
	case <-limit:
		s.unbook(o)
		return ErrStalled
	case <-s.done:
		s.unbook(o)
		return ErrClosed
	}
	select {
	case err := <-o.answer:
		return err
	case <-limit:
		o.left.Store(true) // before the last look: either that finds the answer, or the writer finds this
		select {
		case err := <-o.answer:
			return err
		default:
			return ErrStalled
		}
	case <-s.done: // it may have been answered just before
		select {
		case err := <-o.answer:
			return err
		default:
			return ErrClosed
		}
	}
}

func (s *Spool) unbook(o *op) {
	if o.booked == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.booked[o.booked]--; s.booked[o.booked] <= 0 {
		delete(s.booked, o.booked)
	}
}

// run is the writer: it commits what has gathered while it committed.
func (s *Spool) run() {
	defer close(s.done)
	again := time.NewTicker(probeEvery)
	defer again.Stop()
	for {
		select {
		case o := <-s.ops:
			s.commit(s.gather(o))
		case <-again.C:
			s.probe()
		case <-s.quit:
			for {
				select {
				case o := <-s.ops:
					s.commit(s.gather(o))
					continue
				default:
				}
				if s.owes() {
					s.commit(nil)
				}
				return
			}
		}
	}
}

// probe finds out whether the disk works again, and removes what is gone.
func (s *Spool) probe() {
	failing := s.Err() != nil
	if !failing && !s.owes() {
		return
	}
	s.commit(nil)
	if failing && s.Err() == nil {
		s.commit(nil) // a small one gives back the room of the large one, which is then there for an alert
	}
}

// proof is what a probe writes: as much as could not be written before. It is by chance,
// since a disk that compresses has room for any number of zeros.
func (s *Spool) proof() []byte {
	s.mu.Lock()
	size := max(leastProbe, min(s.short, maxProbe))
	s.mu.Unlock()
	value := make([]byte, size)
	_, _ = rand.Read(value) // it never fails
	return value
}

func (s *Spool) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gone) > 0
}

func (s *Spool) gather(first *op) []*op {
	batch := []*op{first}
	for len(batch) < maxBatch {
		select {
		case o := <-s.ops:
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch and answers it.
func (s *Spool) commit(batch []*op) {
	now := s.options.Now()
	s.prepare(batch, now)
	forget, gone := s.stale(now)
	s.buriedAfter = s.buried
	var proof []byte
	if len(batch) == 0 { // a probe writes something, else it proves nothing
		proof = s.proof()
	}
	ended := s.watched(now)
	err := s.update(func(tx *bolt.Tx) error {
		for seq := range gone {
			if err := tx.Bucket([]byte(bucketQueue)).Delete(seqKey(seq)); err != nil {
				return err
			}
		}
		for _, f := range forget {
			key, _ := f.onDisk()
			if err := tx.Bucket([]byte(bucketSeen)).Delete(key); err != nil {
				return err
			}
		}
		for _, o := range batch {
			if err := s.apply(tx, o); err != nil {
				return err
			}
		}
		if proof != nil {
			return tx.Bucket([]byte(bucketState)).Put([]byte("spool/probe"), proof)
		}
		return nil
	})
	ended()
	s.note(batch, len(proof), now, err)
	s.settle(batch, forget, gone, err)
	for _, o := range batch {
		s.unbook(o)
		o.answer <- err
		if err == nil && o.left.Load() {
			for _, p := range o.put {
				s.options.Late(p.Target)
			}
		}
	}
}

// prepare gives the items their sequence and finds duplicates, in the batch too.
func (s *Spool) prepare(batch []*op, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := map[Key]struct{}{}
	for _, o := range batch {
		if o.dedupe {
			key := o.put[0].Key
			if _, again := fresh[key]; again || s.duplicate(key, now) {
				o.duplicate, o.put = true, nil
				continue
			}
			fresh[key] = struct{}{}
		}
		for i := range o.put {
			p := &o.put[i]
			if p.Seq == 0 {
				s.next++
				p.Seq = s.next
			}
			if p.Received.IsZero() {
				p.Received = now
			}
			p.Size, p.accepted = len(p.Body), now
		}
	}
}

// stale picks keys to forget and entries that are sent and still on disk.
func (s *Spool) stale(now time.Time) (forget []seenAt, gone map[uint64]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.order {
		if len(forget) >= pruneAtOnce || now.Before(o.until) && len(s.order)-len(forget) <= maxSeen {
			break
		}
		forget = append(forget, o)
	}
	gone = make(map[uint64]struct{}, len(s.gone))
	for seq := range s.gone {
		gone[seq] = struct{}{}
	}
	return forget, gone
}

// apply writes one operation into the transaction.
func (s *Spool) apply(tx *bolt.Tx, o *op) error {
	queue := tx.Bucket([]byte(bucketQueue))
	if o.dead != nil {
		if err := s.bury(tx, o.dead, o.del); err != nil {
			return err
		}
	}
	for _, e := range o.del {
		if err := queue.Delete(seqKey(e.Seq)); err != nil {
			return err
		}
	}
	for _, p := range o.put {
		if err := queue.Put(seqKey(p.Seq), encodeEntry(p.Entry, p.Body)); err != nil {
			return err
		}
		if p.Seq > queue.Sequence() {
			if err := queue.SetSequence(p.Seq); err != nil {
				return err
			}
		}
		if p.keyed() {
			key, value := seenOf(p).onDisk()
			if err := tx.Bucket([]byte(bucketSeen)).Put(key, value); err != nil {
				return err
			}
		}
	}
	for _, st := range o.state {
		if err := tx.Bucket([]byte(bucketState)).Put([]byte(st[0]), []byte(st[1])); err != nil {
			return err
		}
	}
	return nil
}

// note remembers whether the disk works. A write that went well proves it only if it was
// as large as what failed, or as the largest probe.
func (s *Spool) note(batch []*op, written int, now time.Time, err error) {
	s.mu.Lock()
	before, largest := s.failure, 0
	for _, o := range batch {
		written += o.size()
		largest = max(largest, o.size())
	}
	switch {
	case err != nil:
		if s.failure, s.short = err, max(s.short, largest); before == nil {
			s.failed = now
		}
	case before != nil && written >= min(s.short, maxProbe):
		s.failure, s.failed, s.short = nil, time.Time{}, 0
	}
	works := s.failure == nil
	s.mu.Unlock()
	switch {
	case err != nil:
		s.options.Failed()
		if before == nil {
			s.options.Logger.Error("the spool cannot be written; new notifications are refused until it can", "dir", s.options.Dir, "err", err)
		}
	case before != nil && works:
		s.options.Logger.Info("the spool can be written again", "dir", s.options.Dir)
	}
}

// settle brings the memory to what is on disk.
func (s *Spool) settle(batch []*op, forget []seenAt, gone map[uint64]struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		for seq := range gone {
			delete(s.gone, seq)
		}
		for _, f := range forget {
			s.forget(f)
		}
		s.order = s.order[len(forget):]
		s.buried = s.buriedAfter
		s.adopt(batch)
	}
}

func (s *Spool) adopt(batch []*op) {
	for _, o := range batch {
		s.remove(o.del)
		for _, p := range o.put {
			s.insert(p.Entry)
			if p.keyed() {
				s.remember(seenOf(p))
			}
		}
	}
}
