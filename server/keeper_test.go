package server_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/store"
)

// shaky is a real store that fails or waits where a test wants it to. A function that
// is nil does what the store does.
type shaky struct {
	*store.Embedded

	mu      sync.Mutex
	back    func(error) // who watches it
	put     func(user string, do func() error) error
	drop    func(user string) error
	restore func(routes []store.UserRoute, do func() error) error
	lease   func() error
	sweep   func() error
}

var errShaky = errors.New("the store is shaky today")

func newShaky(t testing.TB) *shaky {
	t.Helper()
	real, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Close() })
	return &shaky{Embedded: real}
}

// returns tells the node that the store was away and is back.
func (s *shaky) returns(t testing.TB) {
	t.Helper()
	servertest.Eventually(t, "the node watches its store", s.watched)
	s.mu.Lock()
	back := s.back
	s.mu.Unlock()
	back(nil)
}

func (s *shaky) Watch(changed func(error)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back = changed
	return func() {}
}

func (s *shaky) watched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.back != nil
}

func (s *shaky) PutRoute(ctx context.Context, user string, r store.Route) (old store.Route, had bool, err error) {
	do := func() (err error) {
		old, had, err = s.Embedded.PutRoute(ctx, user, r)
		return err
	}
	if s.put == nil {
		return old, had, do()
	}
	err = s.put(user, do)
	return old, had, err
}

func (s *shaky) DropRoute(ctx context.Context, user string, r store.Route) (bool, error) {
	if s.drop != nil {
		if err := s.drop(user); err != nil {
			return false, err
		}
	}
	return s.Embedded.DropRoute(ctx, user, r)
}

func (s *shaky) Restore(ctx context.Context, routes []store.UserRoute) (taken map[int]store.Route, err error) {
	do := func() (err error) {
		taken, err = s.Embedded.Restore(ctx, routes)
		return err
	}
	if s.restore == nil {
		return taken, do()
	}
	err = s.restore(routes, do)
	return taken, err
}

func (s *shaky) Lease(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	if s.lease != nil {
		if err := s.lease(); err != nil {
			return false, err
		}
	}
	return s.Embedded.Lease(ctx, name, ttl)
}

func (s *shaky) Sweep(ctx context.Context, pace int, publicIP string, stale func(string, store.Route) bool) (store.SweepReport, error) {
	if s.sweep != nil {
		if err := s.sweep(); err != nil {
			return store.SweepReport{}, err
		}
	}
	return s.Embedded.Sweep(ctx, pace, publicIP, stale)
}

// times fails so often, then no more.
func times(n int) func() error {
	var mu sync.Mutex
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return errShaky
		}
		return nil
	}
}

// board is a registry that a test writes.
type board struct {
	cluster.Registry

	mu      sync.Mutex
	peers   []cluster.Peer
	err     error
	changed func()
}

func (b *board) Join(_ context.Context, self cluster.Peer) error {
	b.write(func() { b.peers = append(b.peers, self) })
	return nil
}

func (b *board) Update(cluster.Peer) {}

func (b *board) Leave(context.Context) error { return nil }

func (b *board) Peers() ([]cluster.Peer, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.peers), true
}

func (b *board) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *board) Watch(changed func()) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed = changed
	return func() {}
}

