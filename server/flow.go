package server

import (
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// flowSlice is how far apart the writes of what is paced are at least, so that a high
// rate does not wake a goroutine for each of them.
const flowSlice = 50 * time.Millisecond

// flowPatience is how long a push may wait. It is below the time after which the entry
// points take a node that says nothing for lost.
const flowPatience = 3 * time.Second

// whole is a permit of a bucket, which fills by parts of a billionth.
const whole = int64(time.Second)

// bucket holds permits: a second's worth at first, and at most; they come back evenly.
// It counts in whole numbers, so that nothing is lost to rounding. It is not safe for
// concurrent use.
type bucket struct {
	rate  int       // permits per second, more than 0
	level int64     // in parts of a permit; below 0 after more was taken than was there
	at    time.Time // when level was right
}

// maxRate is the highest rate that a bucket counts without overflow. It is as good as none.
const maxRate = 1_000_000_000

func newBucket(rate int, now time.Time) bucket {
	rate = min(rate, maxRate)
	return bucket{rate: rate, level: int64(rate) * whole, at: now}
}

// setRate changes the rate from now on.
func (b *bucket) setRate(rate int, now time.Time) {
	b.fill(now)
	b.rate = min(rate, maxRate)
	b.fill(now) // a lower rate holds less
}

func (b *bucket) fill(now time.Time) {
	// More than a second fills it, whatever was owed: no more than a few permits are.
	since := min(max(0, now.Sub(b.at)), 5*time.Second)
	b.level = min(int64(b.rate)*whole, b.level+int64(b.rate)*int64(since))
	b.at = now
}

// available is how many permits can be taken now.
func (b *bucket) available(now time.Time) int {
	b.fill(now)
	return int(max(0, b.level/whole))
}

// take uses n permits; those that are not there are owed.
func (b *bucket) take(n int) { b.level -= int64(n) * whole }

// wait is the time from the last look until a slice's worth of permits is there, at
// least one.
func (b *bucket) wait() time.Duration {
	want := max(1, int64(b.rate)*int64(flowSlice)/whole)*whole - b.level
	return time.Duration(max(0, (want+int64(b.rate)-1)/int64(b.rate)))
}

// flow holds pushes to single users back to a rate over the whole node. They leave in
// the order in which they came: those of one user cannot overtake each other.
type flow struct {
	n *Node

	mu      sync.Mutex
	permits bucket
	room    int    // how many may wait
	queue   []held // first in, first out; those before first are gone
	first   int
	busy    bool // a goroutine sends what waits
}

// held is a push that waits.
type held struct {
	p    *cluster.Push
	user string
	t    cluster.Tracker
}

func newFlow(n *Node) *flow {
	l := n.opt.Limits
	return &flow{
		n: n, permits: newBucket(l.UnicastRate, time.Now()),
		room: min(l.UnicastQueue, l.UnicastRate*int(flowPatience/time.Second)),
	}
}

// passes tells whether the caller may send a push at once. If not, it was queued, or
// ended as rejected because too many wait.
func (w *flow) passes(p *cluster.Push, user string, t cluster.Tracker) bool {
	w.mu.Lock()
	if !w.busy && w.permits.available(time.Now()) > 0 {
		w.permits.take(1)
		w.mu.Unlock()
		return true
	}
	queued := len(w.queue)-w.first < w.room && (w.busy || w.n.begin())
	if queued {
		w.queue = append(w.queue, held{p, user, t})
		w.n.metrics.FlowWaiting.Inc()
		if !w.busy {
			w.busy = true
			go w.send()
		}
	}
	w.mu.Unlock()
	if !queued {
		w.reject(held{p, user, t})
	}
	return false
}

// send lets pushes go as permits come, until none waits. As long as it runs, no push
// passes by.
func (w *flow) send() {
	defer w.n.tasks.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-w.n.quit:
			w.empty()
			return
		}
		batch, next, more := w.due()
		for _, h := range batch {
			if late := !h.p.Deadline.IsZero() && time.Now().After(h.p.Deadline); late {
				w.reject(h)
				continue
			}
			w.n.deliver(h.p, h.user, h.t)
		}
		if !more && w.idle() {
			return
		}
		timer.Reset(next)
	}
}

// due takes out what may go now, and tells when to come again if more waits.
func (w *flow) due() (batch []held, next time.Duration, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(w.permits.available(time.Now()), len(w.queue)-w.first)
	w.permits.take(n)
	return w.cut(n), w.permits.wait(), len(w.queue) > w.first
}

// cut takes the first n out of the queue; the caller holds mu.
func (w *flow) cut(n int) []held {
	batch := append([]held(nil), w.queue[w.first:w.first+n]...)
	clear(w.queue[w.first : w.first+n])
	w.first += n
	w.n.metrics.FlowWaiting.Sub(float64(n))
	switch {
	case w.first == len(w.queue):
		w.queue, w.first = nil, 0
	case w.first > len(w.queue)/2: // what is gone is not to grow without bound
		w.queue, w.first = append([]held(nil), w.queue[w.first:]...), 0
	}
	return batch
}

// idle ends the sender if nothing came meanwhile: what comes later may pass by it.
func (w *flow) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = len(w.queue) > w.first
	return !w.busy
}

// empty ends everything that waits, because the node stops.
func (w *flow) empty() {
	w.mu.Lock()
	rest := w.cut(len(w.queue) - w.first)
	w.busy = false
	w.mu.Unlock()
	for _, h := range rest {
		w.reject(h)
	}
}

func (w *flow) reject(h held) {
	h.t.Done(cluster.Result{Node: w.n.opt.ID, Outcome: protocol.OutcomeRejected})
}
