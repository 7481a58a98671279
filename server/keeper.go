package server

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// keeper is what keeps the store's routes and the registry true to the node. One
// goroutine does what others want done, so that nothing of it runs twice at a time;
// another one sweeps, which may take long.
type keeper struct {
	wake     chan struct{} // a token while something is wanted
	announce chan struct{} // a token while the registry is to be told of the node's state
	sweeping chan struct{} // a token while a sweep is wanted
	vanished chan struct{} // a token while there are gateways in gone that nobody looked at

	mu       sync.Mutex
	resync   bool
	sweep    sweepKind
	gone     []string // gateways of nodes that vanished
	drops    []store.UserRoute
	overflow bool      // drops were given up: only a sweep finds them
	cut      bool      // the registry was away since the keeper looked last
	late     time.Time // when to write routes once more; zero: no need to

	gateways map[string]bool      // of the peers as last seen; the keeper's goroutine alone
	left     map[string]time.Time // when gateways vanished that are not back; the oldest are forgotten
	probed   map[string]bool      // gateways that the registry never named, whether they answer; the sweep's goroutine alone
}

// sweepKind is which routes are looked after; larger includes smaller.
type sweepKind int

const (
	sweepNone sweepKind = iota
	sweepOwn            // those that lead to this node
	sweepAll            // those of every node that is gone, too
)

const (
	// maxDrops bounds the routes that wait to be taken back; what is more is found by a sweep.
	maxDrops = 100_000
	// dropRetry is the time between two attempts to take routes back, or to do again
	// what the store did not. It also is how often the keeper looks around unasked.
	dropRetry = 5 * time.Second
	// viewLag is how long another node may take to see that this one is back in the
	// registry. Until then it takes routes to this node for stale, also those that were
	// just written again.
	viewLag = 3 * time.Second
	// deadGrace is how long after a node vanished its routes are looked for: its
	// devices come back in the meantime and replace most of them.
	deadGrace = 3 * time.Second
)

func (k *keeper) init() {
	for _, token := range []*chan struct{}{&k.wake, &k.announce, &k.sweeping, &k.vanished} {
		*token = make(chan struct{}, 1)
	}
}

// want notes what is to be done and wakes the keeper.
func (k *keeper) want(note func()) {
	k.mu.Lock()
	note()
	k.mu.Unlock()
	poke(k.wake)
}

// poke leaves a token, if there is none.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (k *keeper) wantResync() { k.want(func() { k.resync = true }) }

// takeResync returns whether routes are to be written again, and forgets it.
func (k *keeper) takeResync() (wanted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	wanted, k.resync = k.resync, false
	return wanted
}

func (k *keeper) waitingDrops() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.drops)
}

// life returns a context that ends when the node stops.
func (n *Node) life() (ctx context.Context, cancel func()) {
	ctx, cancel = context.WithCancel(context.Background())
	n.services.Go(func() {
		<-n.quit
		cancel()
	})
	return ctx, cancel
}

// keep runs until the node stops.
func (n *Node) keep() {
	ctx, cancel := n.life()
	defer cancel()
	for _, stop := range n.listenAround() {
		defer stop()
	}
	retry := time.NewTicker(dropRetry)
	defer retry.Stop()
	for {
		select {
		case <-n.quit:
			return
		case <-n.keeper.wake:
		case <-retry.C:
			n.dropAgain(ctx)
		}
		if n.lookAround() {
			poke(n.keeper.vanished)
		}
		if n.storeErr() != nil || !n.keeper.takeResync() {
			continue // what is wanted stays so
		}
		n.dropAgain(ctx)
		if err := n.resync(ctx); err != nil {
			n.log.Warn("routes were not written again; that is tried once more", "err", err)
			n.keeper.mu.Lock()
			n.keeper.resync = true
			n.keeper.mu.Unlock()
		}
	}
}

// listenAround hears of kicks, of the registry and of the store.
func (n *Node) listenAround() (stops []func()) {
	if n.place.Address != "" {
		stops = append(stops, n.opt.Store.Kicks(n.place.Address, n.kicked, n.keeper.wantResync))
	}
	if n.opt.Registry != nil {
		stops = append(stops, n.opt.Registry.Watch(n.registryChanged))
	}
	if s, ok := n.opt.Store.(interface{ Watch(func(error)) func() }); ok {
		stops = append(stops, s.Watch(func(err error) {
			if err == nil {
				n.keeper.wantResync()
			}
		}))
	}
	return stops
}

// registryChanged notes that the registry was away, which may be over when the keeper
// comes to it, and wakes the keeper.
func (n *Node) registryChanged() {
	away := n.opt.Registry.Err() != nil
	n.keeper.want(func() { n.keeper.cut = n.keeper.cut || away })
}

// lookAround compares the registry with what it was and tells whether a node vanished.
// When the registry is back after it was away, others may have taken this node for
// dead and its routes for stale.
func (n *Node) lookAround() (vanished bool) {
	r, k := n.opt.Registry, &n.keeper
	if r == nil {
		return false
	}
	away := r.Err() != nil // asked before the peers: it turns to nil only after they were read anew
	peers, known := r.Peers()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cut = k.cut || away; away {
		return false
	}
	if k.cut {
		k.cut, k.resync, k.late = false, true, time.Now().Add(viewLag)
	} else if !k.late.IsZero() && time.Now().After(k.late) {
		k.resync, k.late = true, time.Time{}
	}
	if !known {
		return false
	}
	now := make(map[string]bool, len(peers))
	for _, p := range peers {
		now[p.Gateway] = true
	}
	k.forgetLeft(now)
	for gateway := range k.gateways {
		if !now[gateway] {
			vanished = true
			k.left[gateway] = time.Now()
			if !slices.Contains(k.gone, gateway) {
				k.gone = append(k.gone, gateway)
			}
		}
	}
	k.gateways = now
	return vanished
}

