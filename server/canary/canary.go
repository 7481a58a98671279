// Package canary tries the ways of pushes all the time: an entry point, a node or an
// allocator, pushes to the own device of each node and measures until the ack, over the
// same router, store, links and ports as the pushes of users.
//
// These pushes are in no ledger, as nobody sent them: in a quiet cluster they would be
// most of what the numbers for users' messages say. They are counted by themselves, and
// their books balance: every push ends as acknowledged, as lost, or not at all if its
// node drained, was lost or forgotten before it could be counted.
package canary

import (
	"cmp"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

const (
	// maxPerRound bounds the pushes of a round. With more nodes they take turns.
	maxPerRound = 32
	// jitter is by which part of itself a pause differs from its length at most, so that
	// the rounds of many entry points do not meet.
	jitter = 0.2

	// doubt is how long after a push that did not come through its node may say that it
	// drains: a link tells within a second.
	doubt = 2 * time.Second

	defaultEvery   = 10 * time.Second
	defaultTimeout = 5 * time.Second
)

// Options are what a [Prober] needs. Router and Metrics are required.
type Options struct {
	Router  *cluster.Router
	Metrics *exporter.CanaryMetrics
	// Every is the time between two rounds, give or take a fifth; 0: ten seconds.
	Every time.Duration
	// Timeout is how long a push may take; 0: five seconds.
	Timeout time.Duration
	// Logger hears of ways that turn bad or good again; nil means [slog.Default].
	Logger *slog.Logger
}

// Prober pushes to the canaries of all serving nodes that have one, this process's node
// too. A node that drains, is lost or leaves has no series from the next round on, and a
// push that did not come through is counted as lost in the first round that begins two
// seconds later or more: so that a node which goes is not taken for a way that is broken.
type Prober struct {
	o    Options
	quit chan struct{}
	work sync.WaitGroup
	life sync.Once
	lost exporter.Seldom

	mu     sync.Mutex
	closed bool
	pairs  map[string]*pair // by node id
	last   string           // node that was pushed to last
}

// pair is the way to one node. Guarded by the prober's mu.
type pair struct {
	exporter.CanaryPair
	flying  *flight
	doubted int       // pushes that did not come through and are not counted yet
	since   time.Time // of the first of them
	broken  bool      // the last one that was counted was lost
}

// New makes a prober that does nothing before [Prober.Start].
func New(o Options) (*Prober, error) {
	if o.Router == nil || o.Metrics == nil {
		return nil, errors.New("canary: Router and Metrics are required")
	}
	o.Every, o.Timeout = cmp.Or(o.Every, defaultEvery), cmp.Or(o.Timeout, defaultTimeout)
	if o.Every < 0 || o.Timeout < 0 {
		return nil, errors.New("canary: Every and Timeout must be positive")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Prober{o: o, quit: make(chan struct{}), pairs: make(map[string]*pair)}, nil
}

// Start begins with the rounds. A second call does nothing.
func (p *Prober) Start() { p.life.Do(func() { p.work.Go(p.run) }) }

// Stop ends the rounds and waits for that. Pushes that are under way count no more.
func (p *Prober) Stop() {
	p.life.Do(func() {}) // never started, never will be
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	for _, w := range p.pairs {
		w.land()
	}
	p.mu.Unlock()
	if first {
		close(p.quit)
	}
	p.work.Wait()
}

func (p *Prober) run() {
	pause := time.NewTimer(rand.N(p.o.Every)) // the first round comes at any time
	defer pause.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-pause.C:
		}
		p.round()
		spread := jitter * (2*rand.Float64() - 1)
		pause.Reset(p.o.Every + time.Duration(spread*float64(p.o.Every)))
	}
}

// round settles what the last one left open, and pushes to some nodes.
func (p *Prober) round() {
	nodes := p.nodes()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.follow(nodes)
	var flights []*flight
	for _, id := range p.next(nodes) {
		if f := p.takeOff(id); f != nil {
			flights = append(flights, f)
		}
	}
	p.mu.Unlock()
	for _, f := range flights {
		f.push()
	}
}

