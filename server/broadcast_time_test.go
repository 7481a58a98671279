package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func unpaced(*Options) {}

// Seven users at one a second: where Java delivers and never answers.
func TestBroadcastAtOneASecond(t *testing.T) {
	t.Parallel()
	onStage(t, unpaced, func(s *stage) {
		s.crowd(7)
		w := s.cast(cluster.Push{Rate: 1})
		r := w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 7})
		synctest.Wait()
		want := []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second, 6 * time.Second}
		if got := s.times(); !slices.Equal(got, want) {
			t.Errorf("delivered at %v, want one a second", got)
		}
		if r.Outcome != protocol.OutcomeSent || w.endAt != 6*time.Second {
			t.Errorf("ended as %s after %v", r.Outcome, w.endAt)
		}
	})
}

func TestBroadcastProgress(t *testing.T) {
	t.Parallel()
	onStage(t, unpaced, func(s *stage) {
		s.crowd(7)
		w := s.cast(cluster.Push{Rate: 1})
		<-w.done
		if len(w.progress) < 11 || len(w.progress) > 12 { // every half second in six seconds
			t.Errorf("told %d times, at %v", len(w.progress), w.at)
		}
		for i, r := range w.progress {
			sent := r.Deliveries[protocol.OutcomeSent]
			most := 1 + int(w.at[i]/time.Second)
			if r.Node != "node-1" || r.Outcome != protocol.OutcomePending || sent > most || sent < most-1 {
				t.Errorf("at %v: %+v", w.at[i], r)
			}
		}
	})
}

// The first second's worth leaves at once, the rest evenly.
func TestBroadcastIsPacedEvenly(t *testing.T) {
	t.Parallel()
	const users, rate = 700, 100
	onStage(t, func(o *Options) { o.Limits.BroadcastRate = rate }, func(s *stage) {
		s.crowd(users)
		s.cast(cluster.Push{}).wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: users})
		synctest.Wait()
		times := s.times()
		for i, at := range times {
			due := time.Duration(max(0, i+1-rate)) * time.Second / rate
			if at < due || at > due+2*flowSlice {
				t.Fatalf("delivery %d at %v, want it at %v and not much later", i+1, at, due)
			}
		}
		for user, list := range s.got {
			if len(list) != 1 {
				t.Errorf("%s got it %d times", user, len(list))
			}
		}
	})
}

func TestRateOfABroadcast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit, rate int
		want        time.Duration // of 20 users
	}{
		{0, 0, 0}, {10, 0, time.Second}, {10, -1, 0}, {10, 5, 3 * time.Second}, {0, 5, 3 * time.Second}, {10, 40, 0}, {20, 0, 0},
	} {
		onStage(t, func(o *Options) { o.Limits.BroadcastRate = c.limit }, func(s *stage) {
			s.crowd(20)
			w := s.cast(cluster.Push{Rate: c.rate})
			w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 20})
			if w.endAt != c.want {
				t.Errorf("limit %d, rate %d: ended after %v, want %v", c.limit, c.rate, w.endAt, c.want)
			}
		})
	}
}

func TestFilteredConnectionsAreFree(t *testing.T) {
	t.Parallel()
	for _, ack := range []protocol.AckMode{protocol.AckNone, protocol.AckBiz} {
		onStage(t, unpaced, func(s *stage) {
			s.crowd(50)
			for i := range 3 {
				s.join(fmt.Sprint("pc", i), "windows")
			}
			w := s.cast(cluster.Push{Rate: 2, Ack: ack, AckTimeout: time.Second, ClientTypes: []protocol.ClientType{protocol.ClientPC}})
			end := protocol.OutcomeSent
			if ack != protocol.AckNone {
				end = protocol.OutcomeAckTimeout
			}
			w.wantEnds(map[protocol.Outcome]int{end: 3, protocol.OutcomeFiltered: 50})
			if last := s.times()[2]; last != 500*time.Millisecond {
				t.Errorf("the third of two a second got it at %v", last)
			}
		})
	}
}

func TestCancelBroadcast(t *testing.T) {
	t.Parallel()
	onStage(t, unpaced, func(s *stage) {
		s.crowd(7)
		w := s.cast(cluster.Push{Rate: 1})
		time.Sleep(2500 * time.Millisecond)
		s.Cancel("another")
		s.Cancel("m")
		s.Cancel("m")
		r := w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 3, protocol.OutcomeRejected: 4})
		s.Cancel("m")
		if w.endAt != 2500*time.Millisecond || r.Outcome != protocol.OutcomeSent {
			t.Errorf("ended as %s after %v, want at once", r.Outcome, w.endAt)
		}
		for o, want := range map[protocol.Outcome]float64{protocol.OutcomeSent: 3, protocol.OutcomeRejected: 4} {
			if got := testutil.ToFloat64(s.metrics.Deliveries(o)); got != want {
				t.Errorf("%v deliveries counted as %s, want %v", got, o, want)
			}
		}
		if n := testutil.ToFloat64(s.metrics.BroadcastsRunning); n != 0 {
			t.Errorf("%v broadcasts run", n)
		}
	})
}

