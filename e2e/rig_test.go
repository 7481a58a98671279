package e2e

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/alloc"
	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// rig is what "fanfare run" is: a node and an allocator that share their books.
type rig struct {
	*servertest.Node
	url    string
	pusher *client.Pusher
}

// start runs a rig that ends with the test. adjust may change the node's options.
func start(t *testing.T, adjust ...func(*server.Options)) *rig {
	t.Helper()
	return startGuarded(t, nil, adjust...)
}

// startGuarded runs a rig whose API is open to the bearers of tokens only, if there
// are any. The rig's own pusher has the first of them.
func startGuarded(t *testing.T, tokens []string, adjust ...func(*server.Options)) *rig {
	t.Helper()
	n := servertest.Start(t, adjust...)
	router, err := cluster.NewRouter(cluster.RouterOptions{
		Members: cluster.Static{n.Node}, Local: n.Node, Store: n.Store, Metrics: n.Metrics, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	a, err := alloc.New(alloc.Options{
		Listen: "127.0.0.1:0", Rate: -1, Router: router, Ledger: n.Ledger, Snapshot: n.Metrics.Snapshot,
		Gatherer: n.Registry, Metrics: n.Metrics, Ready: n.Ready, Compile: cluster.Compile, Logger: slog.New(slog.DiscardHandler),
		Tokens: tokens, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	r := &rig{Node: n, url: "http://" + a.Addr().String()}
	o := client.PusherOptions{URL: r.url}
	if len(tokens) > 0 {
		o.Token = tokens[0]
	}
	if r.pusher, err = client.NewPusher(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.pusher.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}
