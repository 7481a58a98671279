//go:build linux

package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// storeFaults are about Redis and ZooKeeper.
func storeFaults() []scenario {
	return []scenario{
		outage("Redis is killed", "RedisDown", "redis", "FanfareStoreFailing",
			func(s *stack) { s.redis.Kill() }, func(s *stack) { s.redis.Restart() }),
		outage("ZooKeeper is killed", "ZooKeeperDown", "zookeeper", "FanfareRegistryDisconnected",
			func(s *stack) { s.zookeeper.Kill() }, func(s *stack) { s.zookeeper.Restart() }),
		{
			name: "Redis has hardly any memory left", how: "64 MB of data, and CONFIG SET maxmemory", alerts: []string{"RedisMemoryHigh"}, needs: []string{"redis"},
			inject: func(t *testing.T, s *stack) {
				s.redisCommand(t, "SETRANGE", "ballast", 64<<20, "x") // beside it does not matter what those take who come and go
				used, err := s.redisCommand(t, "EVAL", `return redis.call('INFO', 'memory'):match('used_memory:(%d+)') * 1.1`, "0").Int64()
				if err != nil {
					t.Fatal(err)
				}
				s.redisSet(t, "maxmemory", used)
			},
			repair: func(t *testing.T, s *stack) {
				s.redisSet(t, "maxmemory", 256<<20)
				s.redisCommand(t, "DEL", "ballast")
			},
		},
		{
			name: "Redis cannot save", how: "its directory is gone, and BGSAVE", alerts: []string{"RedisPersistenceFailing"}, needs: []string{"redis"},
			inject: func(t *testing.T, s *stack) {
				gone := filepath.Join(t.TempDir(), "gone")
				if err := os.Mkdir(gone, 0o700); err != nil {
					t.Fatal(err)
				}
				s.redisSet(t, "dir", gone)
				if err := os.Remove(gone); err != nil {
					t.Fatal(err)
				}
				s.redisCommand(t, "CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
				s.redisCommand(t, "BGSAVE")
			},
			repair: func(t *testing.T, s *stack) {
				s.redisSet(t, "dir", s.redisHome)
				s.redisCommand(t, "BGSAVE")
			},
		},
	}
}

// outage ends a server. That lasts until what follows from it fires, too, of which nothing
// may be said, neither meanwhile nor while it all gets well again.
func outage(name, alert, server, follows string, kill, restart func(*stack)) scenario {
	var began time.Time
	return scenario{
		name: name, how: "SIGKILL", alerts: []string{alert}, names: []string{server}, alone: true,
		inject: func(_ *testing.T, s *stack) { began = time.Now(); kill(s) },
		repair: func(_ *testing.T, s *stack) { restart(s) },
		during: func(t *testing.T, s *stack, _ time.Time) {
			eventually(t, follows+" fires", func() string {
				return unless(len(s.follower1.query(t, fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing"}`, follows))) > 0, "it does not")
			})
		},
		after: func(t *testing.T, s *stack) { s.only(t, began, alert) },
	}
}

func (s *stack) redisClient(t testing.TB) *redis.Client {
	t.Helper()
	return redis.NewClient(&redis.Options{Addr: s.redis.Addr, Password: s.secret(t, "redis/password")})
}

// redisDir is the directory that Redis saves to.
func (s *stack) redisDir(t testing.TB) string {
	t.Helper()
	c := s.redisClient(t)
	defer c.Close()
	settings, err := c.ConfigGet(context.Background(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	return settings["dir"]
}

// redisCommand does a command with the password.
func (s *stack) redisCommand(t testing.TB, args ...any) *redis.Cmd {
	t.Helper()
	c := s.redisClient(t)
	defer c.Close()
	cmd := c.Do(context.Background(), args...)
	if err := cmd.Err(); err != nil {
		t.Errorf("redis %v: %v", args, err)
	}
	return cmd
}

func (s *stack) redisSet(t testing.TB, name string, value any) {
	t.Helper()
	s.redisCommand(t, "CONFIG", "SET", name, value)
}

// only checks that nothing else was said than these alerts.
func (s *stack) only(t *testing.T, began time.Time, alerts ...string) {
	t.Helper()
	said := s.ledger.since(began)
	for _, a := range slices.Concat(alerts, slowMachine) {
		delete(said, a)
	}
	if len(said) > 0 {
		t.Errorf("one problem, and beside %v this was said: %v", alerts, names(said))
	}
}
