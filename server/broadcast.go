package server

import (
	"slices"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// progressInterval is how often the entry point of a broadcast hears how far it is.
const progressInterval = 500 * time.Millisecond

// broadcasts are those whose connections are being walked.
type broadcasts struct {
	mu      sync.Mutex
	running []*broadcast
	quiet   []chan struct{} // closed when none is left
}

// add enters a broadcast unless limit of them run.
func (s *broadcasts) add(b *broadcast, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.running) >= limit {
		return false
	}
	s.running = append(s.running, b)
	return true
}

func (s *broadcasts) remove(b *broadcast) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.running, b)
	s.running = slices.Delete(s.running, at, at+1)
	if len(s.running) == 0 {
		for _, waits := range s.quiet {
			close(waits)
		}
		s.quiet = nil
	}
}

// wait returns when none of them walks any more.
func (s *broadcasts) wait() {
	s.mu.Lock()
	if len(s.running) == 0 {
		s.mu.Unlock()
		return
	}
	done := make(chan struct{})
	s.quiet = append(s.quiet, done)
	s.mu.Unlock()
	<-done
}

// of lists those of a message.
func (s *broadcasts) of(id string) (found []*broadcast) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.running {
		if b.p.ID == id {
			found = append(found, b)
		}
	}
	return found
}

// broadcast is a push to everybody on its way. One goroutine walks the connections and
// then waits for the deliveries that end later; the exported methods are what those
// report to.
type broadcast struct {
	fanout
	to   cluster.Tracker // of the entry point
	pace bucket          // of the walk; not used when its rate is 0
	told time.Time       // of the last progress
	over chan struct{}   // closed when the last delivery has ended
	last cluster.Result  // valid then

	once      sync.Once
	cancelled chan struct{}
}

func newBroadcast(n *Node, p *cluster.Push, t cluster.Tracker) *broadcast {
	b := &broadcast{to: t, told: time.Now(), over: make(chan struct{}), cancelled: make(chan struct{})}
	b.fanout.p, b.fanout.t, b.fanout.n = p, b, n
	b.tmpl = new(pushFrame)
	b.tmpl.init(p, n.opt.Limits.CompressThreshold)
	b.left = 1 // the walk itself
	b.pace = newBucket(paceOf(p, n.opt.Limits.BroadcastRate), time.Now())
	return b
}

// paceOf is the rate of a broadcast in connections per second, 0 for none.
func paceOf(p *cluster.Push, limit int) int {
	switch {
	case p.Rate > 0:
		return p.Rate
	case p.Rate < 0:
		return 0
	}
	return limit
}

// Broadcast implements [cluster.Member]. Everybody who is bound when it begins and
// still is when it comes to them gets it once. Who comes meanwhile may get it or not;
// a user who returns on a new connection gets it there if it had not come to them.
func (n *Node) Broadcast(p *cluster.Push, t cluster.Tracker) {
	if !n.begin() {
		t.Done(cluster.Result{Node: n.opt.ID, Outcome: protocol.OutcomeOffline})
		return
	}
	b := newBroadcast(n, p, t)
	if !n.casts.add(b, n.opt.Limits.Broadcasts) {
		n.tasks.Done()
		t.Done(cluster.Result{Node: n.opt.ID, Outcome: protocol.OutcomeRejected})
		return
	}
	n.metrics.BroadcastsRunning.Inc()
	go func() {
		defer n.tasks.Done()
		b.run()
	}()
}

// Cancel implements [cluster.Member].
func (n *Node) Cancel(id string) {
	for _, b := range n.casts.of(id) {
		b.cancel()
	}
}

// cancel stops the walk at once; further calls change nothing.
func (b *broadcast) cancel() { b.once.Do(func() { close(b.cancelled) }) }

func (b *broadcast) isCancelled() bool {
	select {
	case <-b.cancelled:
		return true
	default:
		return false
	}
}

// run walks, waits for the last delivery and reports the end.
func (b *broadcast) run() {
	if b.p.Task != "" {
		b.steer()
	}
	b.walk()
	b.n.metrics.BroadcastsRunning.Dec()
	b.n.casts.remove(b)
	if cluster.GivenUp(b.p.Condition) {
		b.n.log.Warn("broadcast was given up: its condition takes too long", "id", b.p.ID, "condition", b.p.Condition.String())
	}
	b.release()
	b.follow(b.over, nil, nil)
	if b.task != nil {
		close(b.task.stop)
		b.follow(b.task.told, nil, nil)
	}
	b.to.Done(b.result())
}

// release ends the walk's own part of the fanout.
func (b *broadcast) release() {
	b.mu.Lock()
	b.left--
	done := b.left == 0
	b.mu.Unlock()
	if done {
		b.close()
	}
}

// result is the end of the broadcast: the best outcome if it came to anybody, else what
// most connections ended with.
func (b *broadcast) result() cluster.Result {
	r := b.last
	switch r.Outcome {
	case protocol.OutcomeAcked, protocol.OutcomeSent, protocol.OutcomeAckTimeout:
		return r
	}
	most := 0
	for o, n := range r.Deliveries {
		if n > most {
			most, r.Outcome = n, protocol.Outcome(o)
		}
	}
	if most == 0 && b.isCancelled() {
		r.Outcome = protocol.OutcomeRejected // and nobody was there
	}
	return r
}

// follow lets the entry point know how far the broadcast is until one of the channels is
// closed; nil ones are not waited for.
func (b *broadcast) follow(until, or, or2 <-chan struct{}) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-until:
			return
		case <-or:
			return
		case <-or2:
			return
		case now := <-tick.C:
			b.tell(now)
		}
	}
}

// tell lets the entry point know how far the broadcast is, if it is time to.
func (b *broadcast) tell(now time.Time) {
	if now.Sub(b.told) < progressInterval {
		return
	}
	b.told = now
	b.mu.Lock()
	r := cluster.Result{Node: b.n.opt.ID, Deliveries: b.res.Deliveries, Stages: b.res.Stages}
	b.mu.Unlock()
	b.to.Progress(r)
}

// Reached implements [cluster.Tracker] for the deliveries.
func (b *broadcast) Reached(s protocol.Stage, node string, at time.Time) { b.to.Reached(s, node, at) }

// Progress implements [cluster.Tracker]; a delivery has none.
func (b *broadcast) Progress(cluster.Result) {}

// Done implements [cluster.Tracker] for the last delivery.
func (b *broadcast) Done(r cluster.Result) {
	b.last = r
	close(b.over)
}
