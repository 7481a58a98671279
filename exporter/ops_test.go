package exporter

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// serveOps starts an operations server that the test's end stops. Its log is in
// the book.
func serveOps(t *testing.T, o OpsOptions) (*Ops, *logBook) {
	t.Helper()
	book := new(logBook)
	o.Listen, o.Logger = "127.0.0.1:0", book.logger()
	if o.Gatherer == nil {
		reg := prometheus.NewRegistry()
		New(reg)
		o.Gatherer = reg
	}
	ops, err := NewOps(o)
	if err != nil {
		t.Fatal(err)
	}
	ops.Start()
	t.Cleanup(func() { stopOps(t, ops) })
	return ops, book
}

func stopOps(t *testing.T, ops *Ops) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := ops.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// ask sends a request over a connection of its own and returns status and body.
func ask(t *testing.T, ops *Ops, method, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+ops.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestOpsAnswers(t *testing.T) {
	var rates []int
	ops, book := serveOps(t, OpsOptions{Drain: func(rate int) { rates = append(rates, rate) }})
	for _, c := range []struct {
		method, path string
		status       int
		body         string // the whole of it, or a part if it ends with …
	}{
		{"GET", "/-/healthy", 200, "ok\n"},
		{"GET", "/-/ready", 200, "ready\n"},
		{"GET", "/metrics", 200, "fanfare_connections{transport=\"tcp\"} 0…"},
		{"GET", "/-/drain", 405, "drain wants POST\n"},
		{"POST", "/-/drain", 202, "draining\n"},
		{"POST", "/-/drain?rate=250", 202, "draining\n"},
		{"POST", "/-/drain?rate=-1", 400, "rate \"-1\": want a whole number from 0 to 1000000\n"},
		{"POST", "/-/drain?rate=fast", 400, "rate \"fast\": want…"},
		{"POST", "/-/drain?rate=99999999999999999999", 400, "want a whole number…"},
		{"GET", "/debug/pprof/", 200, "goroutine…"},
		{"GET", "/debug/pprof/cmdline", 200, "exporter.test…"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile…"},
		{"POST", "/-/healthy", 405, "Method Not Allowed\n"},
		{"GET", "/nothing", 404, "404 page not found\n"},
	} {
		status, body := ask(t, ops, c.method, c.path)
		part, partial := strings.CutSuffix(c.body, "…")
		if status != c.status || !strings.Contains(body, part) || (!partial && body != c.body) {
			t.Errorf("%s %s = %d %.100q, want %d %q", c.method, c.path, status, body, c.status, c.body)
		}
	}
	if len(rates) != 2 || rates[0] != 0 || rates[1] != 250 {
		t.Errorf("drained with %v, want 0 and 250", rates)
	}
	if strings.Count(book.String(), "drain asked for") != 2 {
		t.Errorf("log = %s", book)
	}
}

func TestOpsReadyFollowsTheProcess(t *testing.T) {
	var draining atomic.Bool
	ops, _ := serveOps(t, OpsOptions{Ready: func() error {
		if draining.Load() {
			return errors.New("draining\nsince noon")
		}
		return nil
	}})
	if status, body := ask(t, ops, "GET", "/-/ready"); status != 200 || body != "ready\n" {
		t.Errorf("ready: %d %q", status, body)
	}
	draining.Store(true)
	if status, body := ask(t, ops, "GET", "/-/ready"); status != 503 || body != "not ready: draining; since noon\n" {
		t.Errorf("not ready: %d %q", status, body)
	}
	if status, _ := ask(t, ops, "GET", "/-/healthy"); status != 200 {
		t.Errorf("healthy while draining = %d", status)
	}
}

func TestOpsWithNothingToDrain(t *testing.T) {
	ops, _ := serveOps(t, OpsOptions{})
	if status, body := ask(t, ops, "POST", "/-/drain"); status != 501 || body != "this process has nothing to drain\n" {
		t.Errorf("drain = %d %q", status, body)
	}
}

func TestOpsAddressInUse(t *testing.T) {
	taken, _ := serveOps(t, OpsOptions{})
	for setting, want := range map[string]string{"": "node.listen.ops", "dingtalk.listen": "dingtalk.listen"} {
		_, err := NewOps(OpsOptions{Listen: taken.Addr().String(), Setting: setting})
		if err == nil {
			t.Fatal("the address was bound twice")
		}
		text := err.Error()
		for _, part := range []string{"listen tcp " + taken.Addr().String(), "in use", want} {
			if !strings.Contains(text, part) {
				t.Errorf("error %q does not say %q", text, part)
			}
		}
		if strings.Contains(text, "\n") {
			t.Errorf("error %q has several lines", text)
		}
	}
}

func TestOpsStopWithoutStart(t *testing.T) {
	ops, err := NewOps(OpsOptions{Listen: "127.0.0.1:0", Gatherer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	stopOps(t, ops)
	ops.Start() // too late: nothing may come up
	if c, err := net.Dial("tcp", ops.Addr().String()); err == nil {
		c.Close()
		t.Error("the port still answers")
	}
	stopOps(t, ops) // a second time does no harm
}

// A profile runs for as long as it was asked to; Stop must not wait for that.
func TestOpsStopEndsProfiles(t *testing.T) {
	ops, book := serveOps(t, OpsOptions{})
	c := dialOps(t, ops)
	if _, err := io.WriteString(c, "GET /debug/pprof/trace?seconds=3600 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil { // the header is sent once the trace runs
		t.Fatal(err)
	}
	stopOps(t, ops)
	if log := book.String(); log != "" {
		t.Errorf("log = %s", log)
	}
}

// A handler that does not end is cut off at the deadline, but Stop does not return
// before it has: what it uses may be closed next.
func TestOpsStopCutsOffAndWaits(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var left atomic.Bool
	ops, _ := serveOps(t, OpsOptions{Ready: func() error {
		close(entered)
		<-leave
		left.Store(true)
		return nil
	}})
	c := dialOps(t, ops)
	if _, err := io.WriteString(c, "GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	stopped := make(chan error)
	go func() { stopped <- ops.Stop(ctx) }()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was not cut off")
	}
	close(leave)
	if err := <-stopped; !errors.Is(err, context.Canceled) || !left.Load() {
		t.Errorf("Stop = %v, handler ended %v", err, left.Load())
	}
}

// A peer that sends its request too slowly is dropped.
func TestOpsDropsSlowRequests(t *testing.T) {
	ops, err := NewOps(OpsOptions{Listen: "127.0.0.1:0", Gatherer: prometheus.NewRegistry(), Logger: new(logBook).logger()})
	if err != nil {
		t.Fatal(err)
	}
	ops.server.ReadTimeout = 20 * time.Millisecond
	ops.Start()
	defer stopOps(t, ops)
	c := dialOps(t, ops)
	if _, err := io.WriteString(c, "GET /-/healthy HTTP/1.1\r\nHost: "); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c) // ends only when the server closes; the test's deadline is far away
	if err != nil || strings.Contains(string(rest), "200 OK") {
		t.Errorf("the answer to half a request: %q, %v", rest, err)
	}
}

func TestOpsLimitsConnections(t *testing.T) {
	ops, _ := serveOps(t, OpsOptions{})
	for range opsConnections {
		dialOps(t, ops)
	}
	await(t, "all connections to be open", func() bool { return ops.conns.Load() == opsConnections })
	if _, err := dialOps(t, ops).Read(make([]byte, 1)); err == nil {
		t.Error("one connection more was served")
	}
	await(t, "the one more to be forgotten", func() bool { return ops.conns.Load() == opsConnections })
}

func dialOps(t *testing.T, ops *Ops) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", ops.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// await polls until ok, for ten seconds at most.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(10*time.Second), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