func (b *board) write(change func()) {
	b.mu.Lock()
	change()
	changed := b.changed
	b.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// online tells whether the user has an online route.
func online(t testing.TB, s store.Store, user string) bool {
	t.Helper()
	all, err := s.Routes(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all[0], func(r store.Route) bool { return r.Online })
}

// A route that could not be taken back when the device unbound must not be taken back
// after it has bound again, on the same connection.
func TestLateDropSparesNewBind(t *testing.T) {
	t.Parallel()
	s, fail := newShaky(t), times(1)
	s.drop = func(string) error { return fail() }
	n := servertest.Start(t, func(o *server.Options) { o.Store = s })
	w := device(t, n, "dev-1", "android", "alice")
	w.send(raw(6, 0, 3, bindBody("alice", "", "")))
	w.want(raw(11, 0, 3, okBody(6, "unbind success")))
	if waiting := testutil.ToFloat64(n.Metrics.RouteDropsWaiting); waiting != 1 {
		t.Fatalf("%v routes wait to be taken back, want one", waiting)
	}
	w.bind("alice", "")
	servertest.Eventually(t, "no route waits to be taken back", func() bool { return testutil.ToFloat64(n.Metrics.RouteDropsWaiting) == 0 })
	if !online(t, s, "alice") {
		t.Error("the device is bound and its route is offline")
	}
}

// The same connection, the same user, but another client type: the first route goes.
func TestLateDropOfFormerClientType(t *testing.T) {
	t.Parallel()
	s, fail := newShaky(t), times(1)
	s.drop = func(string) error { return fail() }
	n := servertest.Start(t, func(o *server.Options) { o.Store = s })
	w := device(t, n, "dev-1", "android", "alice")
	w.handshake(newGreeting(t, "dev-2", "windows"))
	w.bind("alice", "")
	servertest.Eventually(t, "only the route of the second client type is online", func() bool {
		all, err := s.Routes(t.Context(), "alice")
		return err == nil && len(all[0]) == 2 && all[0][0].Online != all[0][1].Online
	})
}

// A connection that ends while its route is written has taken the user from another
// one all the same, which must hear of it: nobody has a route any more.
func TestBindThatCameToNothingKicks(t *testing.T) {
	t.Parallel()
	s := newShaky(t)
	shared := func(o *server.Options) { o.Store = s }
	a := servertest.Start(t, shared)
	b := servertest.Start(t, shared, func(o *server.Options) { o.ID = "node-2" })
	old := a.Dial(t, "old", "alice")
	late := b.Dial(t, "new", "")
	s.put = func(_ string, do func() error) error {
		err := do()
		b.Drain(1000)
		_, _ = b.Drained(context.Background())
		return err
	}
	_ = late.Bind(t.Context(), "alice", "", "")
	if err := awaitKick(old); err != nil {
		t.Errorf("the device whose route was replaced heard %v, want a kick", err)
	}
}

// The client type of a kick is whatever its sender wrote.
func TestKickOfOtherClientType(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	device(t, n, "dev-1", "android", "alice")
	r := onlyRoute(t, n, "alice")
	err := n.Store.SendKick(t.Context(), store.Kick{
		User: "alice", DeviceID: "dev-1", Connection: r.Connection, ClientType: protocol.ClientPC, Address: r.Address})
	if err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "the kicked device is not bound", func() bool { return len(n.Node.Devices("alice")) == 0 })
	servertest.Eventually(t, "nor does a route say so", func() bool { return !online(t, n.Store, "alice") })
}

// A store that fails once while routes are written again gets them all the same.
func TestResyncIsTriedAgain(t *testing.T) {
	t.Parallel()
	s, fail := newShaky(t), times(1)
	s.restore = func(_ []store.UserRoute, do func() error) error {
		if err := fail(); err != nil {
			return err
		}
		return do()
	}
	n := servertest.Start(t, func(o *server.Options) { o.Store = s })
	n.Dial(t, "dev-1", "alice")
	forget(t, s, "alice")
	s.returns(t)
	servertest.Eventually(t, "the route is written again", func() bool { return online(t, s, "alice") })
}

// forget takes a user's route offline as if the store had lost it.
func forget(t testing.TB, s *shaky, user string) {
	t.Helper()
	all, err := s.Routes(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	if dropped, err := s.Embedded.DropRoute(t.Context(), user, all[0][0]); err != nil || !dropped {
		t.Fatalf("%v, %v", dropped, err)
	}
}

// A sweep over millions of routes takes minutes. What devices need does not wait for it.
func TestResyncDuringSweep(t *testing.T) {
	t.Parallel()
	s := newShaky(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(begun); <-goOn })
	s.sweep = func() error { once(); return nil }
	n := servertest.Start(t, func(o *server.Options) { o.Store, o.Registry = s, &board{} })
	t.Cleanup(func() { close(goOn) })
	if err := n.Join(t.Context()); err != nil { // which wants a sweep
		t.Fatal(err)
	}
	<-begun
	n.Dial(t, "dev-1", "alice")
	forget(t, s, "alice")
	s.returns(t)
	servertest.Eventually(t, "the route is written again", func() bool { return online(t, s, "alice") })
}

