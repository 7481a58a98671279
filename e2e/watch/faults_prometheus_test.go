//go:build linux

package watch

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// prometheusFaults are about Prometheus servers that run, yet do not do all their work.
// What the leader does not do is not to be missed by others: they need "leader".
func prometheusFaults() []scenario {
	return append(measuringFaults(),
		scenario{
			name: "Prometheus gets a configuration that is wrong", how: "the file, and SIGHUP", alerts: []string{"PrometheusConfigReloadFailed"},
			labels: map[string]string{"instance": "prometheus-follower-1:9090"}, names: []string{"follower-1"}, needs: []string{"files of follower-1"},
			inject: func(t *testing.T, s *stack) {
				s.follower1.edit(t, s.follower1.configFile(), func(text string) string { return text + "\nno_such_section: {}\n" })
			},
			repair: func(t *testing.T, s *stack) { s.follower1.restore(t) },
		},
		scenario{
			name: "a rule of Prometheus cannot be evaluated", how: "a file of rules, and SIGHUP", alerts: []string{"PrometheusRuleFailures"},
			labels: map[string]string{"instance": "prometheus-leader:9090"}, names: []string{"leader"}, needs: []string{"files of the leader"},
			inject: func(t *testing.T, s *stack) {
				s.leader.edit(t, filepath.Join(s.leader.rules, "wrong.yml"), func(string) string {
					return `{groups: [{name: wrong, rules: [{record: "wrong:up", expr: "up{job=\"federate\"} * on () up{job=\"federate\"}"}]}]}`
				})
			},
			repair: func(t *testing.T, s *stack) { s.leader.restore(t) },
		},
		scenario{
			name: "Prometheus cannot reach Alertmanager", how: "its network breaks", alerts: []string{"PrometheusNotificationsFailing"},
			labels: map[string]string{"instance": "prometheus-leader:9090"}, names: []string{"leader"}, needs: []string{"leader"},
			inject: func(_ *testing.T, s *stack) { s.net.cut("leader", "alertmanager:9093") },
			repair: func(_ *testing.T, s *stack) { s.net.mend("leader", "alertmanager:9093") },
		},
		scenario{
			name: "the allocators do not tell Prometheus of the nodes", how: "an allocator answers 503", alerts: []string{"PrometheusDiscoveryFailing"},
			names: []string{"follower-1", "follower-2"}, needs: []string{"alloc-1"},
			inject: func(_ *testing.T, s *stack) {
				s.allocators[0].scrape.fault("discovery", trouble{path: "/sd/prometheus", status: http.StatusServiceUnavailable})
			},
			repair: func(_ *testing.T, s *stack) { s.allocators[0].scrape.heal("discovery") },
		},
		scenario{
			name: "a block of Prometheus's database is damaged", how: "a block without an index", alerts: []string{"PrometheusTSDBFailing"},
			labels: map[string]string{"instance": "prometheus-leader:9090"}, names: []string{"leader"},
			window: 15 * time.Minute, // Prometheus looks at its blocks once in a minute, lapsed or not
			inject: func(t *testing.T, s *stack) { damagedBlock(t, s.leader.data) },
			repair: func(t *testing.T, s *stack) {
				if err := os.RemoveAll(filepath.Join(s.leader.data, blockID)); err != nil {
					t.Error(err)
				}
			},
		},
	)
}

// heartbeat is how often a follower says that it records.
var heartbeat = regexp.MustCompile(`(records-heartbeat\n +interval: )\S+`)

