//go:build linux

package watch

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// prometheusFaults are about Prometheus servers that run, yet do not do all their work.
// Those that keep the leader from its work, or hold back what it says, need "leader".
// Locks are taken in the order of their names, so that nobody waits for the leader and
// keeps its files.
func prometheusFaults() []scenario {
	return []scenario{
		misconfigured(scenario{
			name: "the configuration of Prometheus lost its targets", how: "no scrape_configs, and SIGHUP", alerts: []string{"PrometheusNotIngesting"},
			needs: []string{"leader"},
		}, func(text string) string {
			before, _, _ := strings.Cut(text, "\nscrape_configs:")
			return before + "\n"
		}),
		misconfigured(scenario{
			name: "the leader asks its followers for the wrong series", how: "match[], and SIGHUP", alerts: []string{"FederationEmpty"},
			labels: map[string]string{"instance": "prometheus-follower-1:9090"}, names: []string{"prometheus-follower-1:9090", "prometheus-follower-2:9090"},
			needs:  []string{"leader"},
			during: func(t *testing.T, s *stack, _ time.Time) { s.heldBack(t, "FederationLate") },
		}, inJob("federate", "params", map[string][]string{"match[]": {"no_such_series"}})),
		wrongFiles(),
		{
			name: "a follower records no more", how: "at the scrape", alerts: []string{"FederationLate"},
			labels: map[string]string{"instance": "prometheus-follower-2:9090"}, names: []string{"follower-2"}, needs: []string{"leader"},
			window: 2 * time.Minute, // that is late
			inject: func(_ *testing.T, s *stack) {
				s.follower2.relay.fault("records", trouble{path: "/federate", lines: without("cluster:fanfare_record_timestamp_seconds{")})
			},
			repair: func(_ *testing.T, s *stack) { s.follower2.relay.heal("records") },
		},
		{
			name: "an exporter says more than it may", how: "1,001 series more, at the scrape", alerts: []string{"PrometheusScrapeLimitHit"},
			labels: map[string]string{"instance": "prometheus-follower-2:9090"}, names: []string{"follower-2"},
			also: []string{"TargetDown"}, needs: []string{"TargetDown"}, // it says whom that leaves unwatched
			inject: func(_ *testing.T, s *stack) {
				s.blackbox.relay.fault("many", trouble{path: "/metrics", add: manySeries(1001)})
			},
			repair: func(_ *testing.T, s *stack) { s.blackbox.relay.heal("many") },
		},
		{
			name: "Prometheus cannot reach Alertmanager", how: "its network breaks", alerts: []string{"PrometheusNotificationsFailing"},
			labels: map[string]string{"instance": "prometheus-leader:9090"}, names: []string{"leader"},
			needs:  []string{"leader", "leader's files"}, // which make it fail, too
			window: 2 * time.Minute,                      // Prometheus tries once in a minute, and one time does not count
			inject: func(_ *testing.T, s *stack) { s.net.cut("leader", "alertmanager:9093") },
			repair: func(_ *testing.T, s *stack) { s.net.mend("leader", "alertmanager:9093") },
		},
		{
			name: "the allocators do not tell Prometheus of the nodes", how: "503 on the way, in place of the answer", alerts: []string{"PrometheusDiscoveryFailing"},
			names: []string{"follower-1", "follower-2"}, needs: []string{"alloc-1"},
			inject: func(_ *testing.T, s *stack) {
				s.allocators[0].scrape.fault("discovery", trouble{path: "/sd/prometheus", status: http.StatusServiceUnavailable})
			},
			repair: func(_ *testing.T, s *stack) { s.allocators[0].scrape.heal("discovery") },
		},
		{
			name: "a block of Prometheus's database is damaged", how: "a block without an index", alerts: []string{"PrometheusTSDBFailing"},
			labels: map[string]string{"instance": "prometheus-follower-1:9090"}, names: []string{"follower-1"},
			window: 15 * time.Minute, // Prometheus looks at its blocks once in a minute, lapsed or not
			inject: func(t *testing.T, s *stack) { damagedBlock(t, s.follower1.data) },
			repair: func(t *testing.T, s *stack) {
				if err := os.RemoveAll(filepath.Join(s.follower1.data, blockID)); err != nil {
					t.Error(err)
				}
			},
		},
	}
}

