package ledger

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func sameMemory(part, whole string) bool { return unsafe.StringData(part) == unsafe.StringData(whole) }

func TestSingleTargetAcked(t *testing.T) {
	b := newRig(Options{Node: "entry", Now: func() time.Time { return at(1) }})
	e := b.accept(t, Request{ID: "m", Ack: protocol.AckBiz})
	e.Reached(protocol.StageRouted, "entry", at(3))
	e.Reached(protocol.StageForwarded, "entry", at(6))
	e.Done(result(protocol.OutcomeAcked, "far", map[protocol.Stage]int{
		protocol.StageQueued: 10, protocol.StageWritten: 15, protocol.StageAcked: 21,
	}))

	s, ok := b.Get("m")
	if !ok || s.Outcome != protocol.OutcomeAcked || s.Node != "far" || s.Latency != 21*time.Millisecond || s.Ended != 1 {
		t.Fatalf("snapshot = %+v", s)
	}
	if s.Outcomes[protocol.OutcomeAcked] != 1 || s.Deliveries[protocol.OutcomeAcked] != 1 {
		t.Errorf("outcomes %v, deliveries %v", s.Outcomes, s.Deliveries)
	}
	checkStages(t, s, []StageTime{
		{protocol.StageAccepted, "entry", at(1)}, {protocol.StageRouted, "entry", at(3)}, {protocol.StageForwarded, "entry", at(6)},
		{protocol.StageQueued, "far", at(10)}, {protocol.StageWritten, "far", at(15)}, {protocol.StageAcked, "far", at(21)},
	})
	b.checkDurations(t, map[string]float64{
		"accepted": .001, "routed": .002, "forwarded": .003, "queued": .004, "written": .005, "acked": .006,
	})
	b.checkDelivery(t, "biz", .021, 1)
	b.checkBooks(t, 1, 0, map[protocol.Outcome]int64{protocol.OutcomeAcked: 1})
}

func checkStages(t *testing.T, s Snapshot, want []StageTime) {
	t.Helper()
	if len(s.Stages) != len(want) {
		t.Fatalf("stages = %+v, want %+v", s.Stages, want)
	}
	for i, w := range want {
		if got := s.Stages[i]; got.Stage != w.Stage || got.Node != w.Node || !got.At.Equal(w.At) {
			t.Errorf("stage %d = %+v, want %+v", i, got, w)
		}
	}
}

// checkDurations wants one observation of each of the stages and none of others.
func (b rig) checkDurations(t *testing.T, want map[string]float64) {
	t.Helper()
	for _, stage := range protocol.Stages() {
		sum, n := b.series(t, "fanfare_stage_duration_seconds", stage.String())
		seconds, reached := want[stage.String()]
		if reached != (n == 1) || math.Abs(sum-seconds) > 1e-9 {
			t.Errorf("stage %s: %v s in %d observations, want %v", stage, sum, n, seconds)
		}
	}
}

func (b rig) checkDelivery(t *testing.T, ack string, seconds float64, count uint64) {
	t.Helper()
	sum, n := b.series(t, "fanfare_delivery_duration_seconds", ack)
	if math.Abs(sum-seconds) > 1e-9 || n != count {
		t.Errorf("delivery with ack %s: %v s in %d observations, want %v in %d", ack, sum, n, seconds, count)
	}
}

