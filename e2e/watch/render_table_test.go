//go:build linux

package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func tableRenderer(factor float64) *renderer {
	return &renderer{
		lapse: lapse{factor}, scrape: lapse{factor}.interval(15 * time.Second),
		hosts: map[string]string{"redis:6379": "127.0.0.1:1", "prometheus-follower-1:9090": "127.0.0.1:2", "blackbox-exporter:9115": "127.0.0.1:3"},
		paths: map[string]string{"/etc/prometheus-rules": "/tmp/rules", "/secrets": "/tmp/secrets"},
	}
}

// TestFilesRender has one line for each thing that a shipped file may hold.
func TestFilesRender(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"scrape_interval: 15s", "scrape_interval: 1s"},
		{"scrape_timeout: 10s", "scrape_timeout: 1s"},
		{"for: 30s", "for: 2s"},
		{"for: 0s", "for: 0s"},
		{"for: 1h", "for: 45s"},
		{"group_interval: 5m", "group_interval: 20s"},
		{"keep_firing_for: 5m", "keep_firing_for: 20s"},
		{"group_wait: 10s", "group_wait: 667ms"},
		{"timeout: 5s", "timeout: 5s"},
		{"duration: 1h", "duration: 1h"},
		{"track_timestamps_staleness: true", "honor_timestamps: false"},
		{"honor_labels: true", "honor_labels: true"},
		{"targets: ['redis:6379', \"prometheus-follower-1:9090\"]", "targets:\n- 127.0.0.1:1\n- 127.0.0.1:2"},
		{"url: http://prometheus-follower-1:9090/x?y=z", "url: http://127.0.0.1:2/x?y=z"},
		{"replacement: blackbox-exporter:9115", "replacement: 127.0.0.1:3"},
		{"regex: '([^:]+):\\d+'", "regex: \"([^:]+):\\\\d+\""},
		{"rule_files: [/etc/prometheus-rules/*.yml]", "rule_files:\n- /tmp/rules/*.yml"},
		{"password_file: /secrets/redis/password", "password_file: /tmp/secrets/redis/password"},
		{"metrics_path: /federate", "metrics_path: /federate"},
		{"labels: {window: 5m, host: 'unknown:1234'}", "labels:\n  window: 5m\n  host: unknown:1234"},
		{"annotations: {summary: 'for 5m'}", "annotations:\n  summary: for 5m"},
		{"links: {grafana_leader: 'http://localhost:3030'}", "links:\n  grafana_leader: http://localhost:3030"},
		{"expr: time() - x > 120  # seconds", "expr: \"time() - x > 8\""},
		{"expr: time() - x > 120  # minutes", "expr: \"time() - x > 120\""},
		{"expr: |\n  rate(x{instance=\"redis:6379\"}[5m])\n    > 60 # seconds\n", "expr: |\n  rate(x{instance=\"127.0.0.1:1\"}[20s])\n    > 4 # seconds"},
		{"'match[]': ['{__name__=~\"(cluster|cluster_node):.*\"}']", "match[]:\n- \"{__name__=~\\\"(cluster|cluster_node):.*\\\"}\""},
		{"a: &x {for: 1m}\nb: *x", "a:\n  for: 4s\nb:\n  for: 4s"},
		{"limit: 20000", "limit: 20000"},
	} {
		got, err := tableRenderer(15).file([]byte(c.from))
		if err != nil || strings.TrimSpace(string(got)) != c.to {
			t.Errorf("%s: got %s, %v, want %s", c.from, got, err, c.to)
		}
	}
	for _, c := range []struct{ from, why string }{
		{"linger: 5m", "nothing says what becomes of it"},
		{"targets: ['mysql:3306']", "the test runs no mysql:3306"},
		{"expr: up{instance=\"mysql:3306\"}", "the test runs no mysql:3306"},
		{"key_file: /nowhere/key", "no folder for /nowhere/key"},
		{"for: soon", "duration"},
		{"expr: 'x{a=\"'", "cannot read the expression"},
		{"a: [", ""},
	} {
		got, err := tableRenderer(15).file([]byte(c.from))
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %s, %v, want an error with %q", c.from, got, err, c.why)
		}
	}
}

// TestNamesStayWithAProxy: it is put wherever somebody is asked.
func TestNamesStayWithAProxy(t *testing.T) {
	r := tableRenderer(15)
	r.proxy = "http://127.0.0.1:9"
	const shipped = `alerting:
  alertmanagers:
  - timeout: 10s
    static_configs: [{targets: ["redis:6379"]}]
    dns_sd_configs: [{names: [another], port: 1}]
scrape_configs:
- job_name: a
  http_sd_configs: [{url: "http://redis:6379/sd"}]
receivers:
- webhook_configs: [{url: "http://redis:6379/"}]
`
	const want = `alerting:
  alertmanagers:
  - timeout: 10s
    static_configs:
    - targets:
      - redis:6379
    proxy_url: http://127.0.0.1:9
scrape_configs:
- job_name: a
  http_sd_configs:
  - url: http://redis:6379/sd
    proxy_url: http://127.0.0.1:9
  proxy_url: http://127.0.0.1:9
receivers:
- webhook_configs:
  - url: http://redis:6379/
    http_config:
      proxy_url: http://127.0.0.1:9
`
	got, err := r.file([]byte(shipped))
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := r.file([]byte("targets: ['mysql:3306']")); err == nil {
		t.Errorf("a name that nobody has: %s", got)
	}
}

// TestRealTimeChangesNothing: with the factor 1 durations stay.
func TestRealTimeChangesNothing(t *testing.T) {
	const text = "scrape_interval: 15s\nscrape_timeout: 10s\nfor: 30s\nexpr: \"time() - rate(x[1m]) > 120\" # seconds\n"
	got, err := tableRenderer(1).file([]byte(text))
	if want := strings.ReplaceAll(text, " # seconds", ""); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// TestFolderRenders has YAML, which changes, and a template, which does not.
func TestFolderRenders(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{"a.yml": "for: 15s\n", "deep/b.tmpl": "for: 15s redis:6379"} {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := tableRenderer(15).folder(from, to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.yml": "for: 1s\n", "deep/b.tmpl": "for: 15s redis:6379"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
}
