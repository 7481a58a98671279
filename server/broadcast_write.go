package server

import (
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// tally counts what ends on the spot, which is nearly all, so that it is told at once
// for many connections.
type tally struct {
	counts [protocol.NumOutcomes]int
	first  time.Time
}

// add notes the end of a delivery; [protocol.OutcomePending] ends later or never began.
func (a *tally) add(o protocol.Outcome) { a.counts[o]++ }

// count tells the fanout.
func (f *fanout) count(a *tally) {
	a.counts[protocol.OutcomePending] = 0
	stages := [protocol.NumStages]time.Time{protocol.StageQueued: a.first}
	if a.counts[protocol.OutcomeSent] > 0 {
		stages[protocol.StageWritten] = time.Now()
	}
	for o, n := range a.counts {
		if n > 0 {
			f.n.metrics.Deliveries(protocol.Outcome(o)).Add(float64(n))
			f.expect(n)
			f.ended(protocol.Outcome(o), n, &stages)
		}
	}
}

// cast writes to some connections, whoever is bound to them.
func (f *fanout) cast(conns []*conn, session int32) {
	a := tally{first: time.Now()}
	s, canary := borrow(), f.n.hub.canary.Load()
	for _, c := range conns {
		if c == canary {
			continue
		}
		o, _ := f.castTo(s, c, "", session)
		a.add(o)
	}
	s.giveBack()
	f.count(&a)
}

// castUsers writes to the connections of users until the permits are used up, and
// returns how many users were taken. The last may need more permits than there are.
func (b *broadcast) castUsers(users []string, session int32, permits int) (taken, used int) {
	var found [maxDevices]*conn
	a := tally{first: time.Now()}
	s := borrow()
	for taken < len(users) && taken < broadcastChunk && used < permits {
		user := users[taken]
		taken++
		for _, c := range found[:b.n.hub.lookup(user, &found)] {
			o, tried := b.castTo(s, c, user, session)
			if tried {
				used++
			}
			if o == protocol.OutcomeSent && b.task != nil {
				b.task.reached(user)
			}
			a.add(o)
		}
	}
	s.giveBack()
	b.count(&a)
	return taken, used
}

// castTo writes to one connection if it is bound to the user, or to anybody if that is
// empty. [protocol.OutcomePending] means that it is not, or that a delivery was made
// which ends by itself. tried is false if nothing was written nor could be.
func (f *fanout) castTo(s *scratch, c *conn, user string, session int32) (o protocol.Outcome, tried bool) {
	if f.p.Ack != protocol.AckNone || f.p.Selective() {
		if user == "" {
			user = c.boundUser()
		}
		if user == "" {
			return protocol.OutcomePending, false
		}
		if o := c.filter(f.p, user); o == protocol.OutcomeFiltered && cluster.GivenUp(f.p.Condition) {
			return protocol.OutcomeFailed, false
		} else if o != protocol.OutcomePending {
			return o, false
		}
		if f.p.Ack != protocol.AckNone {
			f.open(c, user, session).launch()
			return protocol.OutcomePending, true
		}
	}
	user, flushed, err := f.write(s, c, user, session)
	switch {
	case err != nil:
		f.open(c, user, session).fail(err)
		return protocol.OutcomePending, true
	case flushed:
		return protocol.OutcomeSent, true
	}
	return protocol.OutcomePending, user != ""
}

// write sends the shared frame to the user, or to whoever is bound to a connection, and
// reports whether it left at once; if not, a delivery was made that ends when it has,
// or user is empty: nobody is there to write to.
func (f *fanout) write(s *scratch, c *conn, want string, session int32) (user string, flushed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if user = c.user; user == "" || c.end != protocol.CloseUnknown || want != "" && want != user {
		return "", false, nil
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
