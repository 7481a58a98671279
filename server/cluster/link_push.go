package cluster

import (
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// Bounds of one frame for many users. A frame for one user may be longer.
const (
	frameUsers = 500
	frameBytes = 256 << 10
)

// requestCost is what a request is charged for besides its content and users, in bytes.
const requestCost = 512

// Push implements [Member].
func (l *Link) Push(p *Push, user string, t Tracker) {
	if err := l.talk.fits(p, user, false); err != nil {
		l.refuse(err, t, Result{})
		return
	}
	if l.java {
		l.pushJava(p, user, t, false)
		return
	}
	l.submit(&request{push: p, tracker: t, user: user, cost: len(p.Content) + len(user)})
}

// PushAll implements [Member].
func (l *Link) PushAll(p *Push, users []string, t Tracker) {
	if l.java {
		for _, user := range users {
			if err := l.talk.fits(p, user, false); err != nil {
				l.refuse(err, t, Result{User: user})
				continue
			}
			l.pushJava(p, user, t, true)
		}
		return
	}
	if err := l.talk.fits(p, longest(users), false); err != nil {
		for _, user := range users {
			l.refuse(err, t, Result{User: user})
		}
		return
	}
	chunks := 0
	for rest := users; len(rest) > 0; chunks++ {
		rest = rest[chunk(p, rest):]
	}
	for rest := users; len(rest) > 0; {
		n := chunk(p, rest)
		r := &request{push: p, tracker: t, users: rest[:n:n], named: true, cost: len(p.Content) / chunks}
		for _, user := range r.users {
			r.cost += len(user)
		}
		r.ended = make([]bool, n)
		l.submit(r)
		rest = rest[n:]
	}
}

// chunk is how many of the users go into the next frame, at least one.
func chunk(p *Push, users []string) int {
	bytes := len(p.Content)
	for n, user := range users[:min(len(users), frameUsers)] {
		if bytes += len(user) + 2; bytes > frameBytes && n > 0 {
			return n
		}
	}
	return min(len(users), frameUsers)
}

func longest(users []string) (longest string) {
	for _, user := range users {
		if len(user) > len(longest) {
			longest = user
		}
	}
	return longest
}

// Broadcast implements [Member].
func (l *Link) Broadcast(p *Push, t Tracker) {
	if err := l.talk.fits(p, "", true); err != nil {
		l.refuse(err, t, Result{})
		return
	}
	l.submit(&request{kind: kindBroadcast, push: p, tracker: t, cost: len(p.Content)})
}

// Cancel implements [Member]. A broadcast that was not written is not; a Java node
// cannot be told.
func (l *Link) Cancel(id string) {
	var list []*request
	l.mu.Lock()
	for r := l.requests.queue.first; r != nil; r = r.next {
		if r.kind == kindBroadcast && r.push.ID == id {
			list = append(list, r)
		}
	}
	for _, r := range list {
		l.requests.drop(r)
	}
	l.mu.Unlock()
	for _, r := range list {
		l.done(r, 0, &Result{Outcome: protocol.OutcomeRejected, Unsent: true}, exporter.ResultRefused)
	}
	if !l.java {
		l.submit(&request{kind: kindCancel, cancel: id, cost: len(id)})
	}
}

// Drain implements [Member]. A Java node cannot be told.
func (l *Link) Drain(rate int) {
	if l.java {
		l.log.Warn("a Java node cannot be drained; stop it")
		return
	}
	l.submit(&request{kind: kindDrain, rate: rate})
}

// submit queues a request that looks like the given one, or ends it.
func (l *Link) submit(like *request) {
	l.mu.Lock()
	over, q := l.over || l.leaving, &l.requests
	cost := like.cost + requestCost
	full := q.bytes > 0 && q.bytes+cost > l.o.QueueBytes
	if !over && !full {
		r := q.get()
		*r = *like
		r.cost, r.left = cost, r.weight()
		r.ack = r.push != nil && r.kind == kindPush && r.push.Ack != protocol.AckNone
		q.add(r, l.tickIn(l.patience(r)))
	}
	l.mu.Unlock()
	switch {
	case over:
		l.endOne(like, exporter.ResultError)
	case full:
		like.id = 0
		l.endAs(like, protocol.OutcomeRejected, exporter.ResultRefused)
	default:
		l.rouse()
	}
}

// tickIn is the tick of the deadline that is so far away.
func (l *Link) tickIn(d time.Duration) int64 { return int64((l.clock()+d)/deadlineTick) + 1 }

// patience is how long a request may take; the caller holds mu.
func (l *Link) patience(r *request) time.Duration {
	switch {
	case !r.ack:
		return l.o.Timeout
	case r.push.AckTimeout > 0:
		return l.o.Timeout + r.push.AckTimeout
	}
	return l.o.Timeout + l.ackWait
}

// refuse ends a push that the node cannot be given.
func (l *Link) refuse(err error, t Tracker, res Result) {
	l.log.Debug("push refused", "err", err)
	l.o.Metrics.GatewayRequests(exporter.DirectionOut, exporter.ResultRefused).Inc()
	res.Node, res.Outcome, res.Unsent = l.id(), protocol.OutcomeFailed, true
	t.Done(res)
}

// id is the name of the node.
func (l *Link) id() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peer.ID
}

