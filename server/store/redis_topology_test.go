package store

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// TestSentinelFailover loses the master: the store goes on with the replica.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	sentinels, master, servers := backing.StartSentinel(t)
	c := newClock()
	s := openRedis(t, RedisOptions{Mode: ModeSentinel, Addresses: sentinels, Master: master, Now: c.Now})
	e := listen(t, s, here)
	r := testRoute(c, "c1")
	mustPut(t, s, "u", r)
	eventually(t, "the replica has the route", func() bool { return servers[1].Text("EXISTS", "mp:ur:u") == "1" })
	servers[0].Kill()
	eventually(t, "the store writes again", func() bool { return s.Ping(t.Context()) == nil })
	wantRoutes(t, s, "u", r)
	if old, had := mustPut(t, s, "u", testRoute(c, "c2")); !had || old.Connection != "c1" {
		t.Errorf("%+v, %v", old, had)
	}
	e.awaitJoined(t)
	mustKick(t, s, Kick{User: "u", Address: here})
	e.next(t)
}

// TestSlotsMoveUnderLoad moves all used slots of one server to another while users
// bind and leave. Nothing fails, nobody is lost, and scripts work on their new server.
func TestSlotsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	servers := backing.StartRedisCluster(t, 3)
	c := newClock()
	s := openRedis(t, RedisOptions{Mode: ModeCluster, Addresses: []string{servers[0].Addr}, Now: c.Now})
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var rounds atomic.Int64
	const workers = 8
	for w := range workers {
		all.Go(func() {
			user, last := fmt.Sprint("worker", w), ""
			for i := 0; ctx.Err() == nil; i++ {
				r := on(c, "10.0.0.1", fmt.Sprint(w, "-", i))
				old, had, err := s.PutRoute(t.Context(), user, r)
				if err != nil || had != (i > 0) || old.Connection != last {
					t.Errorf("%s: replaced %q of %q, %v, %v", user, old.Connection, last, had, err)
					return
				}
				last = r.Connection
				if i%3 == 0 {
					if ok, err := s.DropRoute(t.Context(), user, r); err != nil || !ok {
						t.Errorf("%s: dropped %v, %v", user, ok, err)
						return
					}
					last = ""
				}
				rounds.Add(1)
			}
		})
	}
	var users []string
	var routes []UserRoute
	for i := range 300 {
		users = append(users, fmt.Sprint("u", i))
		routes = append(routes, UserRoute{users[i], testRoute(c, fmt.Sprint("c", i))})
	}
	mustRestore(t, s, routes...)
	moveSlots(t, servers[0], servers[2], append(users, "worker0", "worker1", "worker2", "worker3"))
	before := rounds.Load()
	eventually(t, "the load goes on", func() bool { return rounds.Load() > before+100 || t.Failed() })
	stop()
	all.Wait()
	found, err := s.Routes(t.Context(), users...)
	if err != nil {
		t.Fatal(err)
	}
	for i, got := range found {
		if len(got) != 1 || !sameRoute(got[0], routes[i].Route) {
			t.Errorf("%s: %+v", users[i], got)
		}
	}
	if report := mustSweep(t, s, 0, "10.0.0.1", func(string, Route) bool { return false }); report.Routes != len(users)+workers {
		t.Errorf("%+v", report)
	}
}

// moveSlots moves the slots of those users' routes that are on from.
func moveSlots(t testing.TB, from, to *backing.Redis, users []string) {
	t.Helper()
	source, target := from.Text("CLUSTER", "MYID"), to.Text("CLUSTER", "MYID")
	host, port, err := net.SplitHostPort(to.Addr)
	if err != nil {
		t.Fatal(err)
	}
	moved := make(map[string]bool)
	for _, user := range users {
		slot := from.Text("CLUSTER", "KEYSLOT", "mp:ur:"+user)
		if n, _ := strconv.Atoi(slot); n > 5460 || moved[slot] {
			continue
		}
		moved[slot] = true
		to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", source)
		from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", target)
		for {
			keys, _ := from.Do("CLUSTER", "GETKEYSINSLOT", slot, "10").([]any)
			if len(keys) == 0 {
				break
			}
			for _, key := range keys {
				from.Do("MIGRATE", host, port, key.(string), "0", "5000")
			}
		}
		to.Do("CLUSTER", "SETSLOT", slot, "NODE", target)
		from.Do("CLUSTER", "SETSLOT", slot, "NODE", target)
	}
	if len(moved) < 20 {
		t.Fatalf("%d slots moved", len(moved))
	}
}

