package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// rig is a proxy under test.
type rig struct {
	*Proxy
	t       testing.TB
	metrics *exporter.Metrics
}

// newRig starts a proxy; what it may do on loopback is up to adjust.
func newRig(t testing.TB, adjust func(*Options)) *rig {
	t.Helper()
	m := exporter.New(prometheus.NewRegistry())
	o := DefaultOptions()
	o.Logger, o.Metrics = discard, m
	adjust(&o)
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return &rig{p, t, m}
}

// open allows an origin on loopback.
func (o *Options) open(url string) {
	o.Allow = append(o.Allow, url)
	_, address, _ := strings.Cut(url, "://")
	o.AllowPrivate = append(o.AllowPrivate, address)
}

// through is a proxy that may reach the given origins on loopback.
func through(t testing.TB, urls ...string) *rig {
	t.Helper()
	return newRig(t, func(o *Options) {
		for _, u := range urls {
			o.open(u)
		}
	})
}

var phone = netip.MustParseAddrPort("203.0.113.9:54321")

func get(uri string, headers ...string) *Request {
	return &Request{HTTPRequest: protocol.HTTPRequest{URI: uri, Headers: strings.Join(headers, "\n")}, Device: phone}
}

func post(uri, body string, headers ...string) *Request {
	r := get(uri, headers...)
	r.Method, r.Body = protocol.MethodPost, []byte(body)
	return r
}

// do makes a request and waits for its answer.
func (r *rig) do(request *Request) *Answer {
	r.t.Helper()
	return r.doFor(r.t.Context(), request)
}

func (r *rig) doFor(ctx context.Context, request *Request) *Answer {
	call, answer := r.Admit(request)
	if answer == nil {
		answer = call.Run(ctx)
	}
	answer.Release()
	return answer
}

// want makes a request that the proxy answers itself.
func (r *rig) want(request *Request, status int, result exporter.ProxyResult) {
	r.t.Helper()
	before := testutil.ToFloat64(r.metrics.ProxyRequests(result))
	a := r.do(request)
	if !a.Own || int(a.Status) != status || a.Reason != http.StatusText(status) || a.Headers != "" || a.Body != nil {
		r.t.Errorf("%q: own %t, %d %q, headers %q, body %q; want the proxy's own %d", request.URI, a.Own, a.Status, a.Reason, a.Headers, a.Body, status)
	}
	if n := testutil.ToFloat64(r.metrics.ProxyRequests(result)) - before; n != 1 {
		r.t.Errorf("%q: %v requests counted as %v, want 1", request.URI, n, result)
	}
	r.quiet()
}

// quiet shows that nothing is held any more.
func (r *rig) quiet() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.admitted != 0 || len(r.hosts) != 0 || r.memory.used.Load() != 0 || len(r.workers) != 0 {
		r.t.Errorf("held: %d requests, %d hosts, %d bytes, %d workers", r.admitted, len(r.hosts), r.memory.used.Load(), len(r.workers))
	}
}

// serve is an HTTP server on loopback.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// serveRaw is a server that is handed each connection after the header of a request.
func serveRaw(t testing.TB, handler func(nc net.Conn, r *http.Request)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
				if r, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
					handler(nc, r)
				}
			})
		}
	})
	return "http://" + l.Addr().String()
}

// closedPort is an address where nothing listens.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// names is a resolver that knows a few names.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) (list []netip.Addr, err error) {
	for _, a := range n[host] {
		list = append(list, netip.MustParseAddr(a))
	}
	if n[host] == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return list, nil
}

// dials notes what is dialled and sends all of it to one server.
type dials struct {
	mu     sync.Mutex
	seen   []string
	server string
}

func (d *dials) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.seen = append(d.seen, address)
	d.mu.Unlock()
	if d.server == "" {
		return nil, fmt.Errorf("dialling %s: nobody there", address)
	}
	return new(net.Dialer).DialContext(ctx, network, d.server)
}

func (d *dials) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.seen...)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		<-tick.C
	}
}

// header gives the values of a name in the order in which the device reads them.
func header(a *Answer, name string) (values []string) {
	for _, h := range protocol.ParseHeaders(a.Headers) {
		if strings.EqualFold(h.Name, name) {
			values = append(values, h.Value)
		}
	}
	return values
}
