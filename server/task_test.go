package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/store"
)

// desk is a store whose task a test holds in its hands; the rest of it is real.
type desk struct {
	store.Store

	mu      sync.Mutex
	rate    int
	cancel  bool
	away    bool
	hang    time.Duration
	sent    int
	reached []string
	batches []int
	asked   int
}

var errAway = errors.New("the store is away")

func (d *desk) Task(ctx context.Context, task string, sent int) (store.TaskState, error) {
	d.mu.Lock()
	hang := d.hang
	d.asked++
	d.mu.Unlock()
	if hang > 0 {
		select {
		case <-time.After(hang):
		case <-ctx.Done():
			return store.TaskState{}, ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away || task != "t1" {
		return store.TaskState{}, errAway
	}
	d.sent += sent
	return store.TaskState{Rate: d.rate, Cancelled: d.cancel, Sent: d.sent}, nil
}

func (d *desk) TaskReached(_ context.Context, task string, users []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away || task != "t1" {
		return errAway
	}
	d.batches = append(d.batches, len(users))
	d.reached = append(d.reached, users...)
	return nil
}

func (d *desk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// wantTold checks what the store was told in the end.
func (d *desk) wantTold(t *testing.T, sent int, users int) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	listed := slices.Clone(d.reached)
	slices.Sort(listed)
	listed = slices.Compact(listed) // a user may be listed for each device
	if d.sent != sent || len(listed) != users || len(d.reached) > sent {
		t.Errorf("the store counts %d and lists %d users in %d places, want %d and %d", d.sent, len(listed), len(d.reached), sent, users)
	}
}

// onDesk runs a test in virtual time with such a store.
func onDesk(t *testing.T, rate int, play func(*stage, *desk)) {
	t.Helper()
	d := &desk{rate: rate}
	onStage(t, func(o *Options) { d.Store, o.Store = o.Store, d }, func(s *stage) { play(s, d) })
}

func TestTaskIsCountedAndListed(t *testing.T) {
	t.Parallel()
	onDesk(t, 500, func(s *stage, d *desk) {
		const users = 1200
		s.crowd(users)
		s.join("u0", "windows") // the second device of a user
		w := s.cast(cluster.Push{Task: "t1"})
		time.Sleep(1200 * time.Millisecond)
		d.set(func() {
			if d.sent < 900 || d.sent > 1100 || len(d.reached) > d.sent || len(d.reached) < 500 {
				t.Errorf("after a second: %d sent, %d listed", d.sent, len(d.reached))
			}
		})
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: users + 1})
		d.wantTold(t, users+1, users) // when the end is reported, all is told
		if w.endAt < 1400*time.Millisecond || w.endAt > 1500*time.Millisecond {
			t.Errorf("ended after %v", w.endAt)
		}
		for _, n := range d.batches {
			if n > taskBatch {
				t.Errorf("a batch of %d users", n)
			}
		}
	})
}

// Java delivers to as many as a window holds before it looks.
func TestTaskCancelledBefore(t *testing.T) {
	t.Parallel()
	onDesk(t, 1, func(s *stage, d *desk) {
		s.crowd(5)
		d.cancel = true
		w := s.cast(cluster.Push{Task: "t1"})
		if r := w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeRejected: 5}); r.Outcome != protocol.OutcomeRejected || w.endAt != 0 {
			t.Errorf("ended as %s after %v", r.Outcome, w.endAt)
		}
		d.wantTold(t, 0, 0)
		if got := s.times(); len(got) != 0 {
			t.Errorf("%d devices got it", len(got))
		}
	})
	onDesk(t, 1, func(s *stage, d *desk) {
		d.cancel = true
		if r := s.cast(cluster.Push{Task: "t1"}).wantEnds(nil); r.Outcome != protocol.OutcomeRejected {
			t.Errorf("to nobody: ended as %s", r.Outcome)
		}
	})
}

func TestTaskCancelledMidway(t *testing.T) {
	t.Parallel()
	onDesk(t, 2, func(s *stage, d *desk) {
		s.crowd(20)
		w := s.cast(cluster.Push{Task: "t1"})
		time.Sleep(2100 * time.Millisecond)
		d.set(func() { d.cancel = true })
		r := <-w.done
		sent := r.Deliveries[protocol.OutcomeSent]
		if w.endAt != 3*time.Second || sent < 6 || sent > 8 || sent+r.Deliveries[protocol.OutcomeRejected] != 20 {
			t.Errorf("ended after %v: %v", w.endAt, r.Deliveries)
		}
		d.wantTold(t, sent, sent)
	})
}