// A cluster that has lost a master serves the users of the others, and says so.
func TestClusterWithoutAMaster(t *testing.T) {
	t.Parallel()
	servers := backing.StartRedisCluster(t, 3, "--cluster-require-full-coverage", "no")
	c := newClock()
	s := openRedis(t, RedisOptions{Mode: ModeCluster, Addresses: []string{servers[0].Addr, servers[1].Addr}, Now: c.Now, Timeout: time.Second})
	on := func(server int) string {
		for i := 0; ; i++ {
			user := fmt.Sprint("u", i)
			slot, err := strconv.Atoi(servers[0].Text("CLUSTER", "KEYSLOT", "mp:ur:"+user))
			if err != nil {
				t.Fatal(err)
			}
			if slot*3/16384 == server {
				return user
			}
		}
	}
	mustPut(t, s, on(0), testRoute(c, "c1"))
	servers[2].Kill()
	eventually(t, "the users of the others are served", func() bool {
		_, _, err := s.PutRoute(t.Context(), on(0), testRoute(c, "c2"))
		return err == nil
	})
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a cluster without a master is well")
	}
	if _, _, err := s.PutRoute(t.Context(), on(2), testRoute(c, "c3")); err == nil || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	servers[2].Restart()
	eventually(t, "all users are served again", func() bool {
		_, _, err := s.PutRoute(t.Context(), on(2), testRoute(c, "c4"))
		return err == nil && s.Ping(t.Context()) == nil
	})
}

// counter counts what a client sends.
type counter struct{ trips atomic.Int64 }

// DialHook implements redis.Hook.
func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.trips.Add(1)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.trips.Add(1)
		return next(ctx, cmds)
	}
}

func TestRoundTrips(t *testing.T) {
	server := backing.StartRedis(t)
	c := newClock()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
	sent := new(counter)
	s.client.AddHook(sent)
	users := make([]string, 10_000)
	routes := make([]UserRoute, len(users))
	for i := range users {
		users[i] = fmt.Sprint("u", i)
		routes[i] = UserRoute{users[i], testRoute(c, fmt.Sprint("c", i))}
	}
	mustPut(t, s, "warm", testRoute(c, "up")) // the scripts are there afterwards
	wantDrop(t, s, "warm", testRoute(c, "up").ClientType, "up", true)
	mustRestore(t, s, UserRoute{"warm", testRoute(c, "up")})
	for name, test := range map[string]struct {
		most int64
		call func() error
	}{
		"save a session": {1, func() error { return s.SaveSession(t.Context(), testID, testSession(c)) }},
		"load a session": {1, func() error { _, _, err := s.LoadSession(t.Context(), testID); return err }},
		"put a route":    {1, func() error { _, _, err := s.PutRoute(t.Context(), "warm", testRoute(c, "up")); return err }},
		"drop a route":   {1, func() error { _, err := s.DropRoute(t.Context(), "warm", testRoute(c, "up")); return err }},
		"task":           {1, func() error { _, err := s.Task(t.Context(), "t", 5); return err }},
		"256 users":      {1, func() error { _, err := s.Routes(t.Context(), users[:256]...); return err }},
		"10,000 users":   {20, func() error { _, err := s.Routes(t.Context(), users...); return err }},
		"10,000 routes":  {40, func() error { _, err := s.Restore(t.Context(), routes); return err }},
		"10,000 reached": {20, func() error { return s.TaskReached(t.Context(), "t", users) }},
	} {
		sent.trips.Store(0)
		if err := test.call(); err != nil {
			t.Error(err)
		}
		if n := sent.trips.Load(); n == 0 || n > test.most {
			t.Errorf("%s: %d round trips, want at most %d", name, n, test.most)
		}
	}
}
