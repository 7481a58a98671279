package prometheus3

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/dns"  // these three know the sections
	_ "github.com/prometheus/prometheus/discovery/file" // *_sd_configs of their names
	_ "github.com/prometheus/prometheus/discovery/http"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/promql/parser"
)

// load reads a configuration as the server does.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Load(text, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// job finds a scrape job, with what it takes from the global section.
func job(t *testing.T, c *config.Config, name string) *config.ScrapeConfig {
	t.Helper()
	jobs, err := c.GetScrapeConfigs()
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if j.JobName == name {
			return j
		}
	}
	t.Fatalf("there is no job %s", name)
	return nil
}

func TestConfigurations(t *testing.T) {
	for _, name := range files(t, "../prometheus-*/prometheus*.yml") {
		c := load(t, read(t, name))
		for _, label := range []string{"cluster", "prometheus", "replica"} {
			if c.GlobalConfig.ExternalLabels.Get(label) == "" {
				t.Errorf("%s has no external label %s", name, label)
			}
		}
		sent, kept := relabelled(labels.FromStrings("alertname", "x", "cluster", "c", "prometheus", "p", "replica", "r"), c.AlertingConfig.AlertRelabelConfigs...)
		if want := labels.FromStrings("alertname", "x", "cluster", "c"); !kept || !labels.Equal(sent, want) {
			t.Errorf("%s sends alerts as %s, want %s", name, sent, want)
		}
		if len(c.AlertingConfig.AlertmanagerConfigs) == 0 || len(c.RuleFiles) == 0 || len(c.ScrapeConfigs) == 0 {
			t.Errorf("%s lacks Alertmanagers, rules or jobs", name)
		}
		for _, j := range c.ScrapeConfigs {
			if j.SampleLimit == 0 {
				t.Errorf("%s: the job %s has no sample_limit", name, j.JobName)
			}
		}
	}
}

// TestFederation: what the leader asks for, and what it makes of it.
func TestFederation(t *testing.T) {
	j := job(t, load(t, read(t, "../prometheus-leader/prometheus.yml")), "federate")
	if !j.HonorLabels || !j.HonorTimestamps || !j.TrackTimestampsStaleness {
		t.Error("the leader does not take labels and times as the followers have them, and staleness with them")
	}
	asked, err := parser.NewParser(parser.Options{}).ParseMetricSelectors(j.Params["match[]"])
	if err != nil {
		t.Fatal(err)
	}
	for series, want := range map[string]bool{
		`cluster:fanfare_messages:rate5m{cluster="c",outcome="acked"}`: true,
		`cluster_node:fanfare_connections:sum{cluster="c",node="n1"}`:  true,
		`up{job="fanfare-node",node="n1"}`:                             true,
		`ALERTS{alertname="x",alertstate="firing"}`:                    true,
		`ALERTS{alertname="x",alertstate="pending"}`:                   false,
		`fanfare_messages_total{outcome="acked"}`:                      false,
		`global:fanfare_messages:rate5m{outcome="acked"}`:              false,
	} {
		l, err := parser.NewParser(parser.Options{}).ParseMetric(series)
		if err != nil {
			t.Fatal(err)
		}
		if got := matches(l, asked); got != want {
			t.Errorf("%s is federated: %t, want %t", series, got, want)
		}
	}
	l, _ := relabelled(labels.FromStrings("__name__", "cluster:x", "job", "federate", "instance", ""), j.MetricRelabelConfigs...)
	if want := labels.FromStrings("__name__", "cluster:x"); !labels.Equal(l.WithoutEmpty(), want) {
		t.Errorf("a series without a job arrives as %s, want %s", l, want)
	}
	l, _ = relabelled(labels.FromStrings("__name__", "up", "job", "fanfare-node"), j.MetricRelabelConfigs...)
	if l.Get("job") != "fanfare-node" {
		t.Errorf("the job of a series became %q", l.Get("job"))
	}
	l, _ = relabelled(labels.FromStrings("__address__", "10.0.0.7:9090", "__meta_dns_name", "prometheus-follower-2-b"), j.RelabelConfigs...)
	for name, want := range map[string]string{"instance": "prometheus-follower-2-b:9090", "prometheus": "follower-2", "replica": "b", "cluster": "fanfare"} {
		if got := l.Get(name); got != want {
			t.Errorf("a replica has %s=%q, want %q", name, got, want)
		}
	}
}

