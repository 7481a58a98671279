package server

import (
	"errors"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// delivery is a push on its way to one connection. It ends exactly once.
type delivery struct {
	f       *fanout
	c       *conn
	user    string
	session int32     // of the PUSH packet
	next    *delivery // in the connection's list of awaited acks, under its lock

	mu      sync.Mutex
	ended   bool
	queued  time.Time
	flushed time.Time   // when the last byte had left; zero before
	timer   *time.Timer // of the ack
}

// start hands the push to the connection.
func (d *delivery) start() {
	if o := d.c.filter(d.f.p, d.user); o != protocol.OutcomePending {
		d.finish(o, time.Now())
		return
	}
	d.launch()
}

// launch hands a push to a connection that it is meant for.
func (d *delivery) launch() {
	flushed, err := d.send()
	if err != nil {
		d.fail(err)
		return
	}
	if d.f.p.Ack != protocol.AckNone || !flushed {
		d.f.t.Reached(protocol.StageQueued, d.f.n.opt.ID, d.queued)
	}
	if flushed {
		d.written(time.Now())
	}
}

var (
	errNotBound = errors.New("user is not bound here any more")
	errTooMany  = errors.New("too many acks are awaited")
)

// send writes the PUSH. The ack is expected before the first byte leaves, because
// it can be back before write returns.
func (d *delivery) send() (flushed bool, err error) {
	c, p := d.c, d.f.p
	s := borrow()
	defer s.giveBack()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.end != protocol.CloseUnknown:
		return false, errClosed
	case c.user != d.user:
		return false, errNotBound
	case p.Ack == protocol.AckNone:
	case int(c.awaited) >= c.node.opt.Limits.PendingAcks:
		return false, errTooMany
	default:
		d.next, c.acks = c.acks, d
		c.awaited++
	}
	d.queued = time.Now()
	frame, err := c.appendPush(s, d.f.frame(), d.session)
	if err != nil {
		return false, err
	}
	if flushed, err = c.write(frame); err == nil && !flushed {
		flushed = c.settle(d)
	}
	return flushed, err
}

// fail ends a delivery that could not be handed to the connection.
func (d *delivery) fail(err error) {
	d.c.takeAck(d.session)
	outcome := protocol.OutcomeOffline
	switch {
	case errors.Is(err, errNotBound), errors.Is(err, errClosed):
	case errors.Is(err, errTooMany):
		outcome = protocol.OutcomeRejected
	case errors.Is(err, errSlow):
		outcome = protocol.OutcomeSlow
		d.c.broken(err)
	default: // the socket is gone, as the reader is about to find
		d.c.broken(err)
	}
	d.finish(outcome, time.Now())
}

// written implements completion: the last byte has left.
func (d *delivery) written(at time.Time) {
	ack := d.f.p.Ack
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return
	}
	d.flushed = at
	if ack != protocol.AckNone {
		d.timer = time.AfterFunc(d.f.ackTimeout(), d.timeout)
	}
	d.mu.Unlock()
	switch {
	case ack == protocol.AckNone:
		d.finish(protocol.OutcomeSent, at)
	case d.c.isClosed():
		d.cut()
	default:
		d.f.t.Reached(protocol.StageWritten, d.f.n.opt.ID, at)
	}
}

// abandoned implements completion: the connection closed before the last byte left.
func (d *delivery) abandoned() {
	outcome := protocol.OutcomeOffline
	if reason := d.c.reason(); reason == protocol.CloseSlowBytes || reason == protocol.CloseSlowAge {
		outcome = protocol.OutcomeSlow
	}
	d.finish(outcome, time.Now())
}

// cut ends a delivery whose connection closed while the ack was awaited. One that
// was not even written is left to abandoned.
func (d *delivery) cut() {
	d.mu.Lock()
	written := !d.flushed.IsZero()
	d.mu.Unlock()
	if written {
		d.finish(protocol.OutcomeAckTimeout, time.Now())
	}
}

