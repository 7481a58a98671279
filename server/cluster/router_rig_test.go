package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// puppet is a node whose every answer a test decides. Real nodes and links are tested
// elsewhere; here it is about what the router makes of their answers.
type puppet struct {
	answer func(handed) // nil: sent to one connection at once

	mu      sync.Mutex
	info    Info
	handed  []handed
	devices map[string][]Device
	kicks   []string
	cancels []string
}

// handed is a push that a puppet got.
type handed struct {
	node  *puppet
	p     *Push
	users []string // nil: a broadcast
	t     Tracker
	list  bool
}

func node(id string) *puppet {
	return &puppet{
		info:    Info{ID: id, Gateway: id + ":3001", State: Serving, Weight: 1},
		devices: make(map[string][]Device),
	}
}

func (n *puppet) change(f func(*Info)) *puppet {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.info)
	return n
}

func (n *puppet) Info() Info {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.info
}

func (n *puppet) take(h handed) {
	h.node = n
	n.mu.Lock()
	n.handed = append(n.handed, h)
	n.mu.Unlock()
	if n.answer != nil {
		n.answer(h)
		return
	}
	h.end(protocol.OutcomeSent)
}

// end answers for every user.
func (h handed) end(o protocol.Outcome) {
	r := Result{Node: h.node.info.ID, Outcome: o}
	if o != protocol.OutcomeOffline {
		r.Deliveries[o] = 1
	}
	h.done(r)
}

func (h handed) done(r Result) {
	if !h.list {
		h.t.Done(r)
		return
	}
	for _, user := range h.users {
		r.User = user
		h.t.Done(r)
	}
}

func (n *puppet) Push(p *Push, user string, t Tracker) {
	n.take(handed{p: p, users: []string{user}, t: t})
}

func (n *puppet) PushAll(p *Push, users []string, t Tracker) {
	n.take(handed{p: p, users: users, t: t, list: true})
}

func (n *puppet) Broadcast(p *Push, t Tracker) { n.take(handed{p: p, t: t}) }

func (n *puppet) Cancel(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cancels = append(n.cancels, id)
}

func (n *puppet) Drain(int) {}

func (n *puppet) Devices(user string) []Device {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.devices[user])
}

func (n *puppet) Kick(user string, types ...protocol.ClientType) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kicks = append(n.kicks, fmt.Sprint(user, types))
	return len(n.devices[user])
}

// pushes is what the node got so far.
func (n *puppet) pushes() []handed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.handed)
}

// holds makes the node of this process hold a device.
func (n *puppet) holds(user string, types ...protocol.ClientType) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range types {
		n.devices[user] = append(n.devices[user], Device{
			ClientType: t, Node: n.info.ID, Connection: "c-" + t.String(), Online: true, Transport: "tls", Tags: "vip"})
	}
}

// shaky is a store that can be made to fail or hang.
type shaky struct {
	store.Store
	calls   atomic.Int32
	users   atomic.Int32 // that were asked for
	fail    atomic.Bool
	hang    atomic.Bool
	release chan struct{} // lets calls that hang go on

	mu    sync.Mutex
	kicks []store.Kick
}

var errShaky = errors.New("the test broke the store")

func (s *shaky) trouble(ctx context.Context) error {
	if s.hang.Load() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.release:
		}
	}
	if s.fail.Load() {
		return errShaky
	}
	return nil
}

func (s *shaky) Routes(ctx context.Context, users ...string) ([][]store.Route, error) {
	s.calls.Add(1)
	s.users.Add(int32(len(users)))
	if err := s.trouble(ctx); err != nil {
		return nil, err
	}
	return s.Store.Routes(ctx, users...)
}

func (s *shaky) Ping(ctx context.Context) error {
	if err := s.trouble(ctx); err != nil {
		return err
	}
	return s.Store.Ping(ctx)
}

func (s *shaky) SendKick(_ context.Context, k store.Kick) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicks = append(s.kicks, k)
	return nil
}

// roster is a membership that tests change. It finds nodes by itself, or leaves it to
// the router.
type roster struct {
	mu    sync.Mutex
	list  []Member
	blind bool
}

func (m *roster) List() ([]Member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list, !m.blind
}

