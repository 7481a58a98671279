package configs

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/dingtalk"
	"github.com/fanfare-push/fanfare/exporter"
)

// names is a set of metrics.
type names map[string]bool

func (n names) add(more ...string) names {
	for _, name := range more {
		n[name] = true
	}
	return n
}

// has finds a metric, or the histogram that a series belongs to.
func (n names) has(name string) bool {
	for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && n[base] {
			return true
		}
	}
	return false
}

// described is a registry that remembers what was registered, with or without series.
type described struct {
	*prometheus.Registry
	names names
}

func describing() described { return described{prometheus.NewRegistry(), names{}} }

func (d described) Register(c prometheus.Collector) error {
	d.learn(c)
	return d.Registry.Register(c)
}

func (d described) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		d.learn(c)
	}
	d.Registry.MustRegister(all...)
}

// learn finds the names in the descriptions, which tell them only as text.
func (d described) learn(c prometheus.Collector) {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for desc := range descs {
		if found := name.FindStringSubmatch(desc.String()); found != nil {
			d.names.add(found[1])
		}
	}
}

// fanfareMetrics are what nodes and allocators show.
func fanfareMetrics(t *testing.T) names {
	t.Helper()
	d := describing()
	exporter.New(d)
	exporter.NewCanaryMetrics(d, "node-1")
	d.MustRegister(exporter.NewClusterCollector(exporter.ClusterOptions{Nodes: func() ([]exporter.ClusterNode, bool) { return nil, false }}))
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	if err := exporter.AddCertificates(d, web.TLS); err != nil {
		t.Fatal(err)
	}
	return d.names.add(processMetrics(t)...)
}

// processMetrics are what every program of ours shows of its process.
func processMetrics(t *testing.T) []string {
	t.Helper()
	families, err := exporter.NewRegistry(exporter.Build{Version: "1"}).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, family := range families {
		all = append(all, family.GetName())
	}
	return all
}

// bridgeMetrics are what the DingTalk bridge shows that runs with the shipped file.
func bridgeMetrics(t *testing.T) names {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := describing()
	bridge, err := dingtalk.New(dingtalk.Options{ConfigFile: "dingtalk/config.yml", DataDir: t.TempDir(), Listener: listener, Registry: d,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		listener.Close()
		t.Fatal(err)
	}
	bridge.Start()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := bridge.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	return d.names.add(processMetrics(t)...)
}

// foreign reads the list of an exporter of other people: a name a line. A line may end
// with a comment.
func foreign(t *testing.T, program string) names {
	t.Helper()
	all := names{}
	for line := range strings.Lines(read(t, filepath.Join("testdata", "foreign", program+".txt"))) {
		if name, _, _ := strings.Cut(line, "#"); strings.TrimSpace(name) != "" {
			all.add(strings.TrimSpace(name))
		}
	}
	return all
}

// foreignPrograms are the programs that follower-2 scrapes and that are not ours.
var foreignPrograms = []string{"node_exporter", "redis_exporter", "blackbox_exporter", "alertmanager", "prometheus", "grafana"}

// visible are the metrics that the rules of each Prometheus server may ask for: what it
// scrapes and what it records; the leader what it federates.
func visible(t *testing.T) map[string]names {
	t.Helper()
	scraped := []string{"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added", "ALERTS", "ALERTS_FOR_STATE"}
	see := map[string]names{"leader": names{}, "follower-1": fanfareMetrics(t), "follower-2": bridgeMetrics(t)}
	for _, program := range foreignPrograms {
		see["follower-2"].add(slices.Collect(maps.Keys(foreign(t, program)))...)
	}
	for _, r := range loadRules(t) {
		if r.Record == "" {
			continue
		}
		see[r.side()].add(r.Record)
		if level, _, _ := strings.Cut(r.Record, ":"); level == "cluster" || level == "cluster_node" {
			see["leader"].add(r.Record)
		}
	}
	for _, side := range sides {
		see[side].add(scraped...)
	}
	return see
}

// TestEveryMetricInARuleExists where the rule is evaluated.
func TestEveryMetricInARuleExists(t *testing.T) {
	see := visible(t)
	for _, r := range loadRules(t) {
		asked, err := metrics(r.Expr)
		if err != nil {
			t.Errorf("%s: %v", r.name(), err)
		}
		if len(asked) == 0 && r.Alert != "" && r.Alert != "Watchdog" {
			t.Errorf("%s: asks for no metric", r.name())
		}
		for _, name := range asked {
			if !see[r.side()].has(name) {
				t.Errorf("%s: %s has no metric %s", r.name(), r.side(), name)
			}
		}
	}
}

// TestMissingMetricsAreNoticed: the check above would find a misspelt name.
func TestMissingMetricsAreNoticed(t *testing.T) {
	t.Parallel()
	see := names{}.add("a_seconds")
	for name, want := range map[string]bool{"a_seconds": true, "a_seconds_bucket": true, "a_second": false, "a_seconds_buckets": false} {
		if see.has(name) != want {
			t.Errorf("has(%s) is %v", name, !want)
		}
	}
}
