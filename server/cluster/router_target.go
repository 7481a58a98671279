package cluster

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// target is a push on its way to one user. It ends once, with the results of all nodes
// that it was handed to.
type target struct {
	r     *Router
	p     *Push
	user  string
	t     Tracker
	named bool // the tracker is one of many users

	mu      sync.Mutex
	missing int     // results
	merged  *Result // of several; nil while there is none
}

// end reports the result.
func (g *target) end(res Result) {
	res.Unsent, res.Moved = false, false
	if g.named {
		res.User = g.user
	}
	g.t.Done(res)
}

// Reached implements [Tracker].
func (g *target) Reached(s protocol.Stage, node string, at time.Time) { g.t.Reached(s, node, at) }

// Progress implements [Tracker].
func (g *target) Progress(Result) {}

// Done implements [Tracker] for the node of this process.
func (g *target) Done(res Result) { g.end(res) }

// deliverHere hands the push to the node of this process, whose word is final.
func (g *target) deliverHere() {
	local := &g.r.local
	g.t.Reached(protocol.StageRouted, local.id, g.r.options.Now())
	local.member.Push(g.p, g.user, g)
}

// tryHere does so for a device that was here a moment ago. If it has just left, the
// routes tell where to.
func (g *target) tryHere() {
	local := &g.r.local
	g.t.Reached(protocol.StageRouted, local.id, g.r.options.Now())
	local.member.Push(g.p, g.user, hereFirst{g})
}

// hereFirst is the tracker of such a try.
type hereFirst struct{ *target }

// Done implements [Tracker].
func (h hereFirst) Done(res Result) { h.seek(res) }

// seek ends a push with what the node of this process said, unless it has not the
// device any more.
func (g *target) seek(res Result) {
	if res.Outcome != protocol.OutcomeOffline || g.r.away.Load() {
		g.end(res)
		return
	}
	g.missing = 1
	g.replace(res, 1)
	if g.r.find(g.p, g.user, g) != nil {
		g.end(res)
	}
}

// refuse ends a push that cannot even wait.
func (g *target) refuse(err error) {
	outcome := protocol.OutcomeRejected
	if errors.Is(err, errRouterClosed) {
		outcome = protocol.OutcomeOffline
	}
	g.end(Result{Node: g.r.local.id, Outcome: outcome})
}

// missed implements [seeker].
func (g *target) missed(error) {
	late := !g.p.Deadline.IsZero() && g.r.options.Now().After(g.p.Deadline)
	if !late && g.r.holdsAny(g.p, g.user) {
		g.deliverHere()
		return
	}
	g.decide(protocol.OutcomeFailed)
}

// decide ends a push that no route leads anywhere for. A device that is bound here gets
// it all the same: the store lost its route, or others took this node for dead.
func (g *target) decide(o protocol.Outcome) {
	if o == protocol.OutcomeOffline && g.r.holdsAny(g.p, g.user) {
		g.deliverHere()
		return
	}
	g.missing = 1 // nobody else knows of g yet
	g.add(Result{Node: g.r.local.id, Outcome: o})
}

// found implements [seeker].
func (g *target) found(routes []store.Route) {
	legs, outcome := g.plan(routes, nil)
	if len(legs) == 0 {
		g.decide(outcome)
		return
	}
	g.missing = len(legs) // nobody else knows of g yet
	hand(legs)
}

// add takes the result of a node; with the last one the push ends.
func (g *target) add(res Result) {
	if last := g.merge(&res); last {
		g.end(res)
	}
}

// merge adds res, and with the last one makes it the sum of all.
func (g *target) merge(res *Result) (last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.missing--
	if g.merged != nil {
		mergeUser(g.merged, res)
		*res = *g.merged
	} else if g.missing > 0 {
		g.merged = new(*res)
	}
	return g.missing == 0
}

