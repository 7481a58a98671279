package store

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The operations that a cluster of one node hardly needs are here all the same, so
// that nobody has to ask which store there is. Sessions and routes are in embedded.go.

// Restore implements [Store].
func (s *Embedded) Restore(ctx context.Context, all []UserRoute) (taken map[int]Route, err error) {
	taken = make(map[int]Route)
	for i, r := range all {
		if r.User == "" || r.Connection == "" {
			return nil, errNoOwner
		}
		standing, err := s.restore(ctx, r)
		if err != nil {
			return nil, err
		}
		if standing != nil {
			taken[i] = *standing
		}
	}
	return taken, nil
}

// restore returns the route that stands instead.
func (s *Embedded) restore(ctx context.Context, r UserRoute) (*Route, error) {
	if err := s.journal.reserve(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if r.Since.IsZero() {
		r.Since = s.now()
	}
	key := routeKey{r.User, r.ClientType}
	if old := s.routes.byKey[key]; old != nil && old.newer(r.Connection, r.Since) {
		standing := old.expand()
		return &standing, nil
	}
	r.Online = true
	s.routes.put(r.User, r.Route)
	s.journalRoute(key, r.Route)
	return nil, nil
}

// newer reports whether another connection came online since.
func (r *route) newer(connection string, since time.Time) bool {
	return r.connection != "" && r.connection != connection && r.since >= since.UnixMilli()
}

// sweepStep is how many routes a sweep reads under one hold of the lock.
const sweepStep = 500

// Sweep implements [Store]. Routes that are written while it walks are not visited.
// There is no list to clean: it is counted from the routes.
func (s *Embedded) Sweep(ctx context.Context, pace int, _ string, stale func(user string, r Route) bool) (report SweepReport, err error) {
	keys, err := s.routeKeys()
	if err != nil {
		return report, err
	}
	for part := range slices.Chunk(keys, sweepStep) {
		started := time.Now()
		for _, r := range s.routesOf(part) {
			report.Routes++
			if !r.Online || !stale(r.User, r.Route) {
				continue
			}
			dropped, err := s.DropRoute(ctx, r.User, r.Route)
			if err != nil {
				return report, err
			}
			if dropped {
				report.Stale++
			}
		}
		if err := rest(ctx, s.stop, pace, len(part), started); err != nil {
			return report, err
		}
	}
	return report, nil
}

func (s *Embedded) routeKeys() ([]routeKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	keys := make([]routeKey, 0, len(s.routes.byKey))
	for key := range s.routes.byKey {
		keys = append(keys, key)
	}
	return keys, nil
}

func (s *Embedded) routesOf(keys []routeKey) (all []UserRoute) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if r := s.routes.byKey[key]; r != nil {
			all = append(all, UserRoute{key.user, r.expand()})
		}
	}
	return all
}

// rest waits until n routes may have been visited since started, at pace routes a
// second or, if that is not positive, as fast as it goes. stop ends it early.
func rest(ctx context.Context, stop <-chan struct{}, pace, n int, started time.Time) error {
	if pace <= 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(n)*time.Second/time.Duration(pace) - time.Since(started))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sweep of routes: %w", ctx.Err())
	case <-stop:
		return ErrClosed
	}
}

// OnlineUsers implements [Store].
func (s *Embedded) OnlineUsers(_ context.Context, publicIP string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	return s.routes.listed[publicIP], nil
}

// Lease implements [Store].
func (s *Embedded) Lease(_ context.Context, name string, ttl time.Duration) (bool, error) {
	if ttl < time.Millisecond {
		return false, errLeaseTTL(name, ttl)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, ErrClosed
	}
	now := s.now()
	for other, until := range s.leases { // there are few
		if !until.After(now) {
			delete(s.leases, other)
		}
	}
	if _, taken := s.leases[name]; taken {
		return false, nil
	}
	s.leases[name] = now.Add(ttl)
	return true, nil
}

func errLeaseTTL(name string, ttl time.Duration) error {
	return fmt.Errorf("store: lease %s for %v: want a millisecond or more", name, ttl)
}

// Ping implements [Store]: it is [Embedded.Err], or says that the store is closed.
func (s *Embedded) Ping(context.Context) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return s.Err()
}

var _ Store = (*Embedded)(nil)
