package cluster

import (
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

const (
	// youngRoute is the age up to which a route may be of a connection that is about to
	// be bound: a node writes the route first. It leaves room for clocks that differ.
	youngRoute = time.Minute
	// confirmDelay is after which a node is asked again for such a connection.
	confirmDelay = 100 * time.Millisecond
)

// second reads the routes once more for a leg whose node has not the devices that the
// routes promised, or never got the push.
type second struct{ *leg }

// tryAgain keeps the result and looks for the user's devices once more; false if that
// cannot be, and then the result stands.
func (l *leg) tryAgain(res Result) bool {
	l.result = res
	return l.target.r.find(l.target.p, l.target.user, second{l}) == nil
}

// missed implements [seeker].
func (s second) missed(error) { s.target.add(s.result) }

// found implements [seeker].
func (s second) found(routes []store.Route) {
	changed, same := s.compare(routes)
	if len(changed) > 0 {
		s.moveTo(changed)
		return
	}
	switch {
	case len(same) == 0: // offline by now, whatever the node said
		s.result.Outcome = protocol.OutcomeOffline
	case s.result.Unsent || s.result.Moved || s.to.java: // a Java node marks the route itself
	case s.confirmLater(same):
		return
	default:
		s.target.r.staleConnections(s.target.user, same)
	}
	s.target.add(s.result)
}

// compare finds which of the leg's routes lead to another connection by now, and
// which are as they were.
func (l *leg) compare(routes []store.Route) (changed, same []store.Route) {
	for _, now := range routes {
		for _, before := range l.routes {
			switch {
			case now.ClientType != before.ClientType || !now.Online:
			case now.Connection == before.Connection && now.Address == before.Address:
				same = append(same, now)
			default:
				changed = append(changed, now)
			}
		}
	}
	return changed, same
}

// moveTo hands the push to where the devices are now.
func (s second) moveTo(changed []store.Route) {
	g := s.target
	legs, outcome := g.plan(changed, s.leg)
	if len(legs) == 0 {
		s.result.Outcome = outcome
		g.add(s.result)
		return
	}
	g.replace(s.result, len(legs))
	hand(legs)
}

// replace expects the results of n second attempts instead of this one, whose
// deliveries still count.
func (g *target) replace(res Result, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missing += n - 1
	res.Outcome = protocol.OutcomePending
	if res.Deliveries == (Result{}).Deliveries {
		return
	}
	if g.merged == nil {
		g.merged = new(Result)
	}
	mergeUser(g.merged, &res)
}

// confirmLater asks the same node once more a little later, if one of the routes is
// young. Its connection may be about to be bound.
func (s second) confirmLater(same []store.Route) bool {
	r := s.target.r
	now := r.options.Now()
	young := false
	for _, route := range same {
		young = young || now.Sub(route.Since) < youngRoute
	}
	if !young || !r.begin() {
		return false
	}
	time.AfterFunc(r.confirm, func() {
		defer r.tasks.Done()
		g := s.target
		g.replace(s.result, 1)
		hand([]*leg{{target: g, to: s.to, routes: same, exact: true, first: s.leg, again: true}})
	})
	return true
}

// doneAgain takes the result of a second attempt.
func (l *leg) doneAgain(res Result) {
	g := l.target
	g.r.options.Metrics.PushesRetried(exporter.ResultOf(res.Outcome)).Inc()
	if l.again && res.Outcome == protocol.OutcomeOffline && !res.Unsent && !res.Moved {
		g.r.staleConnections(g.user, l.routes)
	}
	g.add(res)
}