// manySeries is what an exporter says that counts by something without an end.
func manySeries(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "many_things{id=\"%d\"} 1\n", i)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// wrongFiles are two at once, since a group of alerts is slow to tell that all is well.
func wrongFiles() scenario {
	const rules = `{groups: [{name: wrong, rules: [{record: "wrong:up", expr: "up{job=\"federate\"} * on () up{job=\"federate\"}"}]}]}`
	sc := misconfigured(scenario{
		name: "Prometheus gets a rule that it cannot evaluate, and a configuration that is wrong", how: "files, and SIGHUP",
		alerts: []string{"PrometheusRuleFailures", "PrometheusConfigReloadFailed"},
	}, func(text string) string { return text + "\nno_such_section: {}\n" })
	inject, repair := sc.inject, sc.repair
	sc.inject = func(t *testing.T, s *stack) {
		writeFile(t, filepath.Join(s.leader.rules, "wrong.yml"), rules)
		s.leader.signal(t, syscall.SIGHUP)
		eventually(t, "the rule is read", func() string {
			_, text, err := fetch(s.leader.address, "/api/v1/rules?type=record")
			return unless(err == nil && strings.Contains(text, "wrong:up"), "it is not, %v", err)
		})
		inject(t, s)
	}
	sc.repair = func(t *testing.T, s *stack) {
		if err := os.Remove(filepath.Join(s.leader.rules, "wrong.yml")); err != nil {
			t.Error(err)
		}
		repair(t, s)
	}
	return sc
}

// misconfigured is a scenario in which the leader gets a wrong configuration and SIGHUP,
// and later the right one again.
func misconfigured(sc scenario, change func(string) string) scenario {
	const forgetful = "PrometheusNotificationsFailing"
	if sc.labels == nil {
		sc.labels, sc.names = map[string]string{"instance": "prometheus-leader:9090"}, []string{"leader"}
	}
	// Debian's Prometheus knows no Alertmanager for 5 s after it read its files, lapsed or
	// not, which are more than a minute here.
	sc.also = append(sc.also, forgetful)
	sc.needs = append(sc.needs, "leader's files")
	right := ""
	sc.inject = func(t *testing.T, s *stack) {
		text, err := os.ReadFile(s.leader.configFile())
		if err != nil {
			t.Fatal(err)
		}
		right = string(text)
		wrong := change(right)
		if wrong == right {
			t.Fatalf("nothing changes in\n%s", right)
		}
		writeFile(t, s.leader.configFile(), wrong)
		s.leader.signal(t, syscall.SIGHUP)
	}
	sc.repair = func(t *testing.T, s *stack) {
		if right == "" {
			return // nothing was changed
		}
		writeFile(t, s.leader.configFile(), right)
		s.leader.signal(t, syscall.SIGHUP)
	}
	sc.after = func(t *testing.T, s *stack) {
		within(t, settling, "the leader knows Alertmanager again", func() string {
			all, err := s.follower2.try(`ALERTS{alertname="` + forgetful + `",instance="prometheus-leader:9090"}`)
			return unless(err == nil && len(all) == 0, "%v, %v", all, err)
		})
	}
	return sc
}

func (p *prometheus) configFile() string { return filepath.Join(p.config, "prometheus.yml") }

// heldBack waits until an alert fires that Alertmanager tells nobody of.
func (s *stack) heldBack(t *testing.T, alert string) {
	t.Helper()
	eventually(t, alert+" is held back", func() string {
		code, text, err := fetch(s.alertmanager.address, "/api/v2/alerts?active=false&silenced=false&filter=alertname="+alert)
		return unless(err == nil && code == http.StatusOK && strings.Contains(text, alert), "%d, %v: %s", code, err, text)
	})
}

// inJob sets a key of a scrape job.
func inJob(job, key string, value any) func(string) string {
	return func(text string) string {
		var config yaml.MapSlice
		if err := yaml.UnmarshalWithOptions([]byte(text), &config, yaml.UseOrderedMap()); err != nil {
			return text
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
			return text
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
