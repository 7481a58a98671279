package cluster

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

const (
	// shortList is the longest list whose users are looked up like single ones.
	shortList = 16
	// listUsers may wait in longer lists; a list over it ends as rejected.
	listUsers = 1 << 20
	// listLookups is how many calls of the store run at a time for lists.
	listLookups = 4
	// listWindow bounds what a list has on its way, in bytes of content that nodes were
	// handed and did not answer for. The rest of the list waits, so that it does not
	// overrun the queues to the nodes.
	listWindow = 16 << 20
)

// listBound bounds what lists take of memory and of the store.
type listBound struct {
	users atomic.Int64
	slots chan struct{}
}

// PushAll does so for many users; t.Done is called once for each, with Result.User
// set. The slice must not change afterwards. A long list is walked in the background,
// in the order of its users.
func (r *Router) PushAll(p *Push, users []string, t Tracker) {
	if len(users) <= shortList {
		for _, user := range users {
			r.push(&target{r: r, p: p, user: user, t: t, named: true})
		}
		return
	}
	err := errRouterFull
	if n := int64(len(users)); r.lists.users.Add(n) > listUsers {
		r.lists.users.Add(-n)
	} else if err = errRouterClosed; r.begin() {
		go func() {
			defer r.tasks.Done()
			defer r.lists.users.Add(-n)
			r.walk(p, users, t)
		}()
		return
	} else {
		r.lists.users.Add(-n)
	}
	for _, user := range users {
		(&target{r: r, p: p, user: user, t: t, named: true}).refuse(err)
	}
}

// walk pushes to a long list, chunk by chunk.
func (r *Router) walk(p *Push, users []string, t Tracker) {
	lastRead := r.options.Now()
	window := make(chan struct{}, max(2, listWindow/(len(p.Content)+lookupBatch*64)))
	for chunk := range slices.Chunk(users, lookupBatch) {
		select {
		case window <- struct{}{}:
		case <-r.quit: // the rest goes out as it can
		}
		part := &part{Tracker: t, window: window}
		part.left.Store(int32(len(chunk)))
		b := &batch{r: r, p: p, t: part}
		if r.directory.alone() {
			b.deliverHere(chunk, part)
			continue
		}
		here, away := r.divide(p, chunk)
		if len(here) > 0 {
			b.deliverHere(here, manyHere{b})
		}
		if len(away) == 0 {
			continue
		}
		// When the store has been silent for that long, the rest is not kept waiting for
		// each of its chunks in turn.
		var routes [][]store.Route
		err := errRouterLate
		if now := r.options.Now(); now.Sub(lastRead) <= r.options.Timeout && (p.Deadline.IsZero() || now.Before(p.Deadline)) {
			r.lists.slots <- struct{}{}
			routes, err = r.routes(away)
			<-r.lists.slots
		}
		if err != nil {
			b.missed(away, err)
			continue
		}
		lastRead = r.options.Now()
		b.found(away, routes)
	}
}

// part is the tracker of a chunk. It leaves the window when all its users have ended.
type part struct {
	Tracker
	left   atomic.Int32
	window chan struct{}
}

// Done implements [Tracker].
func (c *part) Done(res Result) {
	c.Tracker.Done(res)
	if c.left.Add(-1) > 0 {
		return
	}
	select {
	case <-c.window:
	default: // the router is closing
	}
}

// divide tells which users are served here without a look at the store.
func (r *Router) divide(p *Push, users []string) (here, away []string) {
	if len(p.ClientTypes) == 0 && !r.away.Load() {
		return nil, users
	}
	for _, user := range users {
		if r.staysHere(p, user) {
			here = append(here, user)
		} else {
			away = append(away, user)
		}
	}
	return here, away
}

// batch is a chunk of a list.
type batch struct {
	r *Router
	p *Push
	t Tracker
}

func (b *batch) target(user string) *target {
	return &target{r: b.r, p: b.p, user: user, t: b.t, named: true}
}

func (b *batch) deliverHere(users []string, t Tracker) {
	local := &b.r.local
	b.t.Reached(protocol.StageRouted, local.id, b.r.options.Now())
	local.member.PushAll(b.p, users, t)
}

// manyHere is [hereFirst] for many users.
type manyHere struct{ *batch }

// Reached implements [Tracker].
func (h manyHere) Reached(s protocol.Stage, node string, at time.Time) { h.t.Reached(s, node, at) }

// Progress implements [Tracker].
func (h manyHere) Progress(Result) {}

// Done implements [Tracker].
func (h manyHere) Done(res Result) { h.target(res.User).seek(res) }

func (b *batch) missed(users []string, err error) {
	for _, user := range users {
		b.target(user).missed(err)
	}
}

// found hands each user's push to the nodes, and those for one node together.
func (b *batch) found(users []string, routes [][]store.Route) {
	var bundles []*bundle
	for i, user := range users {
		g := b.target(user)
		legs, outcome := g.plan(routes[i], nil)
		switch {
		case len(legs) == 0:
			g.decide(outcome)
		case len(legs) == 1 && !legs[0].exact:
			g.missing = 1
			bundles = enter(bundles, legs[0])
		default:
			g.missing = len(legs)
			hand(legs)
		}
	}
	for _, d := range bundles {
		d.hand(b)
	}
}

// bundle is the part of a chunk that one node gets. It implements [Tracker] for it.
type bundle struct {
	to    site
	t     Tracker
	users []string

	mu   sync.Mutex
	legs map[string]*leg // not ended
	wait *time.Timer     // for a node that does not answer
}

// enter adds a leg to the bundle of its node. A user that the list names twice gets
// another bundle.
func enter(bundles []*bundle, l *leg) []*bundle {
	user := l.target.user
	for _, d := range bundles {
		if _, twice := d.legs[user]; d.to.member == l.to.member && !twice {
			d.users, d.legs[user] = append(d.users, user), l
			return bundles
		}
	}
	return append(bundles, &bundle{to: l.to, t: l.target.t, users: []string{user}, legs: map[string]*leg{user: l}})
}

func (d *bundle) hand(b *batch) {
	d.t.Reached(protocol.StageRouted, d.to.id, b.r.options.Now())
	if !d.to.local {
		d.wait = time.AfterFunc(b.r.patience(b.p), d.silent)
	}
	d.to.member.PushAll(b.p, d.users, d)
}

// Reached implements [Tracker].
func (d *bundle) Reached(s protocol.Stage, node string, at time.Time) { d.t.Reached(s, node, at) }

// Progress implements [Tracker].
func (d *bundle) Progress(Result) {}

// Done implements [Tracker].
func (d *bundle) Done(res Result) {
	d.mu.Lock()
	l := d.legs[res.User]
	delete(d.legs, res.User)
	over := len(d.legs) == 0 && d.wait != nil
	d.mu.Unlock()
	if over {
		d.wait.Stop()
	}
	if l != nil {
		l.Done(res)
	}
}

// silent ends what the node said nothing of.
func (d *bundle) silent() {
	d.mu.Lock()
	legs := d.legs
	d.legs = nil
	d.mu.Unlock()
	for _, l := range legs {
		l.silent()
	}
}