// endAll ends requests that were dropped, as lost.
func (l *Link) endAll(list []*request, result exporter.Result) {
	for _, r := range list {
		l.endOne(r, result)
	}
}

func (l *Link) endOne(r *request, result exporter.Result) {
	outcome := protocol.OutcomeNodeLost
	if l.java && r.ack && r.id != 0 && result == exporter.ResultTimeout {
		outcome = protocol.OutcomeAckTimeout
	}
	l.endAs(r, outcome, result)
}

// endAs ends what has not ended of a request that was dropped or never queued.
func (l *Link) endAs(r *request, outcome protocol.Outcome, result exporter.Result) {
	res := Result{Outcome: outcome, Unsent: r.id == 0}
	if r.progress != nil {
		res.Deliveries, res.Stages = r.progress.Deliveries, r.progress.Stages
	}
	if r.id != 0 {
		res.Stages[protocol.StageForwarded] = r.sent
	}
	for i := range r.weight() {
		if r.ended == nil || !r.ended[i] {
			l.done(r, i, &res, result)
		}
	}
}

// done tells the tracker of a request the end for one of its users. Nobody else has the
// request any more, or its tracker and users are those of a copy.
func (l *Link) done(r *request, index int, res *Result, result exporter.Result) {
	if r.tracker == nil {
		if res.Outcome != protocol.OutcomeSent {
			l.log.Warn("the node did not get a command", "drain", r.kind == kindDrain, "outcome", res.Outcome.String())
		}
		return
	}
	l.o.Metrics.GatewayRequests(exporter.DirectionOut, result).Inc()
	res.Node = l.id()
	switch {
	case !r.named:
	case r.users != nil:
		res.User = r.users[index]
	default:
		res.User = r.user
	}
	if r.kind == kindBroadcast {
		r.tracker.Progress(*res)
	}
	r.tracker.Done(*res)
}

// answered takes the result that the node gave for a user of a request.
func (l *Link) answered(m *protocol.LinkResult, moved bool) {
	res := Result{Outcome: m.Outcome, Unsent: m.Unsent, Moved: moved, Deliveries: m.Deliveries}
	l.mu.Lock()
	r, ok := l.requests.pending[m.Request]
	if !ok || m.Index >= r.weight() || r.ended != nil && r.ended[m.Index] {
		l.mu.Unlock()
		return // its deadline was before
	}
	l.answers++
	copied := request{tracker: r.tracker, users: r.users, user: r.user, named: r.named, kind: r.kind}
	res.Stages = stages(r.sent, m)
	if r.left--; r.left > 0 {
		r.ended[m.Index] = true
	} else {
		l.requests.drop(r)
		l.requests.put(r)
	}
	waiting := l.requests.queue.first != nil
	l.mu.Unlock()
	if waiting {
		l.rouse()
	}
	l.done(&copied, m.Index, &res, exporter.ResultOf(res.Outcome))
}

// stages puts the stages of a result on our clock.
func stages(sent time.Time, m *protocol.LinkResult) (at [protocol.NumStages]time.Time) {
	for s := range at {
		if m.Reached&(1<<s) != 0 {
			at[s] = sent.Add(m.Stages[s])
		}
	}
	at[protocol.StageForwarded] = sent
	return at
}

// progressed takes what a broadcast has done so far.
func (l *Link) progressed(m *protocol.LinkResult) {
	l.mu.Lock()
	r, ok := l.requests.pending[m.Request]
	if !ok || r.kind != kindBroadcast {
		l.mu.Unlock()
		return
	}
	res := Result{Node: l.peer.ID, Outcome: protocol.OutcomePending, Deliveries: m.Deliveries, Stages: stages(r.sent, m)}
	r.progress = &res
	l.postpone(r)
	t := r.tracker
	l.mu.Unlock()
	t.Progress(res)
}

// castPatience is how long a node may say nothing of a broadcast at least. It tells
// every second that it goes on.
const castPatience = 3 * time.Second

// postpone moves the deadline of a broadcast that goes on; the caller holds mu.
func (l *Link) postpone(r *request) {
	l.moveDeadline(r, max(l.o.Timeout+l.o.Silence, castPatience)) // so that a cut can be found and mended
}

func (l *Link) moveDeadline(r *request, d time.Duration) {
	l.requests.deadlines.remove(r)
	r.due = l.tickIn(d)
	l.requests.deadlines.add(r)
}