// dropRoute takes a route back; if that fails, it is done later. It reports whether
// the connection still owned it.
func (n *Node) dropRoute(user string, r store.Route) (owned bool) {
	err := n.ask(exporter.StoreDropRoute, func(ctx context.Context) (err error) {
		owned, err = n.opt.Store.DropRoute(ctx, user, r)
		return err
	})
	if err != nil {
		n.dropFailed.Warn(n.log, "routes were not taken back and show their users as online until they are", "err", err)
		n.dropLater(user, r)
	}
	return owned
}

// dropLater remembers a route that is to be taken back.
func (n *Node) dropLater(user string, r store.Route) {
	k := &n.keeper
	k.mu.Lock()
	if len(k.drops) < maxDrops {
		k.drops = append(k.drops, store.UserRoute{User: user, Route: r})
	} else {
		k.overflow = true
	}
	count := len(k.drops)
	k.mu.Unlock()
	n.metrics.RouteDropsWaiting.Set(float64(count))
}

// dropsAtOnce is how many routes are taken back at a time.
const dropsAtOnce = 16

// dropAgain takes back the routes that could not be, once the store is there.
func (n *Node) dropAgain(ctx context.Context) {
	k := &n.keeper
	if k.waitingDrops() == 0 || n.storeErr() != nil {
		return
	}
	k.mu.Lock()
	drops := k.drops
	k.drops = nil
	overflow := k.overflow
	k.overflow = false
	k.mu.Unlock()
	if overflow {
		k.wantSweep(sweepOwn)
	}
	var g errgroup.Group
	g.SetLimit(dropsAtOnce)
	for _, d := range drops {
		g.Go(func() error {
			n.dropInTurn(ctx, d)
			return nil
		})
	}
	_ = g.Wait() // none returns an error
	n.metrics.RouteDropsWaiting.Set(float64(k.waitingDrops()))
}

// dropInTurn takes a route back in the lane of its user, unless the connection is bound
// to the user again: then the route is right. It waits for that.
func (n *Node) dropInTurn(ctx context.Context, r store.UserRoute) {
	done := make(chan struct{})
	n.store.wait(maphash.String(n.hub.seed, r.User), n.quit, func() {
		defer close(done)
		if !n.has(r.User, &r.Route) {
			n.dropRoute(r.User, r.Route)
		}
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

const (
	resyncChunk = 500
	resyncPause = 10 * time.Millisecond
)

// resync writes the routes of all bound connections again, some at a time, and ends
// the connections whose users were found to be connected elsewhere: the kick did not
// reach this node.
func (n *Node) resync(ctx context.Context) error {
	var conns []*conn
	restored, replaced := 0, 0
	for shard := range hubShards {
		conns = n.hub.open(shard, conns[:0])
		for rest := conns; len(rest) > 0; {
			chunk := rest[:min(len(rest), resyncChunk)]
			rest = rest[len(chunk):]
			written, taken, err := n.restore(ctx, chunk)
			if err != nil {
				return err
			}
			restored, replaced = restored+written, replaced+taken
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(resyncPause):
			}
		}
		clear(conns)
	}
	if restored+replaced > 0 {
		n.log.Info("routes were written again", "routes", restored, "connected_elsewhere", replaced)
	}
	return nil
}

// restore writes the routes of those connections that are bound.
func (n *Node) restore(ctx context.Context, conns []*conn) (written, replaced int, err error) {
	var routes []store.UserRoute
	var owners []*conn
	for _, c := range conns {
		if r, ok := c.claim(); ok {
			routes, owners = append(routes, r), append(owners, c)
		}
	}
	if len(routes) == 0 {
		return 0, 0, nil
	}
	var taken map[int]store.Route
	err = n.ask(exporter.StoreRestore, func(ctx context.Context) (err error) {
		taken, err = n.opt.Store.Restore(ctx, routes)
		return err
	})
	if err != nil {
		for i, c := range owners { // they may have been written all the same
			if c.boundUser() != routes[i].User {
				n.dropLater(routes[i].User, routes[i].Route)
			}
		}
		return 0, 0, err
	}
	for i, c := range owners {
		if _, elsewhere := taken[i]; elsewhere {
			c.evictOf(routes[i].User, routes[i].Since.UnixMilli(), protocol.CloseReplaced)
			continue
		}
		if c.boundUser() != routes[i].User { // it left while its route was written
			n.dropInTurn(ctx, routes[i])
		}
	}
	n.metrics.RoutesRestored.Add(float64(len(routes) - len(taken)))
	return len(routes) - len(taken), len(taken), nil
}

// claim is the route of the connection as it should be in the store.
func (c *conn) claim() (store.UserRoute, bool) {
	c.mu.Lock()
	user, since := c.user, c.bound
	c.mu.Unlock()
	if user == "" {
		return store.UserRoute{}, false
	}
	return store.UserRoute{User: user, Route: c.route(time.UnixMilli(since))}, true
}