// measuringFaults are those of what arrives at a server.
func measuringFaults() []scenario {
	return []scenario{
		{
			name: "an exporter says more than it may", how: "sample_limit, and SIGHUP", alerts: []string{"PrometheusScrapeLimitHit"},
			labels: map[string]string{"instance": "prometheus-follower-2:9090"}, names: []string{"follower-2"},
			also:  []string{"TargetDown"}, // which says whom that leaves unwatched
			needs: []string{"files of follower-2", "TargetDown"},
			inject: func(t *testing.T, s *stack) {
				s.follower2.edit(t, s.follower2.configFile(), inJob(t, "blackbox", "sample_limit", 10))
			},
			repair: func(t *testing.T, s *stack) { s.follower2.restore(t) },
		},
		{
			name: "the configuration of Prometheus lost its targets", how: "no scrape_configs, and SIGHUP", alerts: []string{"PrometheusNotIngesting"},
			labels: map[string]string{"instance": "prometheus-leader:9090"}, names: []string{"leader"}, needs: []string{"files of the leader", "leader"},
			inject: func(t *testing.T, s *stack) {
				s.leader.edit(t, s.leader.configFile(), func(text string) string {
					before, _, _ := strings.Cut(text, "\nscrape_configs:")
					return before + "\n"
				})
			},
			repair: func(t *testing.T, s *stack) { s.leader.restore(t) },
		},
		{
			name: "the leader asks its followers for the wrong series", how: "match[], and SIGHUP", alerts: []string{"FederationEmpty"},
			names: []string{"prometheus-follower-1:9090", "prometheus-follower-2:9090"}, needs: []string{"files of the leader", "leader"},
			inject: func(t *testing.T, s *stack) {
				s.leader.edit(t, s.leader.configFile(), inJob(t, "federate", "params", map[string][]string{"match[]": {"no_such_series"}}))
			},
			repair: func(t *testing.T, s *stack) { s.leader.restore(t) },
			during: func(t *testing.T, s *stack, _ time.Time) { s.heldBack(t, "FederationLate") },
		},
		{
			name: "a follower hardly ever records", how: "interval of the rule, and SIGHUP", alerts: []string{"FederationLate"},
			labels: map[string]string{"instance": "prometheus-follower-2:9090"}, names: []string{"follower-2"}, needs: []string{"files of follower-2", "leader"},
			inject: func(t *testing.T, s *stack) {
				s.follower2.edit(t, filepath.Join(s.follower2.rules, "records.yml"), func(text string) string {
					return heartbeat.ReplaceAllString(text, "${1}1h")
				})
			},
			repair: func(t *testing.T, s *stack) { s.follower2.restore(t) },
		},
	}
}

// heldBack waits until an alert fires that Alertmanager tells nobody of.
func (s *stack) heldBack(t *testing.T, alert string) {
	t.Helper()
	eventually(t, alert+" is held back", func() string {
		code, text, err := fetch(s.alertmanager.address, "/api/v2/alerts?active=false&silenced=false&filter=alertname="+alert)
		return unless(err == nil && code == http.StatusOK && strings.Contains(text, alert), "%d, %v: %s", code, err, text)
	})
}

func (p *prometheus) configFile() string { return filepath.Join(p.config, "prometheus.yml") }

// edit changes a file and has everything read anew; restore ends that.
func (p *prometheus) edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatalf("nothing changed in %s:\n%s", path, text)
	}
	if p.edited == nil {
		p.edited = make(map[string][]byte)
	}
	p.edited[path] = text // nil if there was none
	writeFile(t, path, changed)
	p.signal(t, syscall.SIGHUP)
}

func (p *prometheus) restore(t *testing.T) {
	t.Helper()
	for path, text := range p.edited {
		if text != nil {
			writeFile(t, path, string(text))
		} else if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
	p.edited = nil
	p.signal(t, syscall.SIGHUP)
}

// inJob sets a key of a scrape job.
func inJob(t *testing.T, job, key string, value any) func(string) string {
	return func(text string) string {
		var config yaml.MapSlice
		if err := yaml.UnmarshalWithOptions([]byte(text), &config, yaml.UseOrderedMap()); err != nil {
			t.Fatal(err)
		}
		for _, section := range config {
			if section.Key != "scrape_configs" {
				continue
			}
			for _, one := range section.Value.([]any) {
				setInJob(one.(yaml.MapSlice), job, key, value)
			}
		}
		changed, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		return string(changed)
	}
}

func setInJob(settings yaml.MapSlice, job, key string, value any) {
	for _, s := range settings {
		if s.Key == "job_name" && s.Value != job {
			return
		}
	}
	for i := range settings {
		if settings[i].Key == key {
			settings[i].Value = value
		}
	}
}

// blockID is the name of a block that is damaged.
const blockID = "01FANFARE00000000000000000"

// damagedBlock is one that says of itself what it holds, and holds nothing.
func damagedBlock(t *testing.T, data string) {
	t.Helper()
	dir := filepath.Join(data, blockID)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "meta.json"), fmt.Sprintf(
		`{"version": 1, "ulid": %q, "minTime": 1, "maxTime": 2, "stats": {"numSamples": 1}, "compaction": {"level": 1, "sources": [%[1]q]}}`, blockID))
}
