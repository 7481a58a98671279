package cluster

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
)

const testSession = 2 * time.Second

// zkUnderTest is a registry with what a test looks at.
type zkUnderTest struct {
	*ZooKeeper
	metrics *exporter.Metrics
	log     *logLines
}

// openZK connects a registry to the servers and closes it with the test.
func openZK(t *testing.T, namespace string, servers ...string) *zkUnderTest {
	t.Helper()
	return openZKWith(t, ZooKeeperOptions{Servers: servers, Namespace: namespace})
}

func openZKWith(t *testing.T, o ZooKeeperOptions) *zkUnderTest {
	t.Helper()
	u := &zkUnderTest{metrics: exporter.New(prometheus.NewRegistry()), log: &logLines{}}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = testSession
	}
	o.Metrics, o.Logger = u.metrics, slog.New(slog.NewTextHandler(u.log, nil))
	var err error
	if u.ZooKeeper, err = OpenZooKeeper(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", u.log.text())
		}
	})
	return u
}

// has reports whether the registry lists exactly these ids.
func (u *zkUnderTest) has(ids ...string) bool {
	peers, known := u.Peers()
	var got []string
	for _, p := range peers {
		got = append(got, p.ID)
	}
	return known && strings.Join(got, " ") == strings.Join(ids, " ")
}

// find returns the peer with the id.
func (u *zkUnderTest) find(id string) (Peer, bool) {
	peers, _ := u.Peers()
	for _, p := range peers {
		if p.ID == id {
			return p, true
		}
	}
	return Peer{}, false
}

func (u *zkUnderTest) join(t *testing.T, self Peer) {
	t.Helper()
	if err := u.Join(inTime(t), self); err != nil {
		t.Fatal(err)
	}
}

// inTime is a context that ends long after what a test waits for should have happened.
func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// testPeer is a node with everything set. n tells its ports apart.
func testPeer(id string, n int) Peer {
	port := func(base int) string { return ":" + strconv.Itoa(base+n) }
	return Peer{
		ID: id, Gateway: "127.0.0.1" + port(3001), Device: "127.0.0.1" + port(13000), WebSocket: "ws://127.0.0.1" + port(23000) + "/",
		Ops: "127.0.0.1" + port(33000), PublicIP: "203.0.113.7", Weight: 2, Link: LinkVersion, State: Serving, Version: "1.2.3",
		Since: time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC),
	}
}

// rawZK is a client of the library, with MPush's credential.
func rawZK(t *testing.T, server string) *zk.Conn {
	t.Helper()
	return rawZKWith(t, server, "mpush")
}

func rawZKWith(t *testing.T, server, digest string) *zk.Conn {
	t.Helper()
	conn, events, err := zk.Connect([]string{server}, 20*time.Second, zk.WithLogInfo(false), zk.WithLogger(zkLog{slog.New(slog.DiscardHandler)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for end := time.After(30 * time.Second); ; {
			select {
			case _, ok := <-events:
				if !ok {
					return
				}
			case <-end:
				t.Error("the library did not end")
				return
			}
		}
	})
	if err := conn.AddAuth("digest", []byte(digest)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// logLines keeps a log.
type logLines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// within polls until ok and fails the test if that takes long.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}
