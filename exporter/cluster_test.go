package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// collected registers a collector, starts it and stops it with the test.
func collected(t *testing.T, o ClusterOptions) *prometheus.Registry {
	t.Helper()
	o.Logger = new(logBook).logger()
	if o.Every == 0 {
		o.Every = 20 * time.Millisecond
	}
	c, reg := NewClusterCollector(o), prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	c.Start()
	t.Cleanup(c.Stop)
	return reg
}

// shows waits until the families with the names have these samples, without comments.
func shows(t *testing.T, reg *prometheus.Registry, want string, names ...string) {
	t.Helper()
	full := make([]string, len(names))
	for i, name := range names {
		full[i] = prefix + name
	}
	poll, end := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer poll.Stop()
	for {
		got := samples(t, reg, full...)
		if got == want {
			return
		}
		select {
		case <-poll.C:
		case <-end:
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func samples(t *testing.T, reg prometheus.Gatherer, names ...string) string {
	t.Helper()
	text, err := testutil.GatherAndFormat(reg, expfmt.TypeTextPlain, names...)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimPrefix(strings.TrimSpace(line), prefix))
		}
	}
	return strings.Join(lines, "\n")
}

func TestClusterCollectorFollowsTheMembership(t *testing.T) {
	t.Parallel()
	var nodes atomic.Pointer[[]ClusterNode]
	nodes.Store(&[]ClusterNode{
		{ID: "b", Serving: true, Version: "2", Connections: 7, List: "10.0.0.2", Skew: -0.25, SkewKnown: true},
		{ID: "a", Serving: true, Version: "1", Connections: -1, List: "10.0.0.1"},
		{ID: "java:3001", Serving: true, Java: true, Version: "0.8", List: "10.0.0.3"},
		{ID: "gone", Version: "0", Connections: 3},
		{ID: "b", Version: "0"}, // an earlier life of it
		{ID: "bad\xff", Serving: true, Version: "2"},
	})
	lists := map[string]int{"10.0.0.1": 4, "10.0.0.2": 5, "10.0.0.3": 6}
	reg := collected(t, ClusterOptions{
		Nodes:  func() ([]ClusterNode, bool) { return *nodes.Load(), true },
		Listed: func(_ context.Context, list string) (int, error) { return lists[list], nil },
	})
	shows(t, reg, `cluster_node_clock_skew_seconds{node="b"} -0.25
cluster_node_connections{node="b"} 7
cluster_node_connections{node="bad�"} 0
cluster_node_connections{node="gone"} 3
cluster_node_routes{node="a"} 4
cluster_node_routes{node="b"} 5
cluster_node_routes{node="java:3001"} 6
cluster_node_serving{node="a"} 1
cluster_node_serving{node="b"} 1
cluster_node_serving{node="bad�"} 1
cluster_node_serving{node="gone"} 0
cluster_node_serving{node="java:3001"} 1
cluster_versions 2`, "cluster_node_clock_skew_seconds", "cluster_node_connections", "cluster_node_routes", "cluster_node_serving", "cluster_versions")
	nodes.Store(&[]ClusterNode{{ID: "a", Serving: true, Version: "1", Connections: 1}})
	shows(t, reg, `cluster_node_connections{node="a"} 1
cluster_node_serving{node="a"} 1
cluster_versions 1`, "cluster_node_connections", "cluster_node_routes", "cluster_node_serving", "cluster_versions")
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// TestNodesThatLeft: one that is a member has not left, and there are no more than nodes.
func TestNodesThatLeft(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 500_000_000)
	left := map[string]time.Time{"a": at, "b": at, "bad\xff": at, "bad\xfe": at.Add(time.Second)}
	nodes := func() ([]ClusterNode, bool) { return []ClusterNode{{ID: "a", Serving: true}}, true }
	reg := collected(t, ClusterOptions{Nodes: nodes, Left: func() map[string]time.Time { return left }})
	shows(t, reg, `cluster_node_left_timestamp_seconds{node="b"} 1.7000000005e+09
cluster_node_left_timestamp_seconds{node="bad�"} 1.7000000015e+09`, "cluster_node_left_timestamp_seconds")
	many := map[string]time.Time{}
	for i := range maxClusterNode + 5 {
		many[fmt.Sprint("node-", i)] = at
	}
	reg = collected(t, ClusterOptions{Nodes: nodes, Left: func() map[string]time.Time { return many }})
	if n, err := testutil.GatherAndCount(reg, prefix+"cluster_node_left_timestamp_seconds"); n != maxClusterNode || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}

