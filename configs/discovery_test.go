//go:build linux

package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// target is one that Prometheus scrapes.
type target struct {
	ScrapePool string
	ScrapeURL  string
	Labels     map[string]string
}

func (t target) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", t.ScrapePool, t.Labels["instance"], t.Labels["node"], strings.TrimPrefix(t.ScrapeURL, "http://")))
}

// allocators answers http_sd as two allocators do for a cluster whose first node is near,
// whose second says an address of its own machine, whose third drains and whose fourth is
// lost.
func allocators(w http.ResponseWriter, r *http.Request) {
	group := func(node, role, state, address string) map[string]any {
		labels := map[string]string{"__meta_fanfare_role": role, "__meta_fanfare_state": state}
		if node != "" {
			labels["node"] = node
		}
		return map[string]any{"targets": []string{address}, "labels": labels}
	}
	all := []map[string]any{group("node-1", "node", "serving", "10.0.0.1:4000"), group("node-2", "node", "serving", "127.0.0.1:3100"),
		group("node-3", "node", "draining", "10.0.0.3:4000"), group("node-4", "node", "lost", "10.0.0.4:4000")}
	if !r.URL.Query().Has("port") {
		all = append(all, group("", "allocator", "serving", "alloc-1:9999"), group("", "allocator", "serving", "alloc-2:9999"))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // who has gone needs no answer
}

// TestDiscovery has a real Prometheus with follower-2's file find its targets.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	alloc := httptest.NewServer(http.HandlerFunc(allocators))
	defer alloc.Close()
	at, file := freeAddress(t), filepath.Join(t.TempDir(), "prometheus.yml")
	address := strings.TrimPrefix(alloc.URL, "http://")
	text := strings.NewReplacer("alloc-1:9999", address, "alloc-2:9999", address).Replace(read(t, follower2(t).debian(t)))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url := serve(t, at, "/-/ready", "prometheus", "--config.file="+file, "--web.listen-address="+at, "--storage.tsdb.path="+t.TempDir())
	want := []string{
		"alertmanager alertmanager:9093  alertmanager:9093/metrics",
		"blackbox blackbox-exporter:9115  blackbox-exporter:9115/metrics",
		"blackbox-allocator alloc-1:9999  blackbox-exporter:9115/probe?module=http_ready&target=http%3A%2F%2Falloc-1%3A9999%2F-%2Fready",
		"blackbox-allocator alloc-2:9999  blackbox-exporter:9115/probe?module=http_ready&target=http%3A%2F%2Falloc-2%3A9999%2F-%2Fready",
		"blackbox-device 10.0.0.1:4000 node-1 blackbox-exporter:9115/probe?module=tcp&target=10.0.0.1%3A4000",
		"blackbox-device 10.0.0.4:4000 node-4 blackbox-exporter:9115/probe?module=tcp&target=10.0.0.4%3A4000",
		"blackbox-device node-2:3000 node-2 blackbox-exporter:9115/probe?module=tcp&target=node-2%3A3000",
		"blackbox-gateway 10.0.0.1:4000 node-1 blackbox-exporter:9115/probe?module=tcp&target=10.0.0.1%3A4000",
		"blackbox-gateway 10.0.0.4:4000 node-4 blackbox-exporter:9115/probe?module=tcp&target=10.0.0.4%3A4000",
		"blackbox-gateway 127.0.0.1:3100 node-2 blackbox-exporter:9115/probe?module=tcp&target=127.0.0.1%3A3100",
		"blackbox-redis redis:6379  blackbox-exporter:9115/probe?module=redis&target=redis%3A6379",
		"blackbox-websocket 10.0.0.1:4000 node-1 blackbox-exporter:9115/probe?module=websocket&target=10.0.0.1%3A4000",
		"blackbox-websocket 10.0.0.4:4000 node-4 blackbox-exporter:9115/probe?module=websocket&target=10.0.0.4%3A4000",
		"blackbox-websocket node-2:8008 node-2 blackbox-exporter:9115/probe?module=websocket&target=node-2%3A8008",
		"blackbox-zookeeper zookeeper:2181  blackbox-exporter:9115/probe?module=zookeeper&target=zookeeper%3A2181",
		"dingtalk dingtalk:8060  dingtalk:8060/metrics",
		"grafana grafana-follower:3000  grafana-follower:3000/metrics",
		"grafana grafana-leader:3000  grafana-leader:3000/metrics",
		"host node-exporter:9100  node-exporter:9100/metrics",
		"prometheus prometheus-follower-1:9090  prometheus-follower-1:9090/metrics",
		"prometheus prometheus-follower-2:9090  prometheus-follower-2:9090/metrics",
		"prometheus prometheus-leader:9090  prometheus-leader:9090/metrics",
		"redis redis:6379  redis-exporter:9121/metrics",
	}
	await(t, "the targets", &output{}, nil, func() error {
		found, err := targets(t, url)
		if err == nil && !slices.Equal(found, want) {
			err = errors.New("found " + strings.Join(found, "\n"))
		}
		return err
	})
}

// follower2 is the one that docker-compose.yml starts without a profile.
func follower2(t *testing.T) instance {
	t.Helper()
	for _, i := range instances(t) {
		if i.service == "prometheus-follower-2" {
			return i
		}
	}
	t.Fatal("docker-compose.yml has no prometheus-follower-2")
	return instance{}
}

// targets are those that a Prometheus scrapes, in order, all of the cluster fanfare.
func targets(t *testing.T, url string) ([]string, error) {
	t.Helper()
	text, err := get(t.Context(), url+"/api/v1/targets?state=active")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct{ ActiveTargets []target }
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, err
	}
	var all []string
	for _, target := range answer.Data.ActiveTargets {
		if target.Labels["cluster"] != "fanfare" {
			t.Errorf("%v is of the cluster %q", target, target.Labels["cluster"])
		}
		all = append(all, target.String())
	}
	slices.Sort(all)
	return all, nil
}
