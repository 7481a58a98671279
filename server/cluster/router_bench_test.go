package cluster

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
	"github.com/fanfare-push/fanfare/server/store"
)

// counter is a tracker that only waits.
type counter struct{ sync.WaitGroup }

func (*counter) Reached(protocol.Stage, string, time.Time) {}
func (*counter) Progress(Result)                           {}
func (c *counter) Done(Result)                             { c.WaitGroup.Done() }

// sink is a node that takes everything at once.
type sink struct{ info Info }

func (n *sink) Info() Info { return n.info }
func (n *sink) Push(_ *Push, _ string, t Tracker) {
	t.Done(Result{Node: n.info.ID, Outcome: protocol.OutcomeSent})
}
func (n *sink) Broadcast(_ *Push, t Tracker) {
	t.Done(Result{Node: n.info.ID, Outcome: protocol.OutcomeSent})
}
func (n *sink) Cancel(string) {}
func (n *sink) Drain(int)     {}
func (n *sink) PushAll(_ *Push, users []string, t Tracker) {
	for _, user := range users {
		t.Done(Result{User: user, Node: n.info.ID, Outcome: protocol.OutcomeSent})
	}
}

// BenchmarkRouter measures the way from a push to the node: the lookup and what is
// around it. "one" waits for each push, "many" keeps 256 on their way, "list" pushes to
// lists of 10,000.
func BenchmarkRouter(b *testing.B) {
	embedded, err := store.Open(store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer embedded.Close()
	b.Run("memory", func(b *testing.B) { benchRouter(b, embedded) })
	b.Run("redis", func(b *testing.B) {
		redis, err := store.OpenRedis(store.RedisOptions{Addresses: []string{backing.StartRedis(b).Addr}})
		if err != nil {
			b.Fatal(err)
		}
		defer redis.Close()
		benchRouter(b, redis)
	})
}

func benchRouter(b *testing.B, s store.Store) {
	const users = 10_000
	n := &sink{Info{ID: "n", Gateway: "n:3001", State: Serving}}
	r, err := NewRouter(RouterOptions{Members: Static{n}, Store: s, Metrics: exporter.New(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close(context.Background())
	names := manyUsers(users)
	for _, user := range names {
		if _, _, err := s.PutRoute(context.Background(), user, store.Route{Address: "n:3001", Connection: "c-" + user, ClientType: mobile, Online: true}); err != nil {
			b.Fatal(err)
		}
	}
	p := push()
	for name, window := range map[string]int{"one": 1, "many": 256} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; {
				c := &counter{}
				for range min(window, b.N-i) {
					c.Add(1)
					r.Push(p, names[i%users], c)
					i++
				}
				c.Wait()
			}
		})
	}
	b.Run("list", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; i < b.N; i += users {
			c := &counter{}
			list := names[:min(users, b.N-i)]
			c.Add(len(list))
			r.PushAll(p, list, c)
			c.Wait()
		}
	})
}
