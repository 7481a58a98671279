package store

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

func guarded(t *testing.T, server *backing.Redis, c *clock) (g *Guard, logged *lockedBuffer) {
	t.Helper()
	redis, err := OpenRedis(RedisOptions{Addresses: []string{server.Addr}, Timeout: 500 * time.Millisecond, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	logged = new(lockedBuffer)
	g = NewGuard(redis, GuardOptions{Every: 50 * time.Millisecond, Timeout: 5 * time.Second, Logger: logTo(logged)})
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, logged
}

// TestGuard: while Redis is silent every call is refused at once, and one line of the
// log says so however many ask.
func TestGuard(t *testing.T) {
	t.Parallel()
	server, c := backing.StartRedis(t), newClock()
	g, logged := guarded(t, server, c)
	var changes atomic.Int32
	defer g.Watch(func(error) { changes.Add(1) })()
	mustPut(t, g, "u", testRoute(c, "c1"))
	server.Pause()
	eventually(t, "it is known to be away", func() bool { return g.Err() != nil })
	began := time.Now()
	for name, call := range calls(g, c) {
		if name == "ping" || name == "sweep" {
			continue // these are to find out
		}
		if err := call(t.Context()); !errors.Is(err, ErrAway) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Errorf("the calls took %v, which is a wait for Redis", took)
	}
	server.Resume()
	eventually(t, "it is known to be back", func() bool { return g.Err() == nil })
	wantRoutes(t, g, "u", testRoute(c, "c1"))
	text := logged.String()
	if strings.Count(text, "\n") != 2 || strings.Count(text, "level=ERROR") != 1 || strings.Count(text, "the store is away") != 1 ||
		!strings.Contains(text, "in time") || !strings.Contains(text, "the store is back") || changes.Load() != 2 {
		t.Errorf("%d changes were told of, logged:\n%s", changes.Load(), text)
	}
}

// TestGuardReadsWhatTakesNoWrites: users are found on a Redis that is full or a
// replica; what writes is refused at once.
func TestGuardReadsWhatTakesNoWrites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil, mend func(server, other *backing.Redis)
		want        string
	}{
		"full": {
			func(server, _ *backing.Redis) { server.Do("CONFIG", "SET", "maxmemory", "1") },
			func(server, _ *backing.Redis) { server.Do("CONFIG", "SET", "maxmemory", "0") }, "maxmemory",
		},
		"replica": {
			func(server, other *backing.Redis) {
				host, port, _ := strings.Cut(other.Addr, ":")
				server.Do("CONFIG", "SET", "replica-serve-stale-data", "yes")
				server.Do("REPLICAOF", host, port)
			},
			func(server, _ *backing.Redis) { server.Do("REPLICAOF", "NO", "ONE") }, "store.redis.mode sentinel",
		},
		"too few replicas": {
			func(server, _ *backing.Redis) { server.Do("CONFIG", "SET", "min-replicas-to-write", "1") },
			func(server, _ *backing.Redis) { server.Do("CONFIG", "SET", "min-replicas-to-write", "0") }, "min-replicas-to-write",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, other, clock := backing.StartRedis(t), backing.StartRedis(t), newClock()
			g, logged := guarded(t, server, clock)
			route := testRoute(clock, "c1")
			for _, s := range []Store{g, openRedis(t, RedisOptions{Addresses: []string{other.Addr}, Now: clock.Now})} {
				mustPut(t, s, "u", route) // what a replica has is its master's
				mustSave(t, s, testID, testSession(clock))
			}
			c.spoil(server, other)
			eventually(t, "it is known", func() bool { return TakesNoWrites(g.Err()) })
			eventually(t, "it can be read", func() bool { all, err := g.Routes(t.Context(), "u"); return err == nil && len(all[0]) == 1 })
			wantRoutes(t, g, "u", route)
			wantSession(t, g, testID, testSession(clock), true)
			wantOnline(t, g, 1)
			if _, _, err := g.PutRoute(t.Context(), "u", route); !errors.Is(err, ErrAway) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("writing ends with %v", err)
			}
			c.mend(server, other)
			eventually(t, "it is known to be back", func() bool { return g.Err() == nil })
			mustPut(t, g, "u", route)
			if text := logged.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "takes no writes") || !strings.Contains(text, c.want) {
				t.Errorf("logged:\n%s", text)
			}
		})
	}
}

// TestGuardWatchers: a watcher may watch and stop others while it is told, and none is
// told after its stop has returned.
func TestGuardWatchers(t *testing.T) {
	t.Parallel()
	server, c := backing.StartRedis(t), newClock()
	g, _ := guarded(t, server, c)
	var told, late, nested atomic.Int32
	stopLate := g.Watch(func(error) { late.Add(1) })
	stopLate()
	var stopNested func()
	stop := g.Watch(func(err error) {
		if told.Add(1); err != nil {
			stopNested = g.Watch(func(error) { nested.Add(1) }) // is told of the next change
			return
		}
		stopNested()
	})
	server.Pause()
	eventually(t, "the watcher is told", func() bool { return told.Load() == 1 })
	server.Resume()
	eventually(t, "the watcher is told again", func() bool { return told.Load() == 2 })
	stop()
	if late.Load() != 0 || nested.Load() > 1 {
		t.Errorf("told after the stop %d times, the nested one %d times", late.Load(), nested.Load())
	}
}

// TestGuardStopWaits: the call that runs is over when stop returns.
func TestGuardStopWaits(t *testing.T) {
	t.Parallel()
	server, c := backing.StartRedis(t), newClock()
	g, _ := guarded(t, server, c)
	entered, leave := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	stop := g.Watch(func(error) {
		close(entered)
		<-leave
		over.Store(true)
	})
	server.Pause()
	<-entered
	g.Watch(func(error) {})() // others are not held up
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(leave)
	<-stopped
	if !over.Load() {
		t.Error("stop returned while the watcher ran")
	}
	server.Resume()
}