// What the node says of when a device came is what the route said: another node that
// has the user since compares the two.
func TestRestoredRouteIsNoYounger(t *testing.T) {
	t.Parallel()
	s := newShaky(t)
	s.put = func(_ string, do func() error) error {
		err := do()
		time.Sleep(20 * time.Millisecond) // a slow answer
		return err
	}
	claims := make(chan store.UserRoute, 10)
	s.restore = func(routes []store.UserRoute, do func() error) error {
		claims <- routes[0]
		return do()
	}
	n := servertest.Start(t, func(o *server.Options) { o.Store = s })
	n.Dial(t, "dev-1", "alice")
	before := onlyRouteOf(t, s, "alice")
	s.returns(t)
	if claim := <-claims; claim.Since.UnixMilli() != before.Since.UnixMilli() {
		t.Errorf("the route came online at %v and is claimed since %v", before.Since, claim.Since)
	}
}

func onlyRouteOf(t testing.TB, s store.Store, user string) store.Route {
	t.Helper()
	all, err := s.Routes(t.Context(), user)
	if err != nil || len(all[0]) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0][0]
}

// A store that fails may have written the routes all the same, that of a device too that
// left in the meantime.
func TestFailedResyncLeavesNoRoute(t *testing.T) {
	t.Parallel()
	s := newShaky(t)
	asked, goOn := make(chan struct{}), make(chan struct{})
	s.restore = func(_ []store.UserRoute, do func() error) error {
		close(asked)
		<-goOn
		if err := do(); err != nil {
			return err
		}
		return errShaky
	}
	n := servertest.Start(t, func(o *server.Options) { o.Store = s })
	w := device(t, n, "dev-1", "android", "alice")
	s.returns(t)
	<-asked
	w.send(raw(6, 0, 3, bindBody("alice", "", "")))
	w.want(raw(11, 0, 3, okBody(6, "unbind success")))
	close(goOn)
	servertest.Eventually(t, "a route waits to be taken back", func() bool { return testutil.ToFloat64(n.Metrics.RouteDropsWaiting) == 1 })
	servertest.Eventually(t, "and is", func() bool { return !online(t, s, "alice") })
}

// A kick that nobody heard and nobody could send again: the node finds out by itself.
func TestLostKickIsFoundOut(t *testing.T) {
	t.Parallel()
	s := newShaky(t)
	n := servertest.Start(t, func(o *server.Options) { o.Store, o.SweepEvery = s, time.Second })
	phone := n.Dial(t, "dev-1", "alice")
	there := onlyRouteOf(t, s, "alice")
	there.Node, there.Address, there.Connection, there.Since = "node-2", "127.0.0.2:3001", "0123456789abcdef", time.Now().Add(time.Second)
	if _, _, err := s.Embedded.PutRoute(t.Context(), "alice", there); err != nil {
		t.Fatal(err)
	}
	if err := awaitKick(phone); err != nil {
		t.Errorf("the device heard %v, want a kick", err)
	}
	if r := onlyRouteOf(t, s, "alice"); r.Node != "node-2" {
		t.Errorf("the route is %+v", r)
	}
}

// The answer that a user is elsewhere may be older than the bind that brought it back.
func TestResyncSparesNewBind(t *testing.T) {
	t.Parallel()
	s := newShaky(t)
	asked, goOn := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(asked); <-goOn })
	s.restore = func(_ []store.UserRoute, do func() error) error {
		err := do()
		once()
		return err
	}
	n := servertest.Start(t, func(o *server.Options) { o.Store = s })
	w := device(t, n, "dev-1", "android", "alice")
	there := onlyRouteOf(t, s, "alice")
	there.Node, there.Address, there.Connection, there.Since = "node-2", "127.0.0.2:3001", "0123456789abcdef", time.Now().Add(time.Second)
	if _, _, err := s.Embedded.PutRoute(t.Context(), "alice", there); err != nil {
		t.Fatal(err)
	}
	s.returns(t)
	<-asked
	time.Sleep(5 * time.Millisecond)
	w.send(raw(6, 0, 3, bindBody("alice", "", "")))
	w.want(raw(11, 0, 3, okBody(6, "unbind success")))
	w.bind("alice", "")
	close(goOn)
	w.wantQuiet()
	r := onlyRouteOf(t, s, "alice")
	if len(n.Node.Devices("alice")) != 1 || !r.Online || r.Node != "node-1" {
		t.Errorf("devices %+v, route %+v", n.Node.Devices("alice"), r)
	}
}

