package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// TestModel compares stores with a model of routes and online lists.
func TestModel(t *testing.T) {
	server := backing.StartRedis(t)
	t.Run("embedded", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) {
			c := newClock()
			s, err := Open(Options{Now: c.Now})
			if err != nil {
				r.Fatal(err)
			}
			defer s.Close()
			checkModel(r, s, c)
		})
	})
	t.Run("redis", func(t *testing.T) {
		c := newClock()
		s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
		rapid.Check(t, func(r *rapid.T) {
			server.Do("FLUSHDB")
			checkModel(r, s, c)
		})
	})
}

const modelNodes = 3

// model is what a store must hold.
type model struct {
	clock  *clock
	routes map[routeKey]Route
}

func (m *model) draw(t *rapid.T) (string, Route) {
	r := on(m.clock, fmt.Sprint("10.0.0.", rapid.IntRange(1, modelNodes).Draw(t, "node")), rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(t, "connection"))
	r.ClientType = rapid.SampledFrom(protocol.ClientTypes()).Draw(t, "class")
	return rapid.SampledFrom([]string{"a", "b"}).Draw(t, "user"), r
}

// listed is how many users have an online route there.
func (m *model) listed(list string) int {
	users := make(map[string]bool)
	for key, r := range m.routes {
		if r.Online && r.List() == list {
			users[key.user] = true
		}
	}
	return len(users)
}

func checkModel(t *rapid.T, s Store, c *clock) {
	m := &model{clock: c, routes: make(map[routeKey]Route)}
	ctx := context.Background()
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			user, r := m.draw(t)
			key := routeKey{user, r.ClientType}
			old, had, err := s.PutRoute(ctx, user, r)
			want, wantHad := m.routes[key]
			if err != nil || had != wantHad || !sameRoute(old, want) {
				t.Fatalf("replaced %+v, %v, %v; want %+v, %v", old, had, err, want, wantHad)
			}
			m.routes[key] = r
		},
		"drop": func(t *rapid.T) {
			user, r := m.draw(t)
			key := routeKey{user, r.ClientType}
			owned := m.routes[key].Online && m.routes[key].Connection == r.Connection
			if got, err := s.DropRoute(ctx, user, r); err != nil || got != owned {
				t.Fatalf("dropped %v, %v; want %v", got, err, owned)
			}
			if owned {
				if node := m.routes[key]; node.Address != r.Address { // the list of the other node is not touched
					node.Connection = r.Connection
					if _, err := s.DropRoute(ctx, user, node); err != nil {
						t.Fatal(err)
					}
				}
				m.routes[key] = gone(c, m.routes[key])
			}
		},
		"restore": func(t *rapid.T) {
			user, r := m.draw(t)
			r.Since = r.Since.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Second)
			key := routeKey{user, r.ClientType}
			old := m.routes[key]
			stands := old.Online && old.Connection != r.Connection && !old.Since.Before(r.Since)
			taken, err := s.Restore(ctx, []UserRoute{{user, r}})
			if err != nil || (len(taken) == 1) != stands || stands && !sameRoute(taken[0], old) {
				t.Fatalf("taken %+v, %v; want %v %+v", taken, err, stands, old)
			}
			if !stands {
				m.routes[key] = r
			}
		},
		"sweep": func(t *rapid.T) {
			lost := fmt.Sprint("10.0.0.", rapid.IntRange(1, modelNodes).Draw(t, "lost"))
			want := 0
			for key, r := range m.routes {
				if r.Online && r.List() == lost {
					m.routes[key] = gone(c, r)
					want++
				}
			}
			report, err := s.Sweep(ctx, 0, lost, func(_ string, r Route) bool { return r.List() == lost })
			if err != nil || report.Routes != len(m.routes) || report.Stale != want {
				t.Fatalf("%+v, %v; want %d of %d", report, err, want, len(m.routes))
			}
		},
		"time": func(*rapid.T) { c.advance(time.Second) },
		"":     func(t *rapid.T) { m.compare(t, s) },
	})
}

