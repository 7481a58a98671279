package server

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	b := newBucket(10, start)
	for _, step := range []struct {
		at         time.Duration
		take, left int
		wait       time.Duration
	}{
		{0, 10, 0, 100 * time.Millisecond},                           // a second's worth at once
		{99 * time.Millisecond, 0, 0, time.Millisecond},              // then one by one
		{100 * time.Millisecond, 3, 0, 300 * time.Millisecond},       // two are owed
		{400 * time.Millisecond, 0, 1, 0},                            // and paid
		{time.Hour, 0, 10, 0},                                        // a second's worth at most
		{time.Hour - time.Second, 0, 10, 0},                          // a clock that was set back takes nothing
		{time.Hour + time.Nanosecond, 10, 0, 100 * time.Millisecond}, // nothing is rounded away
		{time.Hour + time.Nanosecond + 100*time.Millisecond, 0, 1, 0},
	} {
		b.available(at(step.at))
		b.take(step.take)
		if left := b.available(at(step.at)); left != step.left || b.wait() != step.wait {
			t.Fatalf("at %v after taking %d: %d left and a wait of %v, want %d and %v", step.at, step.take, left, b.wait(), step.left, step.wait)
		}
	}
	b = newBucket(1_000_000, start)
	b.setRate(2, start)
	if left := b.available(start); left != 2 {
		t.Errorf("%d are left after the rate fell to 2", left)
	}
	b = newBucket(1000, start)
	b.take(1000)
	if b.wait() != flowSlice {
		t.Errorf("1,000 a second leave in slices of %v", b.wait())
	}
}

// send pushes numbered messages to a user.
func (s *stage) send(user string, from, to int) (all []*watcher) {
	for i := from; i <= to; i++ {
		w := s.watch()
		s.Push(&cluster.Push{ID: fmt.Sprint("m", i), Content: fmt.Append(nil, "m", i)}, user, w)
		all = append(all, w)
	}
	return all
}

// Java lets m6 and m7 overtake m5.
func TestPushesOfAUserKeepTheirOrder(t *testing.T) {
	t.Parallel()
	onStage(t, func(o *Options) { o.Limits.UnicastRate = 100 }, func(s *stage) {
		s.join("alice")
		all := s.send("alice", 1, 200)
		time.Sleep(400 * time.Millisecond)
		for i := 201; i <= 300; i++ { // while others wait, at all times between their turns
			all = append(all, s.send("alice", i, i)...)
			time.Sleep(7 * time.Millisecond)
		}
		for _, w := range all {
			w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 1})
		}
		synctest.Wait()
		for i, content := range s.received("alice") {
			if content != fmt.Sprint("m", i+1) {
				t.Fatalf("got %v", s.received("alice"))
			}
		}
		times := s.times()
		if len(times) != 300 || times[99] != 0 || times[100] == 0 || times[299] < 2*time.Second || times[299] > 2*time.Second+2*flowSlice {
			t.Errorf("%d arrived at %v, want 100 at once and 100 a second from then on", len(times), times)
		}
		if n := testutil.ToFloat64(s.metrics.FlowWaiting); n != 0 {
			t.Errorf("%v are still said to wait", n)
		}
		time.Sleep(time.Second)
		s.send("alice", 301, 301) // nothing waits: it passes
		synctest.Wait()
		if got := s.received("alice"); got[len(got)-1] != "m301" {
			t.Error("a push was held back for nothing")
		}
	})
}

func TestPushesBeyondTheQueueAreRejected(t *testing.T) {
	t.Parallel()
	onStage(t, func(o *Options) { o.Limits.UnicastRate, o.Limits.UnicastQueue = 2, 3 }, func(s *stage) {
		s.join("alice")
		all := s.send("alice", 1, 7)
		if n := testutil.ToFloat64(s.metrics.FlowWaiting); n != 3 {
			t.Errorf("%v are said to wait, want 3", n)
		}
		for i, w := range all[5:] {
			if r := w.wantEnds(nil); r.Outcome != protocol.OutcomeRejected || w.endAt != 0 || r.Node != "node-1" {
				t.Errorf("push %d: %+v after %v", i+6, r, w.endAt)
			}
		}
		if r := s.send("nobody", 1, 1)[0].wantEnds(nil); r.Outcome != protocol.OutcomeOffline {
			t.Errorf("a push to nobody ended as %s: it needs no permit", r.Outcome)
		}
		for _, w := range all[:5] {
			w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 1})
		}
		if all[4].endAt != 1500*time.Millisecond {
			t.Errorf("the last ended after %v", all[4].endAt)
		}
		for _, w := range s.send("alice", 8, 8) { // there is room again
			w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 1})
		}
	})
}

