//go:build linux

package watch

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// watcher is a process that watches, with the relay before it.
type watcher struct {
	*process
	address string // where it really is
	relay   *relay
}

// newWatcher makes a process that serves HTTP under a name of docker-compose.yml.
func (s *stack) newWatcher(t *testing.T, name, host, address, path string, args ...string) *watcher {
	t.Helper()
	return &watcher{process: newProcess(t, name, path, args...), address: address, relay: s.net.add(host, address)}
}

func (s *stack) startExporters(t *testing.T) {
	t.Helper()
	address := freeAddress(t)
	s.nodeExporter = s.newWatcher(t, "node-exporter", "node-exporter:9100", address, installed(t, "prometheus-node-exporter"),
		"--web.listen-address="+address, "--no-collector.systemd")
	s.nodeExporter.relay.fault(" calm", trouble{path: "/metrics", lines: calm(s.began)})
	s.nodeExporter.relay.fault(" clock", rightClock)

	address = freeAddress(t)
	s.redisSeen = backing.StartProxy(t, s.redis.Addr)
	s.redisExporter = s.newWatcher(t, "redis-exporter", "redis-exporter:9121", address, installed(t, "prometheus-redis-exporter"),
		"-web.listen-address="+address, "-redis.addr=redis://"+s.redisSeen.Addr)
	s.redisExporter.env = []string{"REDIS_PASSWORD=" + s.secret(t, "redis/password")}

	address = freeAddress(t)
	s.blackbox = s.newWatcher(t, "blackbox-exporter", "blackbox-exporter:9115", address, installed(t, "prometheus-blackbox-exporter"),
		"--web.listen-address="+address, "--config.file="+shipped(t, "blackbox/blackbox.yml"))
	s.net.add("redis:6379", s.redis.Addr)
	s.net.add("zookeeper:2181", s.zookeeper.Addr)
	s.blackbox.relay.asked = s.probe

	for _, w := range []*watcher{s.nodeExporter, s.redisExporter, s.blackbox} {
		w.start(t)
	}
}

// probe has the exporter of probes find what has a name.
func (s *stack) probe(query url.Values) {
	names := s.net.names()
	target := query.Get("target")
	u, err := url.Parse(target)
	if err == nil && u.Host != "" && names[u.Host] != "" {
		u.Host = names[u.Host]
		query.Set("target", u.String())
	} else if names[target] != "" {
		query.Set("target", names[target])
	}
}

// startGrafanas plays the two Grafanas, which Debian does not have: they can be scraped.
func (s *stack) startGrafanas(t *testing.T) {
	t.Helper()
	for _, name := range []string{"grafana-leader:3000", "grafana-follower:3000"} {
		s.net.add(name, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = io.WriteString(w, "# TYPE grafana_build_info gauge\ngrafana_build_info{version=\"0\"} 1\n")
		})))
	}
}

// Tokens of DingTalk's robots here, first those of the target "ops". They are many, so
// that the limit of each does not slow what is measured.
const robotsPerTarget = 6

func (s *stack) startAlerting(t *testing.T) {
	t.Helper()
	s.dingtalk = dingtalktest.New(dingtalktest.Options{})
	s.remote = "http://" + serve(t, s.dingtalk)

	bridge, alertmanager := freeAddress(t), freeAddress(t)
	config := filepath.Join(t.TempDir(), "dingtalk", "config.yml")
	s.bridgeConfig = config
	s.bridge = s.newWatcher(t, "dingtalk", "dingtalk:8060", bridge, fanfare,
		"dingtalk", "--config", config, "--data-dir", t.TempDir(), "--web.listen-address", bridge, "--web.enable-ui", "--web.enable-lifecycle")
	s.ledger = newLedger(t)
	s.bridge.relay.overhear(s.ledger.webhook)

	rendered := filepath.Join(t.TempDir(), "alertmanager")
	s.alertmanagerConfig = filepath.Join(rendered, "alertmanager.yml")
	s.alertmanager = s.newWatcher(t, "alertmanager", "alertmanager:9093", alertmanager, installed(t, "prometheus-alertmanager"),
		"--config.file="+s.alertmanagerConfig, "--storage.path="+t.TempDir(), "--cluster.listen-address=",
		"--web.listen-address="+alertmanager, "--web.external-url=http://127.0.0.1:9093/")
	s.render(t, "alertmanager", shipped(t, "alertmanager"), rendered, nil)
	s.renderBridge(t, config)
	s.bridge.start(t)
	s.alertmanager.start(t)
	for _, w := range []*watcher{s.bridge, s.alertmanager} {
		eventually(t, w.name+" is ready", func() string { return ready(w.address) })
	}
}

func (s *stack) render(t *testing.T, client, from, to string, paths map[string]string) {
	t.Helper()
	if err := s.renderer(t, client, paths).folder(from, to); err != nil {
		t.Fatal(err)
	}
}

// prometheus is a Prometheus server.
type prometheus struct {
	*watcher
	config, rules string // rendered folders
	data          string // its database
}

func (s *stack) startPrometheus(t *testing.T) {
	t.Helper()
	all := map[string]**prometheus{"leader": &s.leader, "follower-1": &s.follower1, "follower-2": &s.follower2}
	for _, which := range slices.Sorted(maps.Keys(all)) {
		*all[which] = s.newPrometheus(t, which)
	}
	for _, which := range slices.Sorted(maps.Keys(all)) { // each is named in the files of another one
		p := *all[which]
		s.render(t, which, shipped(t, "prometheus-"+which), p.config, map[string]string{"/etc/prometheus-rules": p.rules, "/etc/prometheus": p.config})
		s.render(t, which, shipped(t, "rules/"+which), p.rules, nil)
		s.rules = append(s.rules, readRules(t, which, p.rules)...)
		if p == s.follower2 {
			s.probeZooKeepers(t)
		}
		p.start(t)
	}
}

func (s *stack) newPrometheus(t *testing.T, which string) *prometheus {
	t.Helper()
	address, dir := freeAddress(t), t.TempDir()
	p := &prometheus{config: filepath.Join(dir, "config"), rules: filepath.Join(dir, "rules"), data: filepath.Join(dir, "data")}
	_, port, _ := net.SplitHostPort(address)
	p.watcher = s.newWatcher(t, "prometheus-"+which, "prometheus-"+which+":9090", address, installed(t, "prometheus"),
		"--config.file="+p.config+"/prometheus.yml", "--storage.tsdb.path="+p.data,
		"--web.listen-address="+address, "--web.external-url=http://127.0.0.1:"+port+"/",
		"--query.lookback-delta="+formatDuration(s.lapse.span(defaultLookBack, s.lapse.interval(defaultScrape))),
		"--rules.alert.resend-delay="+formatDuration(s.lapse.interval(defaultResend)))
	return p
}

// writeFile writes a file anew.
func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
