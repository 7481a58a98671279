package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// The node closes a WebSocket in the very moment in which the page does, with a
// message unfinished, so that it takes the node a while to come to the page's close.
func TestBothSidesCloseAWebSocket(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	unfinished := append(masked(0x01, nil), bytes.Repeat(masked(0x00, nil), 1000)...)
	for i := range 100 {
		nc := dialRaw(t, n.Addr("websocket").String())
		user := fmt.Sprint("user-", i)
		if _, err := nc.Write(slices.Concat([]byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
			masked(0x81, []byte(`{"cmd":2,"sessionId":1,"body":{"deviceId":"d"}}`)),
			masked(0x81, []byte(`{"cmd":5,"sessionId":2,"body":{"userId":"`+user+`"}}`)))); err != nil {
			t.Fatal(err)
		}
		servertest.Eventually(t, "bound", func() bool { return len(n.Devices(user)) == 1 })
		if _, err := nc.Write(append(bytes.Clone(unfinished), masked(0x88, []byte("\x10\xe1bye"))...)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 20 * time.Microsecond)
		n.Kick(user)
		readEnd(t, nc)
	}
	servertest.Eventually(t, "all closed", func() bool { return testutil.ToFloat64(n.Metrics.Connections(protocol.WS)) == 0 })
}

// masked is a page's frame; the key of its mask is zero.
func masked(first byte, payload []byte) []byte {
	return slices.Concat([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload)
}

// openFiles is how many files the process has open; 0 where that cannot be known.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}

// A device that hangs up on KICK leaves no socket behind.
func TestKickedDevicesLeaveNoFiles(t *testing.T) {
	n := servertest.Start(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := openFiles(t)
	for i := range 200 {
		user := fmt.Sprint("user-", i)
		c := n.Dial(t, "dev", user)
		done := make(chan struct{})
		go func() {
			defer close(done)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			_, _ = c.Receive(ctx)
			_ = c.Close()
		}()
		n.Kick(user)
		<-done
	}
	servertest.Eventually(t, "all files closed", func() bool { return openFiles(t) <= before+2 })
}

// A node that is stopping still ends every broadcast.
func TestBroadcastsWhileTheNodeStops(t *testing.T) {
	t.Parallel()
	for range 50 {
		n := servertest.Start(t)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 200 {
					done := n.Send(t, cluster.Push{ID: ulid.Make().String(), Content: []byte("x")}, "")
					if r := servertest.Outcome(t, done); r.Outcome != protocol.OutcomeOffline {
						t.Errorf("outcome %s", r.Outcome)
					}
				}
			})
		}
		stopNode(t, n)
		wg.Wait()
	}
}

// What a device still says after it was kicked asks for nothing: a BIND would take the
// route of the connection that came after it.
func TestKickedDeviceBindsNoMore(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	kicked := device(t, n, "dev-1", "android", "alice")
	n.Kick("alice")
	kicked.next() // KICK
	device(t, n, "dev-2", "android", "alice")
	want := onlyRoute(t, n, "alice")
	kicked.send(raw(5, 1, 3, kicked.seal.AppendEncrypt(nil, bindBody("alice", "", ""))))
	for range 30 {
		time.Sleep(10 * time.Millisecond)
		if got := onlyRoute(t, n, "alice"); got != want {
			t.Fatalf("the route is %+v, want that of the second connection: %+v", got, want)
		}
	}
}

// A Stop that ran out of time goes on behind its caller; the next one waits for it, and
// nothing of the node is left (TestMain looks for goroutines).
func TestStopThatRanOutOfTime(t *testing.T) {
	t.Parallel()
	release, entered := make(chan struct{}), make(chan struct{})
	n := servertest.Start(t, func(o *server.Options) {
		o.Validate = func(string, string) bool { close(entered); <-release; return true }
	})
	w := device(t, n, "dev-1", "android", "")
	w.send(raw(5, 1, 2, w.seal.AppendEncrypt(nil, bindBody("alice", "", ""))))
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := n.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want a node that is still busy", err)
	}
	close(release)
	stopNode(t, n)
}
