package cluster

import (
	"slices"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// castSilence is how long a node may say nothing of a broadcast before it is given
// up. A link gives up earlier; this is for a member that breaks its promise.
const castSilence = 10 * time.Minute

// Broadcast delivers p to every connection of every node that its filters match.
// t.Done is called exactly once, t.Progress for each node. Lost nodes are left out:
// nobody knows who was connected to them.
func (r *Router) Broadcast(p *Push, t Tracker) {
	nodes, known := r.audience()
	if len(nodes) == 0 {
		outcome := protocol.OutcomeOffline
		if !known {
			outcome = protocol.OutcomeFailed
		}
		t.Done(Result{Node: r.local.id, Outcome: outcome})
		return
	}
	m := newMerger(t, len(nodes))
	for _, at := range nodes {
		c := &cast{m: m, node: at.id, silence: r.silence}
		t.Reached(protocol.StageRouted, at.id, r.options.Now())
		if !at.local {
			c.watch()
		}
		at.member.Broadcast(p, c)
	}
}

// audience is the nodes of a broadcast: serving ones first, whose devices stay.
func (r *Router) audience() (nodes []site, known bool) {
	if !r.begin() {
		return nil, true
	}
	defer r.tasks.Done()
	members, known := r.options.Members.List()
	var draining []site
	for _, m := range members {
		info := m.Info()
		at := site{member: m, id: info.ID, local: m == r.local.member}
		switch info.State {
		case Lost:
		case Draining:
			draining = append(draining, at)
		default:
			nodes = append(nodes, at)
		}
	}
	return slices.Concat(nodes, draining), known
}

// cast is a node's part of a broadcast. It implements [Tracker] for that node, names the
// node in what it says and passes that on one at a time, in order, whatever goroutines
// it comes from.
type cast struct {
	m       *merger
	node    string
	silence time.Duration

	mu     sync.Mutex
	ended  bool    // the last word was said
	busy   bool    // somebody is passing on
	latest *Result // progress that waits
	last   *Result // the end that waits
	timer  *time.Timer
}

// watch ends a broadcast of a node that says nothing.
func (c *cast) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(c.silence, func() {
		c.Done(Result{Node: c.node, Outcome: protocol.OutcomeNodeLost})
	})
}

// Reached implements [Tracker].
func (c *cast) Reached(s protocol.Stage, node string, at time.Time) { c.m.Reached(s, node, at) }

// Progress implements [Tracker].
func (c *cast) Progress(res Result) {
	res.Node, res.Outcome = c.node, protocol.OutcomePending
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.latest = &res
	if c.timer != nil {
		c.timer.Reset(c.silence)
	}
	c.passOn()
}

// Done implements [Tracker]; only the first call counts.
func (c *cast) Done(res Result) {
	res.Node, res.User, res.Unsent = c.node, "", false
	if res.Outcome == protocol.OutcomePending {
		res.Outcome = protocol.OutcomeFailed
	}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended, c.last = true, &res
	if c.timer != nil {
		c.timer.Stop()
	}
	c.passOn()
}

// passOn says what waits, unless somebody is at it already. The caller holds mu, which
// is released.
func (c *cast) passOn() {
	if c.busy {
		c.mu.Unlock()
		return
	}
	c.busy = true
	for c.latest != nil || c.last != nil {
		latest, last := c.latest, c.last
		c.latest, c.last = nil, nil
		c.mu.Unlock()
		if last != nil {
			c.m.Progress(*last)
			c.m.Done(*last)
			return
		}
		c.m.Progress(*latest)
		c.mu.Lock()
	}
	c.busy = false
	c.mu.Unlock()
}
