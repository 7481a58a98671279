package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// Local is the node of this process, if it has one.
type Local interface {
	Member
	// Devices lists the devices of a user that are bound here.
	Devices(user string) []Device
	// Kick ends the user's connections here, of the given classes (none = all), and
	// returns how many it ended.
	Kick(user string, types ...protocol.ClientType) int
}

// Holder is a [Local] that can say cheaply whom it holds; a router asks it for each push.
type Holder interface {
	// Holds reports whether a device of each of the given classes of the user is bound
	// here, or, without classes, any device.
	Holds(user string, types ...protocol.ClientType) bool
}

// RouterOptions are what a [Router] needs. Members, Store, Metrics and Logger are required.
type RouterOptions struct {
	// Members is the membership. If it also has a method Find(address string) (Member,
	// bool), that is asked for the node behind a route; if it has Err() error, routes to
	// unknown nodes are taken for stale only while that is nil.
	Members Members
	Local   Local // nil in a process without a node
	Store   store.Store
	// Timeout bounds how long a push may wait for the store, and then for a node that
	// does not answer; default 5 s. A wait for an ack comes on top.
	Timeout time.Duration
	Metrics *exporter.Metrics
	Logger  *slog.Logger
	Now     func() time.Time // nil means [time.Now]
}

// Router finds the nodes that the devices of a user are connected to. Its methods may
// be called from any goroutine; those without a context do not block.
//
// Where a user's devices are is read from the store, for up to 256 users at a time, with
// three exceptions. A process that is the only member of its cluster asks nobody. A push
// for named classes of devices is delivered here when a device of each of them is
// bound here, and the routes are read only if it turns out to have left. And while the store cannot be read, which is the case from a failed call
// until it answers again, a push goes to the devices of this process's node if it has any
// of the user; pushes for others are tried and end as failed, within Timeout.
//
// Pushes for one user are handed over in the order of the calls, but for second
// attempts and for lists of more than 16 users.
type Router struct {
	options   RouterOptions
	local     site // of the process; member is nil without one
	directory directory
	seed      maphash.Seed
	lanes     [lookupLanes]lane
	lists     listBound
	drops     lane
	silence   time.Duration // see [cast]
	confirm   time.Duration // see [again]

	away       atomic.Bool // the store cannot be read
	readFailed exporter.Seldom
	dropFailed exporter.Seldom

	mu     sync.RWMutex
	closed bool
	quit   chan struct{}
	tasks  sync.WaitGroup
}

// NewRouter makes a router. [Router.Close] ends it.
func NewRouter(o RouterOptions) (*Router, error) {
	if o.Members == nil || o.Store == nil || o.Metrics == nil || o.Logger == nil {
		return nil, errors.New("router: Members, Store, Metrics and Logger are required")
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Router{options: o, seed: maphash.MakeSeed(), silence: castSilence, confirm: confirmDelay, quit: make(chan struct{})}
	for i := range r.lanes {
		r.lanes[i] = lane{bound: lookupQueue, work: r.lookUp}
	}
	r.drops = lane{bound: dropQueue, work: r.dropAll}
	r.lists.slots = make(chan struct{}, listLookups)
	if o.Local != nil {
		info := o.Local.Info()
		r.local = site{member: o.Local, id: info.ID, address: info.Gateway, local: true}
	}
	r.directory = directory{members: o.Members, local: &r.local, now: o.Now}
	return r, nil
}

// Members is the membership that the router works with.
func (r *Router) Members() Members { return r.options.Members }

// Push delivers p to the devices of user, wherever they are. t.Done is called exactly once.
func (r *Router) Push(p *Push, user string, t Tracker) {
	r.push(&target{r: r, p: p, user: user, t: t})
}

func (r *Router) push(g *target) {
	switch {
	case r.directory.alone():
		g.deliverHere()
		return
	case r.staysHere(g.p, g.user):
		g.tryHere()
		return
	}
	if err := r.find(g.p, g.user, g); err != nil {
		g.refuse(err)
	}
}

// staysHere reports whether a push goes to the node of this process without a look at
// the store, though there are others; see [Router].
func (r *Router) staysHere(p *Push, user string) bool {
	switch {
	case r.local.member == nil:
		return false
	case len(p.ClientTypes) > 0 && r.holds(user, p.ClientTypes...):
		return true
	}
	return r.away.Load() && r.holdsAny(p, user)
}

// holdsAny reports whether a device that the push is for is bound here.
func (r *Router) holdsAny(p *Push, user string) bool {
	if len(p.ClientTypes) == 0 {
		return r.holds(user)
	}
	return slices.ContainsFunc(p.ClientTypes, func(t protocol.ClientType) bool { return r.holds(user, t) })
}

// holds asks the node of this process whether it has devices of a user.
func (r *Router) holds(user string, types ...protocol.ClientType) bool {
	if r.options.Local == nil {
		return false
	}
	if h, ok := r.options.Local.(Holder); ok {
		return h.Holds(user, types...)
	}
	devices := r.options.Local.Devices(user)
	for _, t := range types {
		if !slices.ContainsFunc(devices, func(d Device) bool { return d.Online && d.ClientType == t }) {
			return false
		}
	}
	return slices.ContainsFunc(devices, func(d Device) bool { return d.Online })
}

// Cancel stops a running broadcast of this message id on every node.
func (r *Router) Cancel(id string) {
	members, _ := r.options.Members.List()
	for _, m := range members {
		m.Cancel(id)
	}
}

// begin starts something that Close waits for; false once the router is closed. The
// caller calls tasks.Done.
func (r *Router) begin() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return false
	}
	r.tasks.Add(1)
	return true
}

// Close lets lookups that run come to an end and returns when nothing of the router
// runs any more, or the error of ctx. Pushes that come later end as offline. Those that
// were handed to a node end when the node says so; close the links after the router.
func (r *Router) Close(ctx context.Context) error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.quit)
	}
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		r.tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the router is still looking for users: %w", context.Cause(ctx))
	}
}
