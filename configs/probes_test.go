//go:build linux

package configs

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/server/servertest"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// blackbox runs the exporter of the probes with the shipped file.
func blackbox(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs("blackbox/blackbox.yml")
	if err != nil {
		t.Fatal(err)
	}
	at := freeAddress(t)
	return serve(t, at, "/-/healthy", "prometheus-blackbox-exporter", "--config.file="+file, "--web.listen-address="+at)
}

// probe tells whether a probe succeeds; an exporter that refuses to probe fails the test.
func probe(t *testing.T, exporter, module, target string) bool {
	t.Helper()
	text, err := get(t.Context(), exporter+"/probe?module="+module+"&target="+url.QueryEscape(target))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(text, "\nprobe_success 1\n")
}

// TestProbes tries every module on the real thing, and on something else that listens.
func TestProbes(t *testing.T) {
	t.Parallel()
	lookPath(t, "prometheus-blackbox-exporter")
	exporter := blackbox(t)
	node := servertest.Start(t)
	socket, err := url.Parse(node.WebSocketURL())
	if err != nil {
		t.Fatal(err)
	}
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/-/ready" {
			http.NotFound(w, r)
		}
	}))
	defer ready.Close()
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	other := strings.TrimPrefix(ready.URL, "http://")
	nobody := freeAddress(t)
	for _, c := range []struct {
		module, target, wrong string
	}{
		{"tcp", node.DeviceAddress(), nobody},
		{"tcp", node.GatewayAddress(), nobody},
		{"websocket", socket.Host, other},
		{"http_ready", ready.URL + "/-/ready", ready.URL + "/-/unready"},
		{"tls", web.Listener.Addr().String(), other},
	} {
		if !probe(t, exporter, c.module, c.target) {
			t.Errorf("%s fails at %s", c.module, c.target)
		}
		if probe(t, exporter, c.module, c.wrong) {
			t.Errorf("%s succeeds at %s", c.module, c.wrong)
		}
	}
}

// TestProbesOfStores: Redis with and without a password, a ZooKeeper that serves, and
// something that only listens.
func TestProbesOfStores(t *testing.T) {
	t.Parallel()
	lookPath(t, "prometheus-blackbox-exporter")
	redis, locked, zookeeper := backing.StartRedis(t), backing.StartRedis(t, "--requirepass", "password"), backing.StartZooKeeper(t)
	exporter := blackbox(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	for _, c := range []struct {
		module, target string
		want           bool
	}{
		{"redis", redis.Addr, true}, {"redis", locked.Addr, true}, {"zookeeper", zookeeper.Addr, true},
		{"redis", zookeeper.Addr, false}, {"zookeeper", redis.Addr, false}, {"redis", dead.Addr().String(), false},
	} {
		if got := probe(t, exporter, c.module, c.target); got != c.want {
			t.Errorf("%s at %s: %v", c.module, c.target, got)
		}
	}
}

// TestProbesHaveTheirModules: a module that the file lacks would fail every probe.
func TestProbesHaveTheirModules(t *testing.T) {
	t.Parallel()
	modules := read(t, "blackbox/blackbox.yml")
	asked := 0
	for line := range strings.Lines(read(t, "prometheus-follower-2/prometheus.yml")) {
		if _, list, ok := strings.Cut(line, "params: {module: ["); ok {
			name, _, _ := strings.Cut(list, "]")
			if asked++; !strings.Contains(modules, "\n  "+name+":\n") {
				t.Errorf("blackbox.yml has no module %s", name)
			}
		}
	}
	if asked < 5 {
		t.Errorf("only %d jobs ask for a module", asked)
	}
}
