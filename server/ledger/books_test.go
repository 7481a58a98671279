package ledger

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// attempt is one thing a goroutine does in the property test: accept a message and
// then end its targets, perhaps too often, perhaps not all.
type attempt struct {
	request Request
	ends    []protocol.Outcome
}

func attempts() *rapid.Generator[attempt] {
	return rapid.Custom(func(t *rapid.T) attempt {
		targets := rapid.IntRange(1, 4).Draw(t, "targets")
		a := attempt{request: Request{
			ID:        fmt.Sprintf("m%d", rapid.IntRange(0, 30).Draw(t, "id")),
			Digest:    [32]byte{byte(rapid.IntRange(0, 1).Draw(t, "digest"))},
			Source:    exporter.Source(rapid.IntRange(0, 3).Draw(t, "source")),
			Broadcast: rapid.Bool().Draw(t, "broadcast"),
			Targets:   targets, Received: noon,
		}}
		for range rapid.IntRange(0, targets+1).Draw(t, "ends") {
			a.ends = append(a.ends, protocol.Outcome(rapid.IntRange(1, protocol.NumOutcomes-1).Draw(t, "outcome")))
		}
		return a
	})
}

// tally is what the goroutines of the property test expect of the books.
type tally struct{ accepted, ended, collapsed, conflicts atomic.Int64 }

func (a attempt) run(l *Ledger, sums *tally) error {
	e, existing, err := l.Accept(a.request)
	targets := int64(a.request.Targets)
	if a.request.Broadcast {
		targets = 1
	}
	if err != nil {
		sums.conflicts.Add(1)
		return nil
	}
	sums.accepted.Add(targets)
	if existing {
		sums.collapsed.Add(targets)
		return nil
	}
	for _, o := range a.ends {
		e.Reached(protocol.StageQueued, "n", at(1))
		e.Progress(cluster.Result{Node: "far " + o.String()})
		e.Done(cluster.Result{Node: "n", Outcome: o})
	}
	counted := min(int64(len(a.ends)), targets)
	sums.ended.Add(counted)
	if s := e.Snapshot(); int64(s.Ended) != counted || (s.Outcome != protocol.OutcomePending) != (counted == targets) {
		return fmt.Errorf("%+v with ends %v left %+v", a.request, a.ends, s)
	}
	return nil
}

func TestBooksAlwaysBalance(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newRig(Options{Messages: rapid.IntRange(1, 20).Draw(rt, "kept")})
		workers := rapid.SliceOfN(rapid.SliceOfN(attempts(), 1, 30), 1, 6).Draw(rt, "attempts of each goroutine")
		var sums tally
		var running sync.WaitGroup
		errs := make(chan error, len(workers)) // one each, the first
		for _, todo := range workers {
			running.Go(func() { errs <- runAll(todo, b.Ledger, &sums) })
		}
		for range 20 {
			if books := b.Books(); books.Accepted != books.InFlight+sumEnded(books) {
				rt.Fatalf("under way: %+v does not balance", books)
			}
			runtime.Gosched()
		}
		running.Wait()
		for range workers {
			if err := <-errs; err != nil {
				rt.Fatal(err)
			}
		}
		checkTally(rt, b, &sums)
		b.checkMetrics(t)
		checkIndex(rt, b.Ledger)
	})
}

func runAll(todo []attempt, l *Ledger, sums *tally) error {
	for _, a := range todo {
		if err := a.run(l, sums); err != nil {
			return err
		}
	}
	return nil
}

func checkTally(t *rapid.T, b rig, sums *tally) {
	books := b.Books()
	if books.Accepted != sums.accepted.Load() || sumEnded(books) != sums.ended.Load()+sums.collapsed.Load() {
		t.Fatalf("books %+v, but accepted %d, ended %d, collapsed %d",
			books, sums.accepted.Load(), sums.ended.Load(), sums.collapsed.Load())
	}
}

// checkIndex wants the index, the two lists and the byte count to agree.
func checkIndex(t *rapid.T, l *Ledger) {
	var n int
	var size int64
	for _, q := range []*list{&l.open, &l.ended} {
		for e := q.first; e != nil; e = e.next {
			if l.known[e.id] != e || e.in != q || e.complete != (q == &l.ended) {
				t.Fatalf("page %q is in the wrong place", e.id)
			}
			n++
			size += e.size()
		}
	}
	if n != len(l.known) || n > l.options.Messages || size != l.bytes {
		t.Fatalf("%d pages of %d bytes listed, %d of %d bytes indexed, bound %d", n, size, len(l.known), l.bytes, l.options.Messages)
	}
}

// life takes a message through its six stages.
func life(l *Ledger, id string, r *cluster.Result) {
	e, _, err := l.Accept(Request{ID: id, Targets: 1, Ack: protocol.AckAuto, Received: noon})
	if err != nil {
		panic(err)
	}
	for stage := protocol.StageRouted; stage <= protocol.StageWritten; stage++ {
		e.Reached(stage, "n", noon.Add(time.Duration(stage)*time.Millisecond))
	}
	e.Done(*r)
}

func TestLifeOfAMessageCostsTwoAllocations(t *testing.T) {
	const messages = 2000
	l := newRig(Options{Messages: messages}).Ledger
	r := result(protocol.OutcomeAcked, "n", map[protocol.Stage]int{protocol.StageWritten: 4, protocol.StageAcked: 5})
	ids := make([]string, 3*messages)
	for i := range ids {
		ids[i] = fmt.Sprint("message-", i)
	}
	for i := range 2 * messages { // fill, so that each further one replaces another
		life(l, ids[i], &r)
	}
	next := 2 * messages
	perLife := testing.AllocsPerRun(messages/2, func() { life(l, ids[next], &r); next++ })
	if perLife > 2 { // the page and its id
		t.Errorf("%v allocations for a message, want 2", perLife)
	}
}

func BenchmarkLife(b *testing.B) {
	l := newRig(Options{}).Ledger
	r := result(protocol.OutcomeAcked, "n", map[protocol.Stage]int{protocol.StageWritten: 4, protocol.StageAcked: 5})
	ids := benchIDs(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		life(l, ids[i], &r)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkLifeParallel(b *testing.B) {
	l := newRig(Options{}).Ledger
	r := result(protocol.OutcomeAcked, "n", map[protocol.Stage]int{protocol.StageWritten: 4, protocol.StageAcked: 5})
	ids := benchIDs(b.N)
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			life(l, ids[next.Add(1)-1], &r)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func benchIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("01JD8ZQ2V3W4X5Y6Z7%08d", i)
	}
	return ids
}