// relabelled are the labels that come out, and whether the target or series is kept.
func relabelled(l labels.Labels, by ...*relabel.Config) (labels.Labels, bool) {
	b := labels.NewBuilder(l)
	kept := relabel.ProcessBuilder(b, by...)
	return b.Labels(), kept
}

func matches(l labels.Labels, any [][]*labels.Matcher) bool {
	for _, all := range any {
		if labels.Selector(all).Matches(l) {
			return true
		}
	}
	return false
}

// found is a target as the allocators tell of it.
func found(role, node, state string) labels.Labels {
	l := map[string]string{"__address__": node + ":9310", "__meta_fanfare_role": role, "__meta_fanfare_state": state}
	if role == "node" {
		l["node"], l["__meta_fanfare_node"] = node, node
	}
	return labels.FromMap(l)
}

// TestDiscovery: which of the targets that the allocators tell of are whose.
func TestDiscovery(t *testing.T) {
	c := load(t, read(t, "../prometheus-follower-1/prometheus.yml"))
	nodes := job(t, c, "fanfare-node")
	for _, state := range []string{"serving", "draining", "lost"} {
		l, kept := relabelled(found("node", "n1", state), nodes.RelabelConfigs...)
		if !kept || l.Get("cluster") != "fanfare" || l.Get("node") != "n1" || l.Get("state") != "" {
			t.Errorf("a node that is %s: %t %s", state, kept, l)
		}
	}
	if _, kept := relabelled(found("allocator", "alloc-1", ""), nodes.RelabelConfigs...); kept {
		t.Error("an allocator is taken for a node")
	}
}

// shard is the configuration of a shard as docs/FEDERATION.md makes it of the shipped one.
func shard(t *testing.T, n int) *config.Config {
	t.Helper()
	text := read(t, "../prometheus-follower-1/prometheus.yml")
	if strings.Count(text, "# shard: ") != 2 || strings.Count(text, "# shard, all but the first: ") != 2 {
		t.Fatal("the lines for shards are not there")
	}
	text = strings.ReplaceAll(text, "# shard: ", "")
	if n > 0 {
		text = strings.ReplaceAll(text, `[__tmp_shard], regex: "0"`, fmt.Sprintf("[__tmp_shard], regex: %q", fmt.Sprint(n)))
		text = strings.ReplaceAll(text, "# shard, all but the first: ", "")
	}
	return load(t, text)
}

// TestShards: every node has one shard, each has about half, and only the first counts
// what the allocators count.
func TestShards(t *testing.T) {
	shards := []*config.Config{shard(t, 0), shard(t, 1)}
	var taken [2]int
	const all = 1000
	for n := range all {
		owners := 0
		for i, c := range shards {
			if _, kept := relabelled(found("node", fmt.Sprintf("node-%d", n), "serving"), job(t, c, "fanfare-node").RelabelConfigs...); kept {
				owners++
				taken[i]++
			}
		}
		if owners != 1 {
			t.Errorf("node-%d has %d shards", n, owners)
		}
	}
	if taken[0] < all*2/5 || taken[1] < all*2/5 {
		t.Errorf("the shards have %v of %d nodes", taken, all)
	}
	for i, c := range shards {
		j := job(t, c, "fanfare-alloc")
		l, kept := relabelled(labels.FromStrings("__address__", "alloc-1:9999"), j.RelabelConfigs...)
		if !kept || l.Get("cluster") != "fanfare" {
			t.Errorf("shard %d scrapes allocators as %s: %t", i, l, kept)
		}
		for name, want := range map[string]bool{"fanfare_cluster_node_serving": true, "fanfare_messages_total": i == 0} {
			if _, kept := relabelled(labels.FromStrings("__name__", name), j.MetricRelabelConfigs...); kept != want {
				t.Errorf("shard %d keeps %s of an allocator: %t", i, name, kept)
			}
		}
	}
}
