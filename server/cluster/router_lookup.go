package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/store"
)

const (
	// lookupLanes is how many calls of the store run at a time for pushes. The pushes
	// of one user share a lane, which keeps their order.
	lookupLanes = 4
	// lookupQueue is how many pushes may wait in a lane; the next ends as rejected.
	lookupQueue = 1 << 14
	// lookupBatch is how many users one call of the store is for at most.
	lookupBatch = 256
)

// seeker waits for the routes of a user. One of its methods is called, once.
type seeker interface {
	found(routes []store.Route)
	missed(err error) // the store could not be read
}

// lookup is a seeker in a lane.
type lookup struct {
	user  string
	until time.Time // when it is too late
	then  seeker
	route *store.Route // to be dropped, in the lane for that
}

var (
	errRouterFull   = errors.New("too many pushes wait for the store")
	errRouterClosed = errors.New("the router is closed")
	errRouterLate   = errors.New("the store took too long")
)

// lane is a bounded queue with a goroutine that works while there is something in it.
// What comes meanwhile is taken together, so that a busy store gets few large calls.
type lane struct {
	bound int
	work  func([]lookup)

	mu      sync.Mutex
	size    int // waiting and being worked on
	waiting []lookup
	running bool
}

// add queues l and reports whether there was room; start is set if a goroutine must
// be started that calls run.
func (q *lane) add(l lookup) (start, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size >= q.bound {
		return false, false
	}
	q.size++
	q.waiting = append(q.waiting, l)
	start, q.running = !q.running, true
	return start, true
}

// run works until nothing waits.
func (q *lane) run() {
	var spare []lookup
	for {
		batch := q.take(spare)
		if len(batch) == 0 {
			return
		}
		for rest := batch; len(rest) > 0; {
			chunk := rest[:min(len(rest), lookupBatch)]
			rest = rest[len(chunk):]
			q.work(chunk)
			q.done(len(chunk))
		}
		clear(batch)
		if spare = batch[:0]; cap(spare) > lookupBatch {
			spare = nil // a rush is over: give its memory back
		}
	}
}

func (q *lane) take(spare []lookup) []lookup {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := q.waiting
	q.waiting, q.running = spare, len(batch) > 0
	return batch
}

func (q *lane) done(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size -= n
}

// find queues a lookup of a user's routes. The seeker hears of its end unless there
// is an error.
func (r *Router) find(p *Push, user string, then seeker) error {
	until := r.options.Now().Add(r.options.Timeout)
	if !p.Deadline.IsZero() && p.Deadline.Before(until) {
		until = p.Deadline
	}
	q := &r.lanes[maphash.String(r.seed, user)%lookupLanes]
	return r.enqueue(q, lookup{user: user, until: until, then: then})
}

// enqueue adds to a lane; Close waits for the end of it.
func (r *Router) enqueue(q *lane, l lookup) error {
	if !r.begin() {
		return errRouterClosed
	}
	start, ok := q.add(l)
	if !ok {
		r.tasks.Done()
		return errRouterFull
	}
	if start {
		r.tasks.Go(q.run)
	}
	return nil
}

// lookUp finds the routes for a chunk of a lane.
func (r *Router) lookUp(chunk []lookup) {
	users := make([]string, 0, len(chunk))
	now := r.options.Now()
	for i := range chunk {
		if now.After(chunk[i].until) {
			chunk[i].then.missed(errRouterLate)
			chunk[i].then = nil
			r.tasks.Done()
			continue
		}
		users = append(users, chunk[i].user)
	}
	if len(users) == 0 {
		return
	}
	routes, err := r.routes(users)
	now = r.options.Now()
	for i := range chunk {
		switch then := chunk[i].then; {
		case then == nil:
			continue
		case err == nil && now.After(chunk[i].until):
			then.missed(errRouterLate)
			routes = routes[1:]
		case err != nil:
			then.missed(err)
		default:
			then.found(routes[0])
			routes = routes[1:]
		}
		r.tasks.Done()
	}
}

// routes is one call of the store, bounded in time and counted.
func (r *Router) routes(users []string) ([][]store.Route, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.options.Timeout)
	defer cancel()
	return r.read(ctx, users)
}

func (r *Router) read(ctx context.Context, users []string) (routes [][]store.Route, err error) {
	start := time.Now()
	routes, err = r.options.Store.Routes(ctx, users...)
	if err == nil && len(routes) != len(users) {
		err = fmt.Errorf("the store answered for %d of %d users", len(routes), len(users))
	}
	result := exporter.ResultOK
	if err != nil {
		result = exporter.ResultError
		r.cannotRead(err)
	}
	r.options.Metrics.StoreDuration(exporter.StoreRoutes, result).Observe(time.Since(start).Seconds())
	return routes, err
}

// awayProbe is the time between two questions whether the store is back.
const awayProbe = 250 * time.Millisecond

// cannotRead notes that the store is away and watches for its return.
func (r *Router) cannotRead(err error) {
	if times := r.readFailed.Due(r.options.Now()); times > 0 {
		r.options.Logger.Error("routes cannot be read: pushes reach only devices of this node, if any, and others end as failed", "err", err, "times", times)
	}
	if !r.away.CompareAndSwap(false, true) || !r.begin() {
		return
	}
	go func() {
		defer r.tasks.Done()
		r.awaitStore()
	}()
}

// awaitStore returns when the store answers again or the router closes.
func (r *Router) awaitStore() {
	tick := time.NewTicker(awayProbe)
	defer tick.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), r.options.Timeout)
		err := r.options.Store.Ping(ctx)
		cancel()
		if err == nil || store.TakesNoWrites(err) {
			r.away.Store(false)
			r.options.Logger.Info("the store answers again")
			return
		}
	}
}
