package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrAway is what a guarded store answers at once while it is known not to work. The
// error that wraps it says why.
var ErrAway = errors.New("the store is away")

// GuardOptions configure a [Guard]; the zero value is usable.
type GuardOptions struct {
	// Every is the time between two pings; 0 means one second, half of it while the
	// store is away.
	Every time.Duration
	// Timeout bounds a ping; 0 means two seconds. A store that bounds its pings itself
	// says more of what is wrong if this is longer.
	Timeout time.Duration
	// Logger hears when the store goes away and comes back; nil: nobody.
	Logger *slog.Logger
}

// Guard knows whether a store works and, while it does not, answers for it at once:
// thousands of callers that each wait for a timeout would take every worker. It
// pings the store; two failures in a row mean that it is away, one success that it
// is back. A store that only takes no writes, see [TakesNoWrites], is still read.
type Guard struct {
	Store
	options GuardOptions
	away    atomic.Pointer[error]

	mu       sync.Mutex
	watchers map[*guardWatcher]struct{}

	cancel context.CancelFunc
	done   chan struct{}
}

// NewGuard guards a store, which it closes with itself.
func NewGuard(inner Store, o GuardOptions) *Guard {
	if o.Every <= 0 {
		o.Every = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Guard{Store: inner, options: o, watchers: map[*guardWatcher]struct{}{}, cancel: cancel, done: make(chan struct{})}
	go g.run(ctx)
	return g
}

// Err is why the store is away, nil while it works.
func (g *Guard) Err() error {
	if err := g.away.Load(); err != nil {
		return *err
	}
	return nil
}

// Watch calls changed with Err after every change, one call at a time and never after
// the returned function has returned. changed must not call that function, and should
// not block: the pings wait for it.
func (g *Guard) Watch(changed func(error)) (stop func()) {
	w := &guardWatcher{changed: changed}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watchers[w] = struct{}{}
	return func() {
		g.mu.Lock()
		delete(g.watchers, w)
		g.mu.Unlock()
		w.stop()
	}
}

// guardWatcher is one call of Watch. Its lock is held while changed runs, that of the
// guard is not.
type guardWatcher struct {
	changed func(error)
	mu      sync.Mutex
	stopped bool
}

func (w *guardWatcher) tell(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.changed(err)
	}
}

// stop returns when changed does not run and will not.
func (w *guardWatcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
}

// Close ends the pings and closes the store.
func (g *Guard) Close() error {
	g.cancel()
	<-g.done
	return g.Store.Close()
}

func (g *Guard) run(ctx context.Context) {
	defer close(g.done)
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		switch err := g.ping(ctx); {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures = 0
			g.set(nil)
		default:
			if failures++; failures >= 2 {
				g.set(err)
			}
		}
		next := g.options.Every
		if failures > 0 {
			next /= 2
		}
		timer.Reset(next)
	}
}

func (g *Guard) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	return g.Store.Ping(ctx)
}

// set notes why the store is away, nil if it is not, and reports a change.
func (g *Guard) set(reason error) {
	before := g.Err()
	if reason != nil {
		err := fmt.Errorf("%w: %w", ErrAway, reason)
		g.away.Store(&err)
	} else {
		g.away.Store(nil)
	}
	turned := (before == nil) != (reason == nil)
	if turned || TakesNoWrites(before) != TakesNoWrites(reason) {
		g.say(reason)
	}
	if !turned {
		return
	}
	err := g.Err()
	for _, w := range g.watching() {
		w.tell(err)
	}
}

func (g *Guard) say(reason error) {
	switch log := g.options.Logger; {
	case reason == nil:
		log.Info("the store is back")
	case TakesNoWrites(reason):
		log.Error("the store takes no writes: devices stay connected and are found, but none can log in", "err", reason)
	default:
		log.Error("the store is away: devices stay connected, but none can log in and other nodes' devices cannot be found", "err", reason)
	}
}

// watching are those to be told now.
func (g *Guard) watching() []*guardWatcher {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.watchers))
}

// readErr is why the store is not to be read.
func (g *Guard) readErr() error {
	if err := g.Err(); !TakesNoWrites(err) {
		return err
	}
	return nil
}

// SaveSession implements [Store].
func (g *Guard) SaveSession(ctx context.Context, id string, v Session) error {
	if err := g.Err(); err != nil {
		return err
	}
	return g.Store.SaveSession(ctx, id, v)
}

// LoadSession implements [Store].
func (g *Guard) LoadSession(ctx context.Context, id string) (Session, bool, error) {
	if err := g.readErr(); err != nil {
		return Session{}, false, err
	}
	return g.Store.LoadSession(ctx, id)
}

// PutRoute implements [Store].
func (g *Guard) PutRoute(ctx context.Context, user string, r Route) (Route, bool, error) {
	if err := g.Err(); err != nil {
		return Route{}, false, err
	}
	return g.Store.PutRoute(ctx, user, r)
}

// DropRoute implements [Store].
func (g *Guard) DropRoute(ctx context.Context, user string, r Route) (bool, error) {
	if err := g.Err(); err != nil {
		return false, err
	}
	return g.Store.DropRoute(ctx, user, r)
}

// Restore implements [Store].
func (g *Guard) Restore(ctx context.Context, routes []UserRoute) (map[int]Route, error) {
	if err := g.Err(); err != nil {
		return nil, err
	}
	return g.Store.Restore(ctx, routes)
}

// Routes implements [Store].
func (g *Guard) Routes(ctx context.Context, users ...string) ([][]Route, error) {
	if err := g.readErr(); err != nil {
		return nil, err
	}
	return g.Store.Routes(ctx, users...)
}

// OnlineUsers implements [Store].
func (g *Guard) OnlineUsers(ctx context.Context, publicIP string) (int, error) {
	if err := g.readErr(); err != nil {
		return 0, err
	}
	return g.Store.OnlineUsers(ctx, publicIP)
}

// Lease implements [Store].
func (g *Guard) Lease(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	if err := g.Err(); err != nil {
		return false, err
	}
	return g.Store.Lease(ctx, name, ttl)
}

// SendKick implements [Store].
func (g *Guard) SendKick(ctx context.Context, k Kick) error {
	if err := g.Err(); err != nil {
		return err
	}
	return g.Store.SendKick(ctx, k)
}

// Task implements [Store].
func (g *Guard) Task(ctx context.Context, task string, sent int) (TaskState, error) {
	if err := g.Err(); err != nil {
		return TaskState{}, err
	}
	return g.Store.Task(ctx, task, sent)
}

// TaskReached implements [Store].
func (g *Guard) TaskReached(ctx context.Context, task string, users []string) error {
	if err := g.Err(); err != nil {
		return err
	}
	return g.Store.TaskReached(ctx, task, users)
}

var _ Store = (*Guard)(nil)