func TestTaskChangesItsRate(t *testing.T) {
	t.Parallel()
	onDesk(t, 1, func(s *stage, d *desk) {
		s.crowd(100)
		w := s.cast(cluster.Push{Task: "t1"})
		time.Sleep(4500 * time.Millisecond)
		d.set(func() { d.rate = 1000 })
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 100})
		if w.endAt < 5*time.Second || w.endAt > 6*time.Second {
			t.Errorf("ended after %v, want it when the rate was read", w.endAt)
		}
	})
	onDesk(t, 1000, func(s *stage, d *desk) { // the push's own rate is lower
		s.crowd(5)
		w := s.cast(cluster.Push{Task: "t1", Rate: 1})
		<-w.done
		if w.endAt != 4*time.Second {
			t.Errorf("ended after %v", w.endAt)
		}
	})
}

func TestTaskGoesOnWithoutTheStore(t *testing.T) {
	t.Parallel()
	onDesk(t, 10, func(s *stage, d *desk) {
		s.crowd(100)
		w := s.cast(cluster.Push{Task: "t1"})
		time.Sleep(1500 * time.Millisecond)
		d.set(func() { d.away = true })
		time.Sleep(4 * time.Second)
		d.set(func() { d.away = false })
		time.Sleep(time.Second)
		d.set(func() {
			if d.sent < 60 || d.sent > 80 {
				t.Errorf("%d are counted a second after the store came back", d.sent)
			}
		})
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 100})
		if w.endAt != 9*time.Second {
			t.Errorf("ended after %v, want the last rate kept", w.endAt)
		}
		d.wantTold(t, 100, 100)
	})
}

// The end is reported without the store, which is told as soon as it is back.
func TestTaskEndsWithoutTheStore(t *testing.T) {
	t.Parallel()
	onDesk(t, 10, func(s *stage, d *desk) {
		s.crowd(15)
		d.away = true
		w := s.cast(cluster.Push{Task: "t1"})
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 15}) // at the default rate
		if w.endAt != 0 {
			t.Errorf("ended after %v", w.endAt)
		}
		time.Sleep(10 * time.Second)
		d.set(func() { d.away = false })
		time.Sleep(2 * time.Second)
		d.wantTold(t, 15, 15)
	})
}

// A store that hangs holds up neither the news of a broadcast nor its end for long.
func TestTaskOfAStoreThatHangs(t *testing.T) {
	t.Parallel()
	onDesk(t, 10, func(s *stage, d *desk) {
		s.crowd(15)
		d.hang = time.Hour
		w := s.cast(cluster.Push{Task: "t1"})
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 15})
		if w.endAt > 2*storeTimeout || len(w.progress) < int(w.endAt/progressInterval)-1 {
			t.Errorf("ended after %v with %d times news", w.endAt, len(w.progress))
		}
		if err := s.Stop(s.t.Context()); err != nil {
			t.Error(err)
		}
		if stopped := time.Since(s.start); stopped > 3*storeTimeout {
			t.Errorf("stopped after %v", stopped)
		}
	})
}

func TestStopMidwayThroughATask(t *testing.T) {
	t.Parallel()
	onDesk(t, 1, func(s *stage, d *desk) {
		s.crowd(7)
		w := s.cast(cluster.Push{Task: "t1"})
		time.Sleep(2500 * time.Millisecond)
		go func() { _ = s.Stop(s.t.Context()) }()
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 3, protocol.OutcomeRejected: 4})
		d.wantTold(t, 3, 3)
	})
}

// A list that the store never takes is bounded.
func TestUsersThatTheStoreDoesNotTakeAreBounded(t *testing.T) {
	t.Parallel()
	k := &task{full: make(chan struct{}, 1)}
	for i := range maxTaskUsers + 10 {
		k.reached(fmt.Sprint(i))
	}
	if len(k.users) != maxTaskUsers || k.dropped != 10 || k.sent != maxTaskUsers+10 {
		t.Errorf("%d users wait, %d found no room, %d are counted", len(k.users), k.dropped, k.sent)
	}
}

// A device that reads late counts when it has read, or not at all.
func TestTaskCountsWhatWasWritten(t *testing.T) {
	t.Parallel()
	onDesk(t, 10, func(s *stage, d *desk) {
		s.crowd(3)
		stuck := s.joinDeaf("deaf")
		w := s.cast(cluster.Push{Task: "t1"})
		time.Sleep(3 * time.Second)
		d.set(func() {
			if d.sent != 3 {
				t.Errorf("%d are counted, want those whose device read", d.sent)
			}
		})
		if len(w.done) > 0 {
			t.Error("ended before the last device read it")
		}
		stuck.close(protocol.CloseSlowAge, false)
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 3, protocol.OutcomeSlow: 1})
		d.wantTold(t, 3, 3)
		synctest.Wait()
	})
}
