package store

import (
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

func openRedis(t testing.TB, o RedisOptions) *Redis {
	t.Helper()
	s, err := OpenRedis(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestRedisConforms(t *testing.T) {
	server := backing.StartRedis(t)
	conformance(t, func(t *testing.T, now func() time.Time) Store {
		server.Do("FLUSHALL")
		return openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: now})
	})
}

func TestRedisClusterConforms(t *testing.T) {
	servers := backing.StartRedisCluster(t, 3)
	conformance(t, func(t *testing.T, now func() time.Time) Store {
		for _, server := range servers {
			server.Do("FLUSHALL")
		}
		return openRedis(t, RedisOptions{Mode: ModeCluster, Addresses: []string{servers[1].Addr}, Now: now})
	})
}