// nodes are the ids of the nodes to push to, in order.
func (p *Prober) nodes() (ids []string) {
	members, _ := p.o.Router.Members().List()
	for _, m := range members {
		if info := m.Info(); info.State == cluster.Serving && info.Canary {
			ids = append(ids, info.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// follow forgets the nodes that are not there any more and counts what was lost on the
// way to the others. The caller holds mu.
func (p *Prober) follow(nodes []string) {
	for id, w := range p.pairs {
		if _, there := slices.BinarySearch(nodes, id); !there {
			w.land()
			delete(p.pairs, id)
			p.o.Metrics.Forget(id)
			continue
		}
		if w.doubted > 0 && time.Since(w.since) >= doubt {
			w.Pushes.Add(float64(w.doubted))
			w.Lost.Add(float64(w.doubted))
			w.doubted = 0
			p.tell(id, w, true)
		}
	}
}

// tell logs when a way turns bad or good again.
func (p *Prober) tell(node string, w *pair, broken bool) {
	if w.broken == broken {
		return
	}
	if w.broken = broken; broken {
		p.lost.Warn(p.o.Logger, "a push to the node's own device was not acknowledged in time: users on that node may not get pushes from here", "to", node, "within", p.o.Timeout)
		return
	}
	p.o.Logger.Info("pushes to the node's own device come through again", "to", node)
}

// next are the nodes whose turn it is. The caller holds mu.
func (p *Prober) next(nodes []string) []string {
	if len(nodes) <= maxPerRound {
		return nodes
	}
	at, found := slices.BinarySearch(nodes, p.last)
	if found {
		at++
	}
	turn := make([]string, 0, maxPerRound)
	for i := range maxPerRound {
		turn = append(turn, nodes[(at+i)%len(nodes)])
	}
	p.last = turn[len(turn)-1]
	return turn
}

// takeOff prepares a push, unless one to the node is under way. The caller holds mu.
func (p *Prober) takeOff(node string) *flight {
	w := p.pairs[node]
	if w == nil {
		w = &pair{CanaryPair: p.o.Metrics.Pair(node)}
		p.pairs[node] = w
	}
	if w.flying != nil {
		return nil
	}
	w.flying = &flight{prober: p, pair: w, node: node, began: time.Now()}
	w.flying.timer = time.AfterFunc(p.o.Timeout, w.flying.late)
	return w.flying
}

// land ends the flight without a result.
func (w *pair) land() {
	if w.flying != nil {
		w.flying.timer.Stop()
		w.flying = nil
	}
}

// flight is one push; it is its own [cluster.Tracker].
type flight struct {
	prober *Prober
	pair   *pair
	node   string
	began  time.Time
	timer  *time.Timer // of the timeout
}

// content is what the device gets, and drops.
const content = "canary"

func (f *flight) push() {
	timeout := f.prober.o.Timeout
	f.prober.o.Router.Push(&cluster.Push{
		ID: ulid.Make().String(), Content: []byte(content), Ack: protocol.AckAuto, AckTimeout: timeout,
		Deadline: f.began.Add(timeout), Accepted: f.began,
	}, protocol.CanaryUser(f.node), f)
}

// Reached implements [cluster.Tracker].
func (f *flight) Reached(protocol.Stage, string, time.Time) {}

// Progress implements [cluster.Tracker].
func (f *flight) Progress(cluster.Result) {}

// Done implements [cluster.Tracker].
func (f *flight) Done(r cluster.Result) { f.end(r.Outcome == protocol.OutcomeAcked) }

func (f *flight) late() { f.end(false) }

// end takes the result; only the first counts.
func (f *flight) end(acked bool) {
	took := time.Since(f.began)
	p, w := f.prober, f.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.flying != f {
		return // it was late, or the node has been forgotten
	}
	w.land()
	if !acked {
		if w.doubted++; w.doubted == 1 {
			w.since = time.Now()
		}
		return
	}
	w.Pushes.Inc()
	w.Took(took)
	p.tell(f.node, w, false)
}
