//go:build linux

package configs

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// alertmanager runs Alertmanager with the shipped file, with webhooks at another address
// and without the patience to wait for more alerts of a group. It talks
// to others at the address gossip, if that is set.
func alertmanager(t *testing.T, webhooks string, gossip string) string {
	t.Helper()
	text := strings.NewReplacer("http://dingtalk:8060", webhooks, "group_wait: 10s", "group_wait: 1s", "group_wait: 30s", "group_wait: 1s").
		Replace(read(t, alertmanagerFile))
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := freeAddress(t)
	return serve(t, at, "/-/ready", "prometheus-alertmanager", "--config.file="+file, "--web.listen-address="+at,
		"--storage.path="+t.TempDir(), "--cluster.listen-address="+gossip)
}

// labels of an alert, as its rule has them, and more.
func labels(t *testing.T, name string, more ...string) map[string]string {
	t.Helper()
	for _, a := range alerts(t) {
		if a.Alert != name {
			continue
		}
		all := maps.Clone(a.Labels)
		all["alertname"], all["cluster"] = name, "fanfare"
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	t.Fatalf("no rule has an alert %s", name)
	return nil
}

type posted struct {
	Labels map[string]string `json:"labels"`
	Status struct {
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status,omitzero"`
}

func post(t *testing.T, url string, all ...map[string]string) {
	t.Helper()
	var body []posted
	for _, l := range all {
		body = append(body, posted{Labels: l})
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := do(t.Context(), http.MethodPost, url+"/api/v2/alerts", strings.NewReader(string(text))); err != nil {
		t.Fatal(err)
	}
}

// TestInhibition posts alerts to a real Alertmanager and asks it which it holds back. Each
// case has a cluster of its own; an alert of another cluster is never held back.
func TestInhibition(t *testing.T) {
	t.Parallel()
	url := alertmanager(t, "http://127.0.0.1:9", "")
	type alert = []string // name and labels
	cases := []struct {
		name            string
		source          alert
		silenced, heard []alert
	}{
		{"a node that is down", alert{"FanfareNodeDown", "node", "node-1"},
			[]alert{{"FanfareSlowConsumers", "node", "node-1"}, {"FanfareCanaryFailing", "node", "node-1"}, {"ProbeFailed", "node", "node-1", "job", "blackbox-device"},
				{"FanfareStoreFailing", "node", "node-1"}, {"FanfareLinksDown", "node", "node-2"}, {"FanfareConnectionStorm"}, {"FanfareRSASaturated", "node", "node-2"}},
			[]alert{{"FanfareSlowConsumers", "node", "node-2"}, {"ProbeFailed", "job", "blackbox-allocator", "instance", "alloc-1:9999"}, {"FanfareAllocatorAnswersDeadNodes", "node", "node-1"},
				{"FanfareNodeDown", "node", "node-3"}, {"FanfareClusterShrunk"}, {"FanfareDeliveryBudgetBurn", "window", "1h"}, {"HostMemoryLow", "instance", "host-1"}}},
		{"a node that vanished", alert{"FanfareNodeVanished", "node", "node-1"},
			[]alert{{"FanfareOutboundQueueHigh", "node", "node-1"}}, []alert{{"FanfareOutboundQueueHigh", "node", "node-2"}, {"FanfareNodeDown", "node", "node-1"}}},
		{"a node that nothing gets to", alert{"FanfareCanaryFailing", "node", "node-1"},
			[]alert{{"FanfareLinksDown", "node", "node-2"}}, []alert{{"FanfareCanarySlow", "node", "node-3"}, {"FanfareStoreFailing", "node", "node-2"}}},
		{"an allocator that is down", alert{"FanfareAllocatorDown", "instance", "alloc-1:9999"},
			[]alert{{"ProbeFailed", "instance", "alloc-1:9999", "job", "blackbox-allocator"}, {"PrometheusDiscoveryFailing", "instance", "prometheus-follower-1:9090"}},
			[]alert{{"ProbeFailed", "instance", "alloc-2:9999", "job", "blackbox-allocator"}, {"FanfareAllocatorNoNodes", "instance", "alloc-2:9999"}}},
		{"Redis that is down", alert{"RedisDown", "instance", "redis:6379"},
			[]alert{{"FanfareStoreFailing", "node", "node-1"}, {"FanfareStoreSlow", "node", "node-1"}, {"FanfareRoutesStale"}, {"FanfareRouteSweepOld"}, {"FanfareCanaryFailing", "node", "node-1"},
				{"RedisMemoryHigh", "instance", "redis:6379"}, {"ProbeFailed", "job", "blackbox-allocator", "instance", "alloc-1:9999"}},
			[]alert{{"RedisMemoryHigh", "instance", "other:6379"}, {"ProbeFailed", "job", "blackbox-device", "node", "node-1"}, {"FanfareRegistryDisconnected", "node", "node-1"}, {"FanfareDeliveryBudgetBurn", "window", "1h"}}},
		{"ZooKeeper that is down", alert{"ZooKeeperDown"},
			[]alert{{"FanfareRegistryDisconnected", "node", "node-1"}, {"ZooKeeperSlow", "server", "z"}, {"ZooKeeperServerDown", "instance", "z:2181"}, {"FanfareAllocatorNoNodes", "instance", "alloc-1:9999"},
				{"FanfareAllocatorAnswersDeadNodes", "node", "node-1"}, {"PrometheusDiscoveryFailing", "instance", "p"}},
			[]alert{{"FanfareNodeDown", "node", "node-2"}, {"FanfareStoreFailing", "node", "node-3"}}},
		{"a Prometheus that is down", alert{"PrometheusDown", "instance", "prometheus-follower-1:9090"},
			[]alert{{"FollowerDown", "instance", "prometheus-follower-1:9090"}, {"FederationLate", "instance", "prometheus-follower-1:9090"}, {"FederationEmpty"},
				{"PrometheusNotIngesting", "instance", "prometheus-follower-1:9090"}, {"PrometheusNotificationsFailing", "instance", "prometheus-follower-1:9090"}},
			[]alert{{"FollowerDown", "instance", "prometheus-follower-2:9090"}, {"PrometheusNotIngesting", "instance", "prometheus-follower-2:9090"}, {"PrometheusDown", "instance", "prometheus-leader:9090"}, {"Watchdog"}}},
		{"a follower that is down", alert{"FollowerDown", "instance", "prometheus-follower-2:9090"},
			[]alert{{"FederationLate", "instance", "prometheus-follower-2:9090"}}, []alert{{"PrometheusDown", "instance", "prometheus-follower-1:9090"}}},
		{"a Prometheus that takes in nothing", alert{"PrometheusNotIngesting", "instance", "prometheus-leader:9090"},
			[]alert{{"FederationLate", "instance", "prometheus-follower-2:9090"}, {"FederationEmpty", "instance", "prometheus-follower-2:9090"}},
			[]alert{{"FollowerDown", "instance", "prometheus-follower-2:9090"}, {"PrometheusRuleFailures", "instance", "prometheus-leader:9090"}}},
		{"a database with errors", alert{"PrometheusTSDBFailing", "instance", "prometheus-leader:9090"},
			[]alert{{"PrometheusNotIngesting", "instance", "prometheus-leader:9090"}},
			[]alert{{"PrometheusNotIngesting", "instance", "prometheus-follower-1:9090"}, {"PrometheusRuleFailures", "instance", "prometheus-leader:9090"}}},
		{"a follower that gives nothing", alert{"FederationEmpty", "instance", "prometheus-follower-2:9090"},
			[]alert{{"FederationLate", "instance", "prometheus-follower-2:9090"}}, []alert{{"FederationLate", "instance", "prometheus-follower-1:9090"}}},
		{"an Alertmanager that is down", alert{"AlertmanagerDown", "instance", "alertmanager-2:9093"},
			[]alert{{"AlertmanagerClusterSplit", "instance", "alertmanager:9093"}, {"PrometheusNotificationsFailing", "instance", "p"}}, []alert{{"AlertmanagerNotificationsFailing", "instance", "a"}}},
		{"a bridge that is down", alert{"DingTalkBridgeDown", "instance", "dingtalk:8060"},
			[]alert{{"AlertmanagerNotificationsFailing", "instance", "a"}, {"DingTalkSendFailing", "target", "ops"}}, []alert{{"AlertmanagerDown", "instance", "a"}}},
		{"messages that do not get through", alert{"DingTalkSendFailing", "target", "ops"},
			[]alert{{"DingTalkQueueGrowing", "target", "ops"}}, []alert{{"DingTalkQueueGrowing", "target", "critical"}, {"DingTalkRobotDisabled", "robot", "ops-1"}}},
		{"a budget that burns fast", alert{"FanfareDeliveryBudgetBurn", "window", "1h", "severity", "critical"},
			[]alert{{"FanfareDeliveryBudgetBurn", "window", "1d", "severity", "warning"}},
			[]alert{{"FanfareDeliveryBudgetBurn", "window", "6h", "severity", "critical"}, {"FanfareLatencyBudgetBurn", "window", "1d", "severity", "warning"}}},
		{"a certificate that ends soon", alert{"FanfareCertificateExpiresSoon", "instance", "node-1:9310", "node", "node-1"},
			[]alert{{"FanfareCertificateExpiry", "instance", "node-1:9310", "node", "node-1"}, {"ProbeCertificateExpiry", "instance", "node-1:3000", "node", "node-1"}},
			[]alert{{"FanfareCertificateExpiry", "instance", "node-2:9310", "node", "node-2"}, {"ProbeCertificateExpiry", "instance", "push.example.com:443"}}},
		{"memory that is exhausted", alert{"HostMemoryExhausted", "instance", "host-1"},
			[]alert{{"HostMemoryLow", "instance", "host-1"}}, []alert{{"HostMemoryLow", "instance", "host-2"}, {"HostCPUHigh", "instance", "host-1"}}},
	}
	// want has, by case and alert, whether it is to be held back.
	want := map[string]bool{}
	var all []map[string]string
	add := func(cluster string, a alert, inhibited bool) {
		l := labels(t, a[0], append(a[1:len(a):len(a)], "cluster", cluster)...)
		all = append(all, l)
		want[fmt.Sprint(l)] = inhibited
	}
	for _, c := range cases {
		add(c.name, c.source, false)
		for _, a := range c.silenced {
			add(c.name, a, true)
			add(c.name+", elsewhere "+a[0], a, false)
		}
		for _, a := range c.heard {
			add(c.name, a, false)
		}
	}
	post(t, url, all...)
	var wrong []string
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if wrong = inhibitedWrongly(t, url, want); len(wrong) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d alerts are not treated as they should be:\n%s", len(wrong), len(all), strings.Join(wrong, "\n"))
		}
	}
}

func inhibitedWrongly(t *testing.T, url string, want map[string]bool) (wrong []string) {
	t.Helper()
	text, err := get(t.Context(), url+"/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	var all []posted
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(want) {
		return []string{fmt.Sprintf("%d alerts are there of %d", len(all), len(want))}
	}
	for _, a := range all {
		inhibited := len(a.Status.InhibitedBy) > 0
		if expected, known := want[fmt.Sprint(a.Labels)]; !known || inhibited != expected {
			wrong = append(wrong, fmt.Sprintf("held back: %v: %v", inhibited, a.Labels))
		}
	}
	return wrong
}

// inbox takes webhooks and keeps the alerts of each, by path.
type inbox struct {
	mu   sync.Mutex
	sent map[string][]string // the alerts of each message, by path
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Alerts []struct{ Labels map[string]string }
	}
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var all []string
	for _, a := range message.Alerts {
		all = append(all, strings.TrimSpace(a.Labels["alertname"]+" "+a.Labels["node"]))
	}
	slices.Sort(all)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent[r.URL.Path] = append(b.sent[r.URL.Path], strings.Join(all, ", "))
}

func (b *inbox) messages() map[string][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.sent)
}