func (m *model) compare(t *rapid.T, s Store) {
	users := []string{"a", "b"}
	found, err := s.Routes(context.Background(), users...)
	if err != nil {
		t.Fatal(err)
	}
	for i, user := range users {
		var want []Route
		for _, class := range protocol.ClientTypes() {
			if r, ok := m.routes[routeKey{user, class}]; ok {
				want = append(want, r)
			}
		}
		if len(found[i]) != len(want) {
			t.Fatalf("%s: %+v, want %+v", user, found[i], want)
		}
		for j := range want {
			if !sameRoute(found[i][j], want[j]) {
				t.Fatalf("%s:\n got %+v\nwant %+v", user, found[i][j], want[j])
			}
		}
	}
	for i := range modelNodes {
		list := fmt.Sprint("10.0.0.", i+1)
		if n, err := s.OnlineUsers(context.Background(), list); err != nil || n != m.listed(list) {
			t.Fatalf("%d online at %s, %v; want %d", n, list, err, m.listed(list))
		}
	}
}

// several are the stores of several nodes over the same data; each call of a route
// goes to the next one.
type several struct {
	Store
	all  []Store
	next atomic.Int64
}

func (s *several) pick() Store { return s.all[int(s.next.Add(1))%len(s.all)] }

// PutRoute implements [Store].
func (s *several) PutRoute(ctx context.Context, user string, r Route) (Route, bool, error) {
	return s.pick().PutRoute(ctx, user, r)
}

// DropRoute implements [Store].
func (s *several) DropRoute(ctx context.Context, user string, r Route) (bool, error) {
	return s.pick().DropRoute(ctx, user, r)
}

// Restore implements [Store].
func (s *several) Restore(ctx context.Context, routes []UserRoute) (map[int]Route, error) {
	return s.pick().Restore(ctx, routes)
}

func TestSeveralNodes(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	nodes := &several{}
	for range 3 {
		nodes.all = append(nodes.all, openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now}))
	}
	nodes.Store = nodes.all[0]
	for range 20 {
		server.Do("FLUSHALL")
		conformConcurrent(t, nodes, c)
		server.Do("FLUSHALL")
		conformConcurrentRestore(t, nodes, c)
	}
}

// TestDuplicateLogin logs a user in on two nodes at once. One of the two learns of
// the other and has it kicked; the route that remains is the other's.
func TestDuplicateLogin(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	nodes := []Store{
		openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now}),
		openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now}),
	}
	for i := range 1000 {
		user := fmt.Sprint("u", i)
		var kicked [2]string
		var both sync.WaitGroup
		for n, s := range nodes {
			both.Go(func() {
				r := on(c, fmt.Sprint("10.0.0.", n+1), fmt.Sprint("c", n))
				if old, had, err := s.PutRoute(t.Context(), user, r); err != nil {
					t.Error(err)
				} else if had {
					kicked[n] = old.Connection
				}
			})
		}
		both.Wait()
		winner := 0
		if kicked == [2]string{"", "c0"} {
			winner = 1
		} else if kicked != [2]string{"c1", ""} {
			t.Fatalf("kicked %q", kicked)
		}
		loser := on(c, fmt.Sprint("10.0.0.", 2-winner), fmt.Sprint("c", 1-winner))
		if dropped, err := nodes[1-winner].DropRoute(t.Context(), user, loser); err != nil || dropped {
			t.Fatal("the kicked connection took the route offline", err)
		}
		found, err := nodes[winner].Routes(t.Context(), user)
		if err != nil || len(found[0]) != 1 || found[0][0].Connection != fmt.Sprint("c", winner) {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	first, err := nodes[0].OnlineUsers(t.Context(), "10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	wantListed(t, nodes[0], "10.0.0.2", 1000-first)
}