func (m *roster) set(list ...Member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = list
}

// rig is a router over puppets and a real store.
type rig struct {
	*Router
	t       testing.TB
	store   *shaky
	members *roster
	metrics *exporter.Metrics
	log     *logged
}

type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

// newRig makes a router in the process of local, which may be nil, beside others.
func newRig(t testing.TB, local *puppet, others ...*puppet) *rig {
	t.Helper()
	return rigOver(t, nil, local, others...)
}

func rigOver(t testing.TB, change func(*RouterOptions), local *puppet, others ...*puppet) *rig {
	t.Helper()
	embedded, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: &shaky{Store: embedded, release: make(chan struct{})}, members: &roster{}, log: &logged{}}
	r.metrics = exporter.New(prometheus.NewRegistry())
	o := RouterOptions{Members: r.members, Store: r.store, Metrics: r.metrics, Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	if local != nil {
		o.Local = local
		r.members.list = append(r.members.list, local)
	}
	for _, n := range others {
		r.members.list = append(r.members.list, n)
	}
	if change != nil {
		change(&o)
	}
	if r.Router, err = NewRouter(o); err != nil {
		t.Fatal(err)
	}
	r.confirm = 5 * time.Millisecond
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(r.Close(ctx), embedded.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

const long = 10 * time.Minute // ago: a route is not young any more

// route makes a user's device known, on the node with that id and bound some time ago.
func (r *rig) route(user, node string, class protocol.ClientType, connection string, ago time.Duration) {
	r.t.Helper()
	_, _, err := r.store.PutRoute(context.Background(), user, store.Route{
		Node: node, Address: node + ":3001", Connection: connection, DeviceID: "d-" + user, ClientType: class,
		Since: time.Now().Add(-ago), Online: true,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// online tells whether a user's device of that class is so by the store.
func (r *rig) online(user string, class protocol.ClientType) bool {
	r.t.Helper()
	all, err := r.store.Store.Routes(context.Background(), user)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, route := range all[0] {
		if route.ClientType == class {
			return route.Online
		}
	}
	return false
}

func (r *rig) stale(kind exporter.StaleRoute) int {
	return int(testutil.ToFloat64(r.metrics.RoutesStale(kind)))
}

func (r *rig) retried(result exporter.Result) int {
	return int(testutil.ToFloat64(r.metrics.PushesRetried(result)))
}

// ends is a tracker that counts what it is told.
type ends struct {
	mu       sync.Mutex
	routed   []string
	progress []Result
	results  []Result
	late     int // calls of Progress after Done
}

func (e *ends) Reached(s protocol.Stage, node string, _ time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s == protocol.StageRouted {
		e.routed = append(e.routed, node)
	}
}

func (e *ends) Progress(r Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.progress = append(e.progress, r)
	if len(e.results) > 0 {
		e.late++
	}
}

func (e *ends) Done(r Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.results = append(e.results, r)
}

func (e *ends) all() []Result {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.results)
}

// told is the progress so far.
func (e *ends) told() []Result {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.progress)
}

func (e *ends) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.results)
}

// wait returns the results when there are n.
func (e *ends) wait(t testing.TB, n int) []Result {
	t.Helper()
	eventually(t, fmt.Sprint(n, " results"), func() bool { return e.count() >= n })
	results := e.all()
	if len(results) != n {
		t.Fatalf("%d results, want %d: %+v", len(results), n, results)
	}
	return results
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}

func push(types ...protocol.ClientType) *Push {
	return &Push{ID: "m", Content: []byte("hi"), ClientTypes: types, Accepted: time.Now()}
}

// send pushes to one user and returns the result.
func (r *rig) send(p *Push, user string) Result {
	r.t.Helper()
	e := &ends{}
	r.Push(p, user, e)
	return e.wait(r.t, 1)[0]
}

func (r *rig) want(got Result, outcome protocol.Outcome, node string) {
	r.t.Helper()
	if got.Outcome != outcome || got.Node != node || got.Unsent || got.Moved {
		r.t.Errorf("result %+v, want %v by %q", got, outcome, node)
	}
}

const (
	mobile = protocol.ClientMobile
	pc     = protocol.ClientPC
	web    = protocol.ClientWeb
)
