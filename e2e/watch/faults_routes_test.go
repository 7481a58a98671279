//go:build linux

package watch

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
)

// routeFaults are about the routes in Redis.
func routeFaults() []scenario {
	return []scenario{
		staleFault(),
		{
			name: "nobody swept stale routes out for four hours", how: "at the scrape", alerts: []string{"FanfareRouteSweepOld"},
			inject: func(_ *testing.T, s *stack) {
				old := float64(time.Now().Add(-4 * time.Hour).Unix())
				for _, n := range s.nodes {
					n.scrape.fault("sweep", trouble{path: "/metrics", lines: setValue("fanfare_routes_sweep_timestamp_seconds", old)})
				}
			},
			repair: func(_ *testing.T, s *stack) {
				for _, n := range s.nodes {
					n.scrape.heal("sweep")
				}
			},
		},
	}
}

// connectionOf is the part of a route that names a connection.
var connectionOf = regexp.MustCompile(`"connId":"[^"]*"`)

// staleFault has somebody else write routes to connections that do not exist, for a user
// that pushes go to.
func staleFault() scenario {
	const ghost = "mp:ur:ghost" // MPush's key of the user
	stop := func() {}
	return scenario{
		name: "another program writes routes that lead nowhere", how: "HSET, and pushes to that user", alerts: []string{"FanfareRoutesStale"},
		needs: []string{"redis"},
		inject: func(t *testing.T, s *stack) {
			c := s.redisClient(t)
			t.Cleanup(func() { _ = c.Close() })
			routes, err := c.HGetAll(t.Context(), "mp:ur:"+user(0)).Result()
			if err != nil || len(routes) != 1 {
				t.Fatalf("the routes of %s are %v, %v", user(0), routes, err)
			}
			for field, route := range routes {
				routes[field] = connectionOf.ReplaceAllString(route, `"connId":"0000000000000000"`)
			}
			p, err := client.NewPusher(client.PusherOptions{URL: "http://" + s.allocators[0].address, Token: s.secret(t, "fanfare/api-tokens")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			stop = repeatedly(20*time.Millisecond, func() {
				ctx := context.Background()
				_ = c.HSet(ctx, ghost, routes).Err() // whether it works is what the alert says
				_, _ = p.Push(ctx, client.PushRequest{User: "ghost", Content: []byte("ghost")})
			})
			t.Cleanup(stop)
		},
		repair: func(t *testing.T, s *stack) { stop(); s.redisCommand(t, "DEL", ghost) },
	}
}