func (d *delivery) timeout() {
	d.c.takeAck(d.session)
	d.finish(protocol.OutcomeAckTimeout, time.Now())
}

func (d *delivery) acked() { d.finish(protocol.OutcomeAcked, time.Now()) }

// finish ends the delivery; only the first call counts.
func (d *delivery) finish(o protocol.Outcome, at time.Time) {
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return
	}
	d.ended = true
	if d.timer != nil {
		d.timer.Stop()
	}
	stages := [protocol.NumStages]time.Time{protocol.StageQueued: d.queued, protocol.StageWritten: d.flushed}
	if o == protocol.OutcomeAcked {
		stages[protocol.StageAcked] = at
		if d.flushed.IsZero() { // the ack overtook the news of the write
			stages[protocol.StageWritten] = at
		}
	}
	d.mu.Unlock()
	if d.f.task != nil && (o == protocol.OutcomeAcked || !d.flushed.IsZero()) {
		d.f.task.reached(d.user)
	}
	m := d.f.n.metrics
	m.Deliveries(o).Inc()
	m.DeliveriesInFlight.Dec()
	d.f.ended(o, 1, &stages)
}

// takeAck removes and returns the delivery that waits for the ack of a session id
// on this connection, nil if none does.
func (c *conn) takeAck(session int32) *delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := &c.acks; *at != nil; at = &(*at).next {
		if d := *at; d.session == session {
			*at, d.next = d.next, nil
			c.awaited--
			return d
		}
	}
	return nil
}

func (c *conn) reason() protocol.CloseReason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// fanout is a push to the connections of one user, or to everybody's.
type fanout struct {
	p    *cluster.Push
	t    cluster.Tracker
	n    *Node
	tmpl *pushFrame // shared by a broadcast, nil for a user
	task *task      // steers a broadcast, nil without a task id
	one  delivery   // the first of a user's; most have one device
	own  pushFrame  // the template of a user's

	mu   sync.Mutex
	left int
	res  cluster.Result
}

func (f *fanout) ackTimeout() time.Duration {
	if f.p.AckTimeout > 0 {
		return f.p.AckTimeout
	}
	return f.n.opt.AckTimeout
}

func (f *fanout) frame() *pushFrame {
	if f.tmpl != nil {
		return f.tmpl
	}
	return &f.own
}

// expect adds n deliveries that will end later.
func (f *fanout) expect(n int) {
	f.mu.Lock()
	f.left += n
	f.mu.Unlock()
}

// ended takes the end of n deliveries with the same outcome, of which one went
// through the given stages, and closes the push with the last.
func (f *fanout) ended(o protocol.Outcome, n int, stages *[protocol.NumStages]time.Time) {
	f.mu.Lock()
	f.res.Deliveries[o] += n
	best := f.res.Outcome.Better(o)
	switch {
	case f.tmpl != nil:
		f.stretch(stages)
	case best != f.res.Outcome:
		f.res.Stages = *stages
	}
	f.res.Outcome = best
	f.left -= n
	done := f.left == 0
	f.mu.Unlock()
	if done {
		f.close()
	}
}

// stretch keeps the first time something was queued and the last it was written.
func (f *fanout) stretch(stages *[protocol.NumStages]time.Time) {
	if q := stages[protocol.StageQueued]; f.res.Stages[protocol.StageQueued].IsZero() && !q.IsZero() {
		f.res.Stages[protocol.StageQueued] = q
	}
	for _, s := range [...]protocol.Stage{protocol.StageWritten, protocol.StageAcked} {
		if stages[s].After(f.res.Stages[s]) {
			f.res.Stages[s] = stages[s]
		}
	}
}

// close reports the result. Nothing touches res any more.
func (f *fanout) close() {
	f.res.Node = f.n.opt.ID
	if f.res.Outcome == protocol.OutcomePending {
		f.res.Outcome = protocol.OutcomeOffline // a broadcast that met nobody
	}
	f.t.Done(f.res)
}
