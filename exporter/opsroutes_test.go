package exporter

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestLocalPathsAnswerOnlyThisMachine(t *testing.T) {
	drained := 0
	ops := &Ops{options: OpsOptions{
		Gatherer: prometheus.NewRegistry(), Logger: new(logBook).logger(), Drain: func(int) { drained++ },
	}}
	routes := ops.routes()
	for _, c := range []struct {
		name, peer, host string
		header           http.Header
		allowed          bool
	}{
		{"loopback", "127.0.0.1:1", "127.0.0.1:9310", nil, true},
		{"by name", "127.8.8.8:1", "localhost:9310", nil, true},
		{"IPv6", "[::1]:1", "[::1]:9310", nil, true},
		{"IPv6 without a port", "[::1]:1", "[::1]", nil, true},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:1", "localhost", nil, true},
		{"another machine", "192.0.2.1:1", "192.0.2.2:9310", nil, false},
		{"another machine that says localhost", "192.0.2.1:1", "localhost", nil, false},
		{"IPv4 in IPv6 from elsewhere", "[::ffff:192.0.2.1]:1", "localhost", nil, false},
		{"no address", "@", "localhost", nil, false},
		{"a foreign name for loopback", "127.0.0.1:1", "evil.example:9310", nil, false},
		{"no name", "127.0.0.1:1", "", nil, false},
		{"a proxy", "127.0.0.1:1", "localhost", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, false},
		{"a proxy that follows the RFC", "127.0.0.1:1", "localhost", http.Header{"Forwarded": {"for=192.0.2.1"}}, false},
		{"a browser on a foreign page", "127.0.0.1:1", "localhost", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		{"an old browser", "127.0.0.1:1", "localhost", http.Header{"Origin": {"https://evil.example"}}, false},
	} {
		before := drained
		status := askAs(routes, http.MethodPost, "/-/drain", c.peer, c.host, c.header)
		if want := map[bool]int{true: 202, false: 403}[c.allowed]; status != want || (drained > before) != c.allowed {
			t.Errorf("%s: drain = %d, want %d; drained %v", c.name, status, want, drained > before)
		}
		status = askAs(routes, http.MethodPost, "/debug/pprof/cmdline", c.peer, c.host, c.header)
		if want := map[bool]int{true: 200, false: 403}[c.allowed]; status != want {
			t.Errorf("%s: profile = %d, want %d", c.name, status, want)
		}
	}
}

func TestEveryProfileIsLocal(t *testing.T) {
	ops := &Ops{options: OpsOptions{Gatherer: prometheus.NewRegistry(), Logger: new(logBook).logger()}}
	for _, path := range []string{"", "cmdline", "profile", "symbol", "trace", "heap", "goroutine", "anything"} {
		if status := askAs(ops.routes(), http.MethodGet, "/debug/pprof/"+path, "192.0.2.1:1", "192.0.2.2", nil); status != 403 {
			t.Errorf("/debug/pprof/%s from another machine = %d, want 403", path, status)
		}
	}
}

func TestOpenPathsAnswerEverybody(t *testing.T) {
	ops := &Ops{options: OpsOptions{Gatherer: prometheus.NewRegistry(), Logger: new(logBook).logger()}}
	for _, path := range []string{"/metrics", "/-/healthy", "/-/ready"} {
		if status := askAs(ops.routes(), http.MethodGet, path, "192.0.2.1:1", "node-1.example:9310", nil); status != 200 {
			t.Errorf("%s from another machine = %d, want 200", path, status)
		}
	}
}

func askAs(h http.Handler, method, path, peer, host string, header http.Header) int {
	r := httptest.NewRequest(method, path, nil)
	r.RemoteAddr, r.Host = peer, host
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