// plan makes a leg of each node that the user's online routes lead to. Without any,
// outcome is the end of the push. The routes must not change afterwards. On a second
// attempt first is the leg that failed.
func (g *target) plan(routes []store.Route, first *leg) (legs []*leg, outcome protocol.Outcome) {
	outcome = protocol.OutcomeOffline
	for i, route := range routes {
		switch {
		case !route.Online:
			continue
		case len(g.p.ClientTypes) > 0 && !slices.Contains(g.p.ClientTypes, route.ClientType):
			outcome = outcome.Better(protocol.OutcomeFiltered)
			continue
		}
		switch at, where := g.r.directory.find(route.Address); where {
		case present:
			legs = g.extend(legs, at, routes[i:i+1:i+1], first)
		case gone:
			g.r.staleNode(g.user, route)
		default:
			outcome = outcome.Better(protocol.OutcomeFailed)
		}
	}
	if len(legs) > 1 {
		for _, l := range legs {
			l.exact = true
		}
	}
	return legs, outcome
}

// extend adds a route to the leg of its node, or a leg for it. A Java node takes one
// class of devices at a time.
func (g *target) extend(legs []*leg, at site, route []store.Route, first *leg) []*leg {
	for _, l := range legs {
		if l.to.member == at.member && !at.java {
			l.routes = append(l.routes, route...)
			return legs
		}
	}
	return append(legs, &leg{target: g, to: at, routes: route, exact: at.java || first != nil, first: first})
}

// leg is a push handed to one node, for some of the user's routes. It implements
// [Tracker] for that node.
type leg struct {
	target *target
	to     site
	routes []store.Route
	// exact: the push is for the classes of these routes only. Otherwise the node also
	// serves devices that came to it meanwhile; with several nodes, or when a device has
	// moved from one to the other, somebody would get the push twice.
	exact bool

	first  *leg   // of which this is the second attempt; nil: it is the first
	result Result // of a leg that has a second attempt
	again  bool   // the second attempt is to the same connection

	ended atomic.Bool
	timer *time.Timer // of a node that does not answer
}

// push is what the node gets.
func (l *leg) push() *Push {
	if !l.exact {
		return l.target.p
	}
	p := *l.target.p
	p.ClientTypes = make([]protocol.ClientType, len(l.routes))
	for i, route := range l.routes {
		p.ClientTypes[i] = route.ClientType
	}
	return &p
}

// hand gives the push to each node.
func hand(legs []*leg) {
	for _, l := range legs {
		l.hand()
	}
}

func (l *leg) hand() {
	g := l.target
	g.t.Reached(protocol.StageRouted, l.to.id, g.r.options.Now())
	if !l.to.local {
		l.timer = time.AfterFunc(g.r.patience(g.p), l.silent)
	}
	l.to.member.Push(l.push(), g.user, l)
}

// defaultAckWait is how long a node may wait for an ack if the push does not say,
// with room to spare.
const defaultAckWait = 15 * time.Minute

// patience is how long a node may take for a push. A link gives up earlier; this is
// for a member that breaks its promise.
func (r *Router) patience(p *Push) time.Duration {
	wait := 2 * r.options.Timeout
	switch {
	case p.Ack == protocol.AckNone:
	case p.AckTimeout > 0:
		wait += p.AckTimeout
	default:
		wait += defaultAckWait
	}
	return wait
}

// silent ends a leg whose node said nothing.
func (l *leg) silent() {
	if !l.ended.Swap(true) {
		l.over(Result{Node: l.to.id, Outcome: protocol.OutcomeNodeLost})
	}
}

// Reached implements [Tracker].
func (l *leg) Reached(s protocol.Stage, node string, at time.Time) { l.target.t.Reached(s, node, at) }

// Progress implements [Tracker].
func (l *leg) Progress(Result) {}

// Done implements [Tracker]; only the first call counts.
func (l *leg) Done(res Result) {
	if l.ended.Swap(true) {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.over(res)
}

// over takes the result of the leg: the push ends with it, or there is a second attempt.
func (l *leg) over(res Result) {
	res.User = ""
	if res.Outcome == protocol.OutcomePending {
		res.Outcome = protocol.OutcomeFailed
	}
	if l.first != nil {
		l.doneAgain(res)
		return
	}
	if !res.Unsent && res.Outcome != protocol.OutcomeOffline || !l.tryAgain(res) {
		l.target.add(res)
	}
}
