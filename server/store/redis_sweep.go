package store

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sweep implements [Store]. Routes that are written while it walks may be missed;
// keys that move between servers of a cluster may be met twice or not at all.
func (s *Redis) Sweep(ctx context.Context, pace int, publicIP string, stale func(user string, r Route) bool) (SweepReport, error) {
	w := &sweep{store: s, pace: pace, stale: stale}
	masters, err := s.masters(ctx)
	if err != nil {
		return w.report, err
	}
	for _, master := range masters {
		if err := w.walk(ctx, master); err != nil {
			return w.report, err
		}
	}
	if publicIP == "" {
		return w.report, nil
	}
	return w.report, w.clean(ctx, publicIP)
}

// masters are the servers that hold keys.
func (s *Redis) masters(ctx context.Context) (all []redis.Cmdable, err error) {
	c, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{s.client}, nil
	}
	var mu sync.Mutex
	err = s.call(ctx, "list the masters", func(ctx context.Context) error {
		return c.ForEachMaster(ctx, func(_ context.Context, m *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, m)
			return nil
		})
	})
	return all, err
}

// sweep is one walk over all routes.
type sweep struct {
	store  *Redis
	pace   int // routes a second; 0 or less: as fast as it goes
	stale  func(user string, r Route) bool
	report SweepReport
}

// walk visits the routes of one server.
func (w *sweep) walk(ctx context.Context, server redis.Cmdable) error {
	for cursor := uint64(0); ; {
		var keys []string
		err := w.store.call(ctx, "scan routes", func(ctx context.Context) (err error) {
			keys, cursor, err = server.Scan(ctx, cursor, routePrefix+"*", w.step()).Result()
			return err
		})
		if err != nil {
			return err
		}
		for i, key := range keys {
			keys[i] = strings.TrimPrefix(key, routePrefix)
		}
		for users := range slices.Chunk(keys, chunk) {
			if err := w.visit(ctx, users); err != nil {
				return err
			}
		}
		if cursor == 0 {
			return nil
		}
	}
}

// step is how many keys to ask for at a time: a tenth of a second's worth.
func (w *sweep) step() int64 {
	if w.pace <= 0 {
		return chunk
	}
	return int64(min(max(w.pace/10, 10), chunk))
}

// visit takes the stale routes of some users offline.
func (w *sweep) visit(ctx context.Context, users []string) error {
	started := time.Now()
	all, err := w.store.Routes(ctx, users...)
	if err != nil {
		return err
	}
	var stale []UserRoute
	seen := 0
	for i, routes := range all {
		seen += len(routes)
		for _, r := range routes {
			if r.Online && w.stale(users[i], r) {
				stale = append(stale, UserRoute{users[i], r})
			}
		}
	}
	w.report.Routes += seen
	for part := range slices.Chunk(stale, chunk) {
		n, err := w.store.drop(ctx, part)
		w.report.Stale += n
		if err != nil {
			return err
		}
	}
	return rest(ctx, w.store.life.Done(), w.pace, seen, started)
}

// clean takes users off an online list who have no route on it. Nobody knows on
// which list a Java node's users are: they stay while they are online.
func (w *sweep) clean(ctx context.Context, list string) error {
	for cursor := uint64(0); ; {
		var members []string // user, score, user, score
		err := w.store.call(ctx, "scan an online list", func(ctx context.Context) (err error) {
			members, cursor, err = w.store.client.ZScan(ctx, listPrefix+list, cursor, "", w.step()).Result()
			return err
		})
		if err != nil {
			return err
		}
		var users []string
		for pair := range slices.Chunk(members, 2) {
			users = append(users, pair[0])
		}
		for part := range slices.Chunk(users, chunk) {
			if err := w.strike(ctx, list, part); err != nil {
				return err
			}
		}
		if cursor == 0 {
			return nil
		}
	}
}

// strike takes those of the users off the list who are not online.
func (w *sweep) strike(ctx context.Context, list string, users []string) error {
	started := time.Now()
	all, err := w.store.Routes(ctx, users...)
	if err != nil {
		return err
	}
	b := &batch{}
	for i, routes := range all {
		listed := func(r Route) bool { return r.Online && (r.List() == list || r.Node == "") }
		if !slices.ContainsFunc(routes, listed) {
			b.lists = append(b.lists, &listing{user: users[i], list: list})
		}
	}
	err = w.store.call(ctx, keepList, func(ctx context.Context) error { return w.store.run(ctx, b) })
	if err != nil {
		return err
	}
	for _, l := range b.lists {
		if !l.on {
			w.report.Unlisted++
		}
	}
	return rest(ctx, w.store.life.Done(), w.pace, len(users), started)
}