// A node that stops ends a broadcast at once, and counts everybody.
func TestStopMidwayThroughABroadcast(t *testing.T) {
	t.Parallel()
	onStage(t, unpaced, func(s *stage) {
		s.crowd(7)
		w := s.cast(cluster.Push{Rate: 1})
		time.Sleep(2500 * time.Millisecond)
		go func() { _ = s.Stop(s.t.Context()) }()
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: 3, protocol.OutcomeRejected: 4})
		if w.endAt != 2500*time.Millisecond {
			t.Errorf("ended after %v, want at once", w.endAt)
		}
	})
}

// Stopping or cancelling one that nobody paces leaves nobody uncounted either.
func TestStopAndCancelWithoutARate(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*stage){
		"cancel": func(s *stage) { s.Cancel("m") },
		"stop":   func(s *stage) { go func() { _ = s.Stop(s.t.Context()) }() },
	} {
		onStage(t, unpaced, func(s *stage) {
			const users = broadcastChunk + 500
			s.crowd(users)
			h := &halfway{at: users / 2, then: func() { end(s); time.Sleep(time.Second) }}
			r := <-s.cast(cluster.Push{Rate: -1, Condition: h}).done
			sent, rejected := r.Deliveries[protocol.OutcomeSent], r.Deliveries[protocol.OutcomeRejected]
			offline := r.Deliveries[protocol.OutcomeOffline] // closed before the last byte had left
			if sent+rejected+offline != users || sent < users/2 || rejected == 0 || offline > 0 && name == "cancel" {
				t.Errorf("%s: %d sent, %d rejected and %d offline of %d", name, sent, rejected, offline, users)
			}
		})
	}
}

// halfway is a condition that does something when it was asked a number of times.
type halfway struct {
	at, asked int
	then      func()
}

func (h *halfway) String() string { return "halfway" }

func (h *halfway) Match(cluster.Facts) bool {
	if h.asked++; h.asked == h.at {
		h.then()
	}
	return true
}

// A broadcast comes to each user once, on the devices the user has then.
func TestDevicesThatComeAndGoDuringABroadcast(t *testing.T) {
	t.Parallel()
	onStage(t, unpaced, func(s *stage) {
		const users = 8
		conns := s.crowd(users)
		w := s.cast(cluster.Push{Rate: 1})
		time.Sleep(3500 * time.Millisecond) // four have it
		var leaves int
		for i, c := range conns {
			user := fmt.Sprint("u", i)
			if len(s.received(user)) == 1 || leaves > 0 {
				s.join(user) // the device comes back on a new connection
				c.close(protocol.CloseReplaced, false)
				continue
			}
			leaves++
			c.close(protocol.ClosePeer, false)
		}
		w.wantEnds(map[protocol.Outcome]int{protocol.OutcomeSent: users - 1})
		synctest.Wait()
		for i := range users {
			user := fmt.Sprint("u", i)
			if got := len(s.received(user)); got != 1 && !(got == 0 && leaves == 1) {
				t.Errorf("%s got it %d times", user, got)
			}
		}
	})
}

// Who stays gets it exactly once, whatever others do.
func TestPacedBroadcastUnderChurn(t *testing.T) {
	t.Parallel()
	onStage(t, unpaced, func(s *stage) {
		const users = 200
		for i := range users {
			user := fmt.Sprint("u", i)
			s.join(user)
			s.join(user, "windows")
		}
		w := s.cast(cluster.Push{Rate: 100})
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				for n := range 20 {
					c := s.join(fmt.Sprint("guest", i))
					time.Sleep(time.Duration(1+rand.IntN(150)) * time.Millisecond)
					c.close(protocol.ClosePeer, false)
					_ = n
				}
			})
		}
		r := <-w.done
		wg.Wait()
		synctest.Wait()
		for i := range users {
			if got := s.got[fmt.Sprint("u", i)]; len(got) != 2 || got[0].class == got[1].class {
				t.Errorf("u%d got %v, want one on each device", i, got)
			}
		}
		if total := len(s.times()); r.Deliveries[protocol.OutcomeSent] < 2*users || r.Deliveries[protocol.OutcomeSent] < total {
			t.Errorf("%d reported as sent, %d arrived", r.Deliveries[protocol.OutcomeSent], total)
		}
	})
}

func TestBroadcastToNobodyEndsAtOnce(t *testing.T) {
	t.Parallel()
	onStage(t, unpaced, func(s *stage) {
		w := s.cast(cluster.Push{Rate: 1})
		if r := w.wantEnds(nil); r.Outcome != protocol.OutcomeOffline || w.endAt != 0 {
			t.Errorf("ended as %s after %v", r.Outcome, w.endAt)
		}
	})
}