// TestOneMessageForOneProblem has dead nodes, a node that is alive and ails, and a bridge
// in trouble, and reads what the receivers get.
func TestOneMessageForOneProblem(t *testing.T) {
	t.Parallel()
	box := &inbox{sent: map[string][]string{}}
	bridge := httptest.NewServer(box)
	defer bridge.Close()
	url := alertmanager(t, bridge.URL, "")
	post(t, url,
		labels(t, "FanfareNodeDown", "node", "node-1"), labels(t, "FanfareNodeDown", "node", "node-3"),
		labels(t, "FanfareSlowConsumers", "node", "node-1"), labels(t, "ProbeFailed", "node", "node-1"),
		labels(t, "FanfareMemoryLow", "node", "node-2"), labels(t, "FanfareSlowConsumers", "node", "node-2"), labels(t, "FanfareStoreSlow", "node", "node-2"),
		labels(t, "HostCPUHigh", "instance", "host-1"), labels(t, "HostCPUHigh", "instance", "host-2"),
		labels(t, "DingTalkDeadLetters", "target", "ops"), labels(t, "Watchdog"))
	want := map[string]map[string]bool{
		"/dingtalk/critical/send": {"FanfareNodeDown node-1, FanfareNodeDown node-3": true, "DingTalkDeadLetters": true},
		"/dingtalk/ops/send": {"FanfareMemoryLow node-2, FanfareSlowConsumers node-2, FanfareStoreSlow node-2": true,
			"HostCPUHigh, HostCPUHigh": true, "DingTalkDeadLetters": true},
		"/deadman/watchdog": {"Watchdog": true},
	}
	complete := func(got map[string][]string) error {
		for path, messages := range want {
			if len(got[path]) < len(messages) {
				return fmt.Errorf("%s got %q", path, got[path])
			}
		}
		return nil
	}
	await(t, "the messages", &output{}, nil, func() error { return complete(box.messages()) })
	for path, messages := range box.messages() {
		for _, message := range messages {
			if !want[path][message] {
				t.Errorf("%s got a message about %s", path, message)
			}
		}
	}
}