// Two nodes that announce one address, which is a mistake, do not take each other's
// devices for gone.
func TestSweepSparesNodeWithSameAddress(t *testing.T) {
	t.Parallel()
	s, b := newShaky(t), &board{}
	same := func(o *server.Options) { o.Store, o.Registry, o.Advertise.Gateway = s, b, "127.0.0.1:3001" }
	first := servertest.Start(t, same)
	if err := first.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Dial(t, "dev-1", "alice")
	_, _, err := s.PutRoute(t.Context(), "of an earlier id", store.Route{
		Node: "node-0", Address: "127.0.0.1:3001", Connection: "0123456789abcdef", ClientType: protocol.ClientMobile})
	if err != nil {
		t.Fatal(err)
	}
	second := servertest.Start(t, same, func(o *server.Options) { o.ID = "node-2" })
	if err := second.Join(t.Context()); err != nil { // which sweeps
		t.Fatal(err)
	}
	servertest.Eventually(t, "what nobody holds is swept", func() bool { return !online(t, s, "of an earlier id") })
	servertest.Eventually(t, "the sweep is over", func() bool { return testutil.ToFloat64(second.Metrics.RouteSweeps(true)) > 0 })
	if !online(t, s, "alice") {
		t.Error("a node took the device of another one for gone")
	}
}

// The routes of a node that dies are looked for, whatever else is broken at that time.
func TestDeadNodeIsSwept(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		state cluster.State
		adapt func(*shaky)
		away  bool // the registry, right after
	}{
		"serving":                    {state: cluster.Serving},
		"draining":                   {state: cluster.Draining},
		"the lease cannot be had":    {state: cluster.Serving, adapt: func(s *shaky) { s.lease = times(1) }},
		"the sweep breaks":           {state: cluster.Serving, adapt: func(s *shaky) { s.sweep = failAfterFirst() }},
		"the registry goes away too": {state: cluster.Serving, away: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShaky(t)
			if test.adapt != nil {
				test.adapt(s)
			}
			const address = "127.0.0.9:3001"
			b := &board{peers: []cluster.Peer{{ID: "node-9", Gateway: address, State: test.state, Link: 1}}}
			n := servertest.Start(t, func(o *server.Options) { o.Store, o.Registry, o.SweepEvery = s, b, 24*time.Hour })
			if err := n.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			servertest.Eventually(t, "the node looked around", func() bool {
				return s.watched() && testutil.ToFloat64(n.Metrics.RouteSweeps(true)) > 0
			})
			_, _, err := s.PutRoute(t.Context(), "alice", store.Route{
				Node: "node-9", Address: address, Connection: "0123456789abcdef", ClientType: protocol.ClientMobile, Since: time.Now().Add(-time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			b.write(func() { b.peers = b.peers[1:] })
			if test.away {
				time.Sleep(100 * time.Millisecond)
				b.write(func() { b.err = errShaky })
				time.Sleep(6 * time.Second)
				if !online(t, s, "alice") {
					t.Error("a node was taken for dead while the registry was away")
				}
				b.write(func() { b.err = nil })
			}
			servertest.Eventually(t, "the route of the dead node is offline", func() bool { return !online(t, s, "alice") })
		})
	}
}

// failAfterFirst lets the sweep at the start of a node pass and breaks the next.
func failAfterFirst() func() error {
	var mu sync.Mutex
	calls := 0
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls == 2 {
			return errShaky
		}
		return nil
	}
}
