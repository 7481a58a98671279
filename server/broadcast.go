package server

import (
	"runtime"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// broadcastChunk is after how many connections a broadcast lets others run.
const broadcastChunk = 1000

// Broadcast implements [cluster.Member].
func (n *Node) Broadcast(p *cluster.Push, t cluster.Tracker) {
	if !n.begin() {
		t.Done(cluster.Result{Node: n.opt.ID, Outcome: protocol.OutcomeOffline})
		return
	}
	select {
	case n.casts <- struct{}{}:
	default:
		n.tasks.Done()
		t.Done(cluster.Result{Node: n.opt.ID, Outcome: protocol.OutcomeRejected})
		return
	}
	n.metrics.BroadcastsRunning.Inc()
	go func() {
		defer n.tasks.Done()
		defer func() {
			n.metrics.BroadcastsRunning.Dec()
			<-n.casts
		}()
		n.broadcast(p, t)
	}()
}

// Cancel implements [cluster.Member].
func (n *Node) Cancel(id string) {}

// broadcast writes to every bound connection that the filters match. The fanout
// expects one end more than there are deliveries until all were started.
func (n *Node) broadcast(p *cluster.Push, t cluster.Tracker) {
	tmpl := new(pushFrame)
	tmpl.init(p, n.opt.Limits.CompressThreshold)
	f := &fanout{p: p, t: t, n: n, tmpl: tmpl, left: 1}
	session := n.nextSession()
	var conns []*conn
	for shard := range hubShards {
		conns = n.hub.open(shard, conns[:0])
		for rest := conns; len(rest) > 0; {
			chunk := rest[:min(len(rest), broadcastChunk)]
			rest = rest[len(chunk):]
			f.cast(chunk, session)
			runtime.Gosched() // single pushes are not to wait for a whole round
		}
		clear(conns)
	}
	f.mu.Lock()
	f.left--
	done := f.left == 0
	f.mu.Unlock()
	if done {
		f.close()
	}
}

// cast writes to some connections. What ends on the spot, which is nearly all, is
// counted for the whole batch at once.
func (f *fanout) cast(conns []*conn, session int32) {
	var counts [protocol.NumOutcomes]int
	first := time.Now()
	s := borrow()
	for _, c := range conns {
		counts[f.castTo(s, c, session)]++
	}
	s.giveBack()
	counts[protocol.OutcomePending] = 0 // not bound, or ends later
	stages := [protocol.NumStages]time.Time{protocol.StageQueued: first}
	if counts[protocol.OutcomeSent] > 0 {
		stages[protocol.StageWritten] = time.Now()
	}
	for o, n := range counts {
		if n > 0 {
			f.n.metrics.Deliveries(protocol.Outcome(o)).Add(float64(n))
			f.expect(n)
			f.ended(protocol.Outcome(o), n, &stages)
		}
	}
}

// castTo writes to one connection. [protocol.OutcomePending] means that it is not
// bound, or that a delivery was made which ends by itself.
func (f *fanout) castTo(s *scratch, c *conn, session int32) protocol.Outcome {
	if f.p.Ack != protocol.AckNone || f.p.Selective() {
		user := c.boundUser()
		if user == "" {
			return protocol.OutcomePending
		}
		if f.p.Ack != protocol.AckNone {
			f.open(c, user, session).start()
			return protocol.OutcomePending
		}
		if o := c.filter(f.p, user); o != protocol.OutcomePending {
			return o
		}
	}
	user, flushed, err := f.write(s, c, session)
	switch {
	case err != nil:
		f.open(c, user, session).fail(err)
		return protocol.OutcomePending
	case flushed:
		return protocol.OutcomeSent
	}
	return protocol.OutcomePending
}

// write sends the shared frame to whoever is bound to a connection and reports
// whether it left at once; if not, nobody is bound or a delivery was made that ends
// when it has.
func (f *fanout) write(s *scratch, c *conn, session int32) (user string, flushed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if user = c.user; user == "" || c.end != protocol.CloseUnknown {
		return user, false, nil
	}
	frame, err := c.appendPush(s, f.tmpl, session)
	if err != nil {
		return user, false, err
	}
	if flushed, err = c.write(frame); flushed || err != nil {
		return user, flushed, err
	}
	d := f.open(c, user, session)
	d.queued = time.Now()
	if c.settle(d) { // the flusher was faster
		f.withdraw()
		return user, true, nil
	}
	return user, false, nil
}

// withdraw takes back a delivery that open made and nobody knows of.
func (f *fanout) withdraw() {
	f.expect(-1)
	f.n.metrics.DeliveriesInFlight.Dec()
}

// open makes a delivery that will end by itself.
func (f *fanout) open(c *conn, user string, session int32) *delivery {
	f.expect(1)
	f.n.metrics.DeliveriesInFlight.Inc()
	return &delivery{f: f, c: c, user: user, session: session}
}

func (c *conn) boundUser() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}