// TestNodesThatShareAListHaveNone: the list says nothing of each of them.
func TestNodesThatShareAListHaveNone(t *testing.T) {
	t.Parallel()
	reg := collected(t, ClusterOptions{
		Nodes: func() ([]ClusterNode, bool) {
			return []ClusterNode{{ID: "a", List: "x"}, {ID: "b", List: "x"}, {ID: "c", List: "y"}}, true
		},
		Listed: func(context.Context, string) (int, error) { return 1, nil },
	})
	shows(t, reg, `cluster_node_routes{node="c"} 1`, "cluster_node_routes")
}

func TestManyNodesHaveBoundedSeries(t *testing.T) {
	t.Parallel()
	many := make([]ClusterNode, 3*maxClusterNode)
	for i := range many {
		many[i].ID = fmt.Sprint(i)
	}
	reg := collected(t, ClusterOptions{Nodes: func() ([]ClusterNode, bool) { return many, true }})
	if n, err := testutil.GatherAndCount(reg, prefix+"cluster_node_serving"); err != nil || n != maxClusterNode {
		t.Errorf("%d series, %v", n, err)
	}
}

// TestSourceThatIsAway: what it says is left out, the rest is there.
func TestSourceThatIsAway(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	failure := errors.New("away")
	reg := collected(t, ClusterOptions{
		Nodes:    func() ([]ClusterNode, bool) { return []ClusterNode{{ID: "a", Serving: true, List: "x"}}, true },
		Registry: func() error { return failure },
		Store:    func() error { return nil },
		Listed: func(ctx context.Context, _ string) (int, error) {
			if away.Load() {
				<-ctx.Done() // it takes as long as it may
				return 0, ctx.Err()
			}
			return 9, nil
		},
		Timeout: 20 * time.Millisecond,
	})
	names := []string{"cluster_node_routes", "cluster_node_serving", "cluster_source_up"}
	shows(t, reg, `cluster_node_routes{node="a"} 9
cluster_node_serving{node="a"} 1
cluster_source_up{source="redis"} 1
cluster_source_up{source="zookeeper"} 0`, names...)
	away.Store(true)
	shows(t, reg, `cluster_node_serving{node="a"} 1
cluster_source_up{source="redis"} 0
cluster_source_up{source="zookeeper"} 0`, names...)
}

func TestStopWhileAServerIsSilent(t *testing.T) {
	t.Parallel()
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	c := NewClusterCollector(ClusterOptions{Nodes: func() ([]ClusterNode, bool) { return nil, false }, Servers: []string{silent}, Timeout: time.Hour})
	c.Start()
	c.Stop() // ends although the question may take an hour
	NewClusterCollector(ClusterOptions{}).Stop()
}

// listen serves each connection and closes it.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestZooKeeperServers(t *testing.T) {
	t.Parallel()
	alive := backing.StartZooKeeper(t)
	strange := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	reg := collected(t, ClusterOptions{
		Nodes:   func() ([]ClusterNode, bool) { return nil, false },
		Servers: []string{alive.Addr, strange, alive.Addr},
	})
	up := fmt.Sprintf("zookeeper_up{server=%q} ", alive.Addr)
	odd := fmt.Sprintf("zookeeper_up{server=%q} ", strange)
	both := []string{odd + "0", up + "1"}
	if alive.Addr < strange {
		both[0], both[1] = both[1], both[0]
	}
	shows(t, reg, strings.Join(both, "\n"), "zookeeper_up")
	shows(t, reg, fmt.Sprintf("zookeeper_leader{server=%q} 1\nzookeeper_outstanding_requests{server=%q} 0", alive.Addr, alive.Addr),
		"zookeeper_leader", "zookeeper_outstanding_requests")
	if n, err := testutil.GatherAndCount(reg, prefix+"zookeeper_latency_seconds", prefix+"zookeeper_znodes", prefix+"zookeeper_connections", prefix+"zookeeper_answer_seconds"); n != 6 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}
