package cluster

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

func counts(sent, filtered int) (d [protocol.NumOutcomes]int) {
	d[protocol.OutcomeSent], d[protocol.OutcomeFiltered] = sent, filtered
	return d
}

func TestABroadcastAddsUpItsNodes(t *testing.T) {
	t.Parallel()
	a, b := node("a"), node("b")
	d := node("d").change(func(i *Info) { i.State = Draining })
	lost := node("lost").change(func(i *Info) { i.State = Lost })
	r := newRig(t, d, a, lost, b)
	early := time.Now()
	late := early.Add(time.Second)
	var kept Tracker
	a.answer = func(h handed) {
		h.t.Progress(Result{Node: "whatever", Outcome: protocol.OutcomeSent, Deliveries: counts(1, 0)})
		h.t.Done(Result{Outcome: protocol.OutcomeSent, Deliveries: counts(2, 1),
			Stages: [protocol.NumStages]time.Time{protocol.StageQueued: early, protocol.StageWritten: early}})
		h.t.Progress(Result{Deliveries: counts(7, 7)})
		h.t.Done(Result{Outcome: protocol.OutcomeAcked})
	}
	b.answer = func(h handed) { kept = h.t }
	e := &ends{}
	r.Broadcast(push(), e)
	if len(e.all()) > 0 {
		t.Fatal("done before every node was")
	}
	kept.Done(Result{Outcome: protocol.OutcomeSent, Deliveries: counts(4, 0),
		Stages: [protocol.NumStages]time.Time{protocol.StageQueued: late, protocol.StageWritten: late}})
	got := e.wait(t, 1)[0]
	if got.Outcome != protocol.OutcomeSent || got.Deliveries != counts(7, 1) { // one of d
		t.Errorf("result %+v", got)
	}
	if !got.Stages[protocol.StageQueued].Equal(early) || !got.Stages[protocol.StageWritten].Equal(late) {
		t.Errorf("stages %v", got.Stages)
	}
	if !slices.Equal(e.routed, []string{"a", "b", "d"}) {
		t.Errorf("nodes in the order %v, want the draining one last and no lost one", e.routed)
	}
	var told []string
	for _, p := range e.told() {
		told = append(told, fmt.Sprint(p.Node, " ", p.Outcome, " ", p.Deliveries[protocol.OutcomeSent]))
	}
	if want := []string{"a pending 1", "a sent 2", "d sent 1", "b sent 4"}; !slices.Equal(told, want) || e.late > 0 {
		t.Errorf("progress %q, %d late; want %q", told, e.late, want)
	}
}

func TestTheOutcomeOfABroadcast(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		results []Result
		want    protocol.Outcome
	}{
		"somebody got it":      {[]Result{{Outcome: protocol.OutcomeFiltered, Deliveries: counts(0, 9)}, {Outcome: protocol.OutcomeSent, Deliveries: counts(1, 0)}}, protocol.OutcomeSent},
		"nobody matched":       {[]Result{{Outcome: protocol.OutcomeFiltered, Deliveries: counts(0, 9)}, {Outcome: protocol.OutcomeOffline}}, protocol.OutcomeFiltered},
		"most were filtered":   {[]Result{{Outcome: protocol.OutcomeSlow, Deliveries: [protocol.NumOutcomes]int{protocol.OutcomeSlow: 1}}, {Outcome: protocol.OutcomeFiltered, Deliveries: counts(0, 2)}}, protocol.OutcomeFiltered},
		"nobody is there":      {[]Result{{Outcome: protocol.OutcomeOffline}, {Outcome: protocol.OutcomeOffline}}, protocol.OutcomeOffline},
		"the nodes were busy":  {[]Result{{Outcome: protocol.OutcomeRejected}, {Outcome: protocol.OutcomeOffline}}, protocol.OutcomeRejected},
		"a node says nothing":  {[]Result{{}}, protocol.OutcomeFailed},
		"never reached a node": {[]Result{{Outcome: protocol.OutcomeNodeLost, Unsent: true}}, protocol.OutcomeNodeLost},
	} {
		r := newRig(t, nil)
		for i, res := range test.results {
			n := node(fmt.Sprint("n", i))
			n.answer = func(h handed) { h.t.Done(res) }
			r.members.list = append(r.members.list, n)
		}
		e := &ends{}
		r.Broadcast(push(), e)
		if got := e.wait(t, 1)[0]; got.Outcome != test.want || got.Unsent {
			t.Errorf("%s: %+v, want %v", name, got, test.want)
		}
	}
}

func TestABroadcastToNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, node("lost").change(func(i *Info) { i.State = Lost }))
	e := &ends{}
	r.Broadcast(push(), e)
	r.want(e.wait(t, 1)[0], protocol.OutcomeOffline, "")
	r.members.blind = true
	r.Broadcast(push(), e)
	r.want(e.wait(t, 2)[1], protocol.OutcomeFailed, "")
}

// TestABroadcastDoesNotWaitForSilentNodes: one that goes on telling is not silent.
func TestABroadcastDoesNotWaitForSilentNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := node("a"), node("b")
		r := newRig(t, nil, a, b)
		a.answer = func(handed) {}
		var teller sync.WaitGroup
		b.answer = func(h handed) {
			teller.Go(func() {
				for i := range 5 {
					time.Sleep(castSilence - time.Second)
					h.t.Progress(Result{Deliveries: counts(i, 0)})
				}
				h.end(protocol.OutcomeSent)
			})
		}
		e := &ends{}
		r.Broadcast(push(), e)
		time.Sleep(castSilence + time.Minute)
		if got := e.told(); len(got) != 2 || got[0].Node != "b" || got[1].Node != "a" || got[1].Outcome != protocol.OutcomeNodeLost {
			t.Errorf("progress %+v, want a word of b and the end of a", got)
		}
		teller.Wait()
		if got := e.wait(t, 1)[0]; got.Outcome != protocol.OutcomeSent || got.Deliveries != counts(1, 0) {
			t.Errorf("result %+v", got)
		}
		a.pushes()[0].end(protocol.OutcomeSent)
		e.wait(t, 1)
	})
}

// TestProgressStaysInOrder: however many goroutines a node tells it from, nothing comes
// after the node's end, and nothing of anybody after the end of all.
func TestProgressStaysInOrder(t *testing.T) {
	t.Parallel()
	const nodes, tellers, tellings = 4, 8, 200
	r := newRig(t, nil)
	var wg sync.WaitGroup
	for i := range nodes {
		n := node(fmt.Sprint("n", i))
		n.answer = func(h handed) {
			var own sync.WaitGroup
			for range tellers {
				own.Go(func() {
					for range tellings {
						h.t.Progress(Result{Deliveries: counts(1, 0)})
					}
				})
			}
			wg.Go(func() { h.end(protocol.OutcomeSent) })
			wg.Go(own.Wait)
		}
		r.members.list = append(r.members.list, n)
	}
	e := &ends{}
	r.Broadcast(push(), e)
	wg.Wait()
	if got := e.wait(t, 1)[0]; got.Deliveries != counts(nodes, 0) || e.late > 0 {
		t.Errorf("result %+v, %d late", got, e.late)
	}
	over := map[string]bool{}
	for _, p := range e.told() {
		if over[p.Node] {
			t.Fatalf("%s told more after its end", p.Node)
		}
		over[p.Node] = p.Outcome != protocol.OutcomePending
	}
	if len(over) != nodes {
		t.Errorf("%d nodes told of themselves", len(over))
	}
}
