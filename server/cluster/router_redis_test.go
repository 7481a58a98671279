package cluster

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
	"github.com/fanfare-push/fanfare/server/store"
)

// TestRouterOverRedis: routes of Java nodes, routes to be dropped, and a server that
// stops for a while.
func TestRouterOverRedis(t *testing.T) {
	t.Parallel()
	server := backing.StartRedis(t)
	shared, err := store.OpenRedis(store.RedisOptions{Addresses: []string{server.Addr}, Timeout: 300 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	raw := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer raw.Close()
	ctx := context.Background()
	const java = `{"port":3101,"host":"127.0.0.1","deviceId":"dev1","osName":"android","clientVersion":"1.0.0","connId":"b49ed9c2"}`
	for _, user := range []string{"java", "gone"} {
		if err := raw.HSet(ctx, "mp:ur:"+user, "1", java).Err(); err != nil {
			t.Fatal(err)
		}
	}

	here, other := node("here"), node("java").change(func(i *Info) { i.Gateway, i.Java = "127.0.0.1:3101", true })
	r := rigOver(t, func(o *RouterOptions) { o.Store = shared }, here, other)
	r.want(r.send(push(), "java"), protocol.OutcomeSent, "java")
	if got := other.pushes(); len(got) != 1 || len(got[0].p.ClientTypes) != 1 || got[0].p.ClientTypes[0] != mobile {
		t.Errorf("the Java node got %+v", got)
	}
	r.members.set(here, node("another"))
	r.want(r.send(push(), "gone"), protocol.OutcomeOffline, "here")
	eventually(t, "the route goes offline as a Java node would write it", func() bool {
		text, err := raw.HGet(ctx, "mp:ur:gone", "1").Result()
		return err == nil && text != java && r.stale(exporter.StaleNode) == 1 && !onlineIn(t, shared, "gone")
	})

	r.members.set(here, other)
	here.holds("local", mobile)
	server.Pause()
	r.want(r.send(push(), "java"), protocol.OutcomeFailed, "here")
	r.want(r.send(push(), "local"), protocol.OutcomeSent, "here")
	server.Resume()
	eventually(t, "Redis is noticed", func() bool { return !r.away.Load() })
	r.want(r.send(push(), "java"), protocol.OutcomeSent, "java")
}

func onlineIn(t *testing.T, s store.Store, user string) bool {
	t.Helper()
	all, err := s.Routes(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	return len(all[0]) == 1 && all[0][0].Online
}