func TestStagesShowLive(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m"})
	e.Reached(protocol.StageQueued, "n", at(2))
	e.Reached(protocol.StageQueued, "n", at(3)) // the user's second device
	e.Reached(protocol.StageWritten, "n", at(4))
	e.Reached(protocol.StageWritten, "n", at(5))
	e.Reached(protocol.StageAccepted, "n", at(9)) // the entry point alone knows when
	e.Reached(protocol.Stage(protocol.NumStages), "n", at(9))
	s, _ := b.Get("m")
	checkStages(t, s, []StageTime{
		{protocol.StageAccepted, "", at(0)}, {protocol.StageQueued, "n", at(2)}, {protocol.StageWritten, "n", at(5)},
	})
	if s.Outcome != protocol.OutcomePending || s.Latency != 0 || s.Ended != 0 || s.Node != "" {
		t.Errorf("snapshot before the end = %+v", s)
	}
	e.Done(result(protocol.OutcomeAckTimeout, "n", map[protocol.Stage]int{protocol.StageQueued: 3, protocol.StageWritten: 4}))
	e.Reached(protocol.StageAcked, "n", at(99)) // too late
	s, _ = b.Get("m")
	checkStages(t, s, []StageTime{
		{protocol.StageAccepted, "", at(0)}, {protocol.StageQueued, "n", at(3)}, {protocol.StageWritten, "n", at(4)},
	})
	if s.Latency != 4*time.Millisecond {
		t.Errorf("latency = %v, want until it was written", s.Latency)
	}
	b.checkDelivery(t, "none", 0, 0) // no delivery time without a delivery
}

func TestListKeepsFirstQueuedAndLastWritten(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m", Targets: 4})
	e.Done(result(protocol.OutcomeOffline, "a", nil))
	e.Done(result(protocol.OutcomeSent, "b", map[protocol.Stage]int{
		protocol.StageRouted: 1, protocol.StageQueued: 7, protocol.StageWritten: 8,
	}))
	if s := e.Snapshot(); s.Outcome != protocol.OutcomePending || s.Ended != 2 || s.Targets != 4 {
		t.Errorf("half way: %+v", s)
	}
	e.Done(result(protocol.OutcomeSent, "c", map[protocol.Stage]int{
		protocol.StageRouted: 2, protocol.StageQueued: 5, protocol.StageWritten: 11,
	}))
	e.Done(result(protocol.OutcomeFiltered, "d", map[protocol.Stage]int{protocol.StageRouted: 3}))
	s := e.Snapshot()
	checkStages(t, s, []StageTime{
		{protocol.StageAccepted, "", at(0)}, {protocol.StageRouted, "b", at(1)},
		{protocol.StageQueued, "c", at(5)}, {protocol.StageWritten, "c", at(11)},
	})
	if s.Outcome != protocol.OutcomeSent || s.Node != "b" || s.Latency != 11*time.Millisecond {
		t.Errorf("snapshot = %+v", s)
	}
	want := [protocol.NumOutcomes]int{protocol.OutcomeOffline: 1, protocol.OutcomeSent: 2, protocol.OutcomeFiltered: 1}
	if s.Outcomes != want || s.Deliveries != want {
		t.Errorf("outcomes %v, deliveries %v; want %v", s.Outcomes, s.Deliveries, want)
	}
	b.checkDurations(t, map[string]float64{"accepted": 0, "routed": .001, "queued": .004, "written": .006})
	b.checkDelivery(t, "none", .011, 1)
	b.checkBooks(t, 4, 0, map[protocol.Outcome]int64{
		protocol.OutcomeOffline: 1, protocol.OutcomeSent: 2, protocol.OutcomeFiltered: 1,
	})
}

func TestBroadcastEndsOnce(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m", Broadcast: true})
	r := result(protocol.OutcomeSent, "n", nil)
	r.Deliveries[protocol.OutcomeSent], r.Deliveries[protocol.OutcomeSlow] = 9000, 3
	e.Done(r)
	s := e.Snapshot()
	if s.Outcome != protocol.OutcomeSent || s.Deliveries[protocol.OutcomeSent] != 9000 || s.Deliveries[protocol.OutcomeSlow] != 3 {
		t.Errorf("snapshot = %+v", s)
	}
	b.checkBooks(t, 1, 0, map[protocol.Outcome]int64{protocol.OutcomeSent: 1})
}