func TestPushesWaitWhenTheNodeStops(t *testing.T) {
	t.Parallel()
	onStage(t, func(o *Options) { o.Limits.UnicastRate = 1 }, func(s *stage) {
		s.join("alice")
		all := s.send("alice", 1, 4)
		time.Sleep(1500 * time.Millisecond)
		if err := s.Stop(s.t.Context()); err != nil {
			t.Fatal(err)
		}
		var ends []protocol.Outcome
		for _, w := range append(all, s.send("alice", 5, 5)...) {
			ends = append(ends, (<-w.done).Outcome)
		}
		want := []protocol.Outcome{protocol.OutcomeSent, protocol.OutcomeSent, protocol.OutcomeRejected, protocol.OutcomeRejected, protocol.OutcomeOffline}
		if !slices.Equal(ends, want) || testutil.ToFloat64(s.metrics.FlowWaiting) != 0 {
			t.Errorf("ended as %v, want %v", ends, want)
		}
	})
}

// A push waits for three seconds at most, and not beyond the time its sender waits.
func TestPushesWaitOnlySoLong(t *testing.T) {
	t.Parallel()
	onStage(t, func(o *Options) { o.Limits.UnicastRate = 10 }, func(s *stage) {
		s.join("alice")
		all := s.send("alice", 1, 41)
		if r := all[40].wantEnds(nil); r.Outcome != protocol.OutcomeRejected || all[40].endAt != 0 {
			t.Errorf("one that would wait too long: %s after %v", r.Outcome, all[40].endAt)
		}
		if all[39].wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 1}); all[39].endAt != flowPatience {
			t.Errorf("the last ended after %v", all[39].endAt)
		}
		late, w := &cluster.Push{ID: "late", Content: []byte("late"), Deadline: time.Now().Add(50 * time.Millisecond)}, s.watch()
		s.Push(late, "alice", w)
		if r := w.wantEnds(nil); r.Outcome != protocol.OutcomeRejected {
			t.Errorf("one that nobody waits for any more: %s", r.Outcome)
		}
		synctest.Wait()
		if got := s.received("alice"); len(got) != 40 {
			t.Errorf("%d arrived", len(got))
		}
	})
}

// Whoever sends at the same time, each user's pushes stay in order.
func TestFlowOfManySenders(t *testing.T) {
	t.Parallel()
	onStage(t, func(o *Options) { o.Limits.UnicastRate = 100 }, func(s *stage) {
		const users, each = 10, 30
		s.crowd(users)
		all := make(chan []*watcher, users)
		for i := range users {
			go func() { all <- s.send(fmt.Sprint("u", i), 1, each) }()
		}
		for range users {
			for _, w := range <-all {
				w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 1})
			}
		}
		synctest.Wait()
		for i := range users {
			got := s.received(fmt.Sprint("u", i))
			for j, content := range got {
				if content != fmt.Sprint("m", j+1) || len(got) != each {
					t.Fatalf("u%d got %v", i, got)
				}
			}
		}
		if last := s.times()[users*each-1]; last < 2*time.Second || last > 2*time.Second+2*flowSlice {
			t.Errorf("300 pushes at 100 a second took %v", last)
		}
	})
}

// The rate of a task is whatever somebody wrote into Redis.
func TestBucketOfAnyRate(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{math.MaxInt, math.MaxInt32, math.MaxUint32} {
		start := time.Now()
		b := newBucket(rate, start)
		set := newBucket(1, start)
		set.setRate(rate, start)
		for i := range 10 {
			now := start.Add(time.Duration(i) * 5 * time.Second)
			if n := b.available(now); n <= 0 {
				t.Errorf("rate %d: %d permits after %v", rate, n, now.Sub(start))
			}
			if n := set.available(now); n <= 0 || set.wait() < 0 {
				t.Errorf("set to %d: %d permits after %v", rate, n, now.Sub(start))
			}
		}
	}
}