func TestDoneTooOftenChangesNothing(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m", Targets: 2})
	e.Done(result(protocol.OutcomeSent, "n", nil))
	e.Done(result(protocol.OutcomeOffline, "n", nil))
	before := e.Snapshot()
	for range 3 {
		e.Done(result(protocol.OutcomeAcked, "other", map[protocol.Stage]int{protocol.StageAcked: 1}))
	}
	if after := e.Snapshot(); after.Outcomes != before.Outcomes || after.Deliveries != before.Deliveries ||
		after.Outcome != before.Outcome || after.Node != before.Node || len(after.Stages) != len(before.Stages) {
		t.Errorf("after = %+v, before = %+v", after, before)
	}
	b.checkBooks(t, 2, 0, map[protocol.Outcome]int64{protocol.OutcomeSent: 1, protocol.OutcomeOffline: 1})
}

func TestDoneWithoutAnOutcomeIsAFailure(t *testing.T) {
	for _, o := range []protocol.Outcome{protocol.OutcomePending, protocol.Outcome(protocol.NumOutcomes), 255} {
		b := newRig(Options{})
		b.accept(t, Request{ID: "m"}).Done(cluster.Result{Outcome: o})
		b.checkBooks(t, 1, 0, map[protocol.Outcome]int64{protocol.OutcomeFailed: 1})
	}
}

func TestWaitIsReleasedByTheLastTarget(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m", Targets: 2})
	if e.done != nil {
		t.Error("a channel without anybody waiting")
	}
	e.Done(result(protocol.OutcomeOffline, "n", nil))
	waiters, ended := sync.WaitGroup{}, make(chan Snapshot, 3)
	for range cap(ended) {
		waiting := e.waiting() // from here on a waiter would be missed by nobody
		waiters.Go(func() {
			<-waiting
			s, complete := e.Wait(context.Background())
			if !complete {
				t.Error("Wait without a deadline returned before the end")
			}
			ended <- s
		})
	}
	select {
	case s := <-ended:
		t.Fatalf("released with %d of 2 targets ended", s.Ended)
	default:
	}
	e.Done(result(protocol.OutcomeSent, "n", nil))
	waiters.Wait()
	for range cap(ended) {
		if s := <-ended; s.Outcome != protocol.OutcomeSent || s.Ended != 2 {
			t.Errorf("waiter got %+v", s)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	b := newRig(Options{})
	e := b.accept(t, Request{ID: "m"})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if s, complete := e.Wait(ctx); complete || s.Outcome != protocol.OutcomePending || s.ID != "m" {
		t.Errorf("Wait = %+v, %v", s, complete)
	}
	e.Done(result(protocol.OutcomeSent, "n", nil))
	if s, complete := e.Wait(ctx); !complete || s.Outcome != protocol.OutcomeSent {
		t.Errorf("Wait after the end = %+v, %v; a dead context does not matter then", s, complete)
	}
}

// Who is released by Wait must find the books, the metrics and the durations
// written: a sender that was answered can look them up at once.
func TestWaitComesAfterTheBooks(t *testing.T) {
	b := newRig(Options{})
	for i := range 200 {
		e := b.accept(t, Request{ID: string(rune('a' + i)), Targets: 2})
		var targets sync.WaitGroup
		for range 2 {
			targets.Go(func() {
				e.Done(result(protocol.OutcomeSent, "n", map[protocol.Stage]int{protocol.StageWritten: 1}))
			})
		}
		if _, complete := e.Wait(t.Context()); !complete {
			t.Fatal("not complete")
		}
		s := b.m.Snapshot()
		if n := int64(2 * (i + 1)); b.Books().Ended[protocol.OutcomeSent] != n || s.Messages[protocol.OutcomeSent] != uint64(n) || s.MessagesInFlight != 0 {
			t.Fatalf("after %d messages: books %+v, metrics %+v", i+1, b.Books(), s)
		}
		if _, n := b.series(t, "fanfare_delivery_duration_seconds", "none"); n != uint64(i+1) {
			t.Fatalf("%d delivery times after %d messages", n, i+1)
		}
		targets.Wait()
	}
}
