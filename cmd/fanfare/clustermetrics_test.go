package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// awaitMetrics scrapes until every pattern matches a line.
func awaitMetrics(t *testing.T, url string, patterns ...string) (page string) {
	t.Helper()
	tick, deadline := time.NewTicker(50*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		_, page = get(t, url+"/metrics", "")
		missing := ""
		for _, p := range patterns {
			if !regexp.MustCompile("(?m)^fanfare_" + p + "$").MatchString(page) {
				missing = p
			}
		}
		if missing == "" {
			return page
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no line %s in\n%s", missing, page)
		}
	}
}

// TestClusterInMetrics: a node and an allocator on a real Redis and ZooKeeper show each
// other, and what they share.
func TestClusterInMetrics(t *testing.T) {
	redis, zookeeper := backing.StartRedis(t), backing.StartZooKeeper(t)
	common := []string{
		"--set", "store.kind=redis", "--set", "store.redis.addresses=" + redis.Addr,
		"--set", "registry.kind=zookeeper", "--set", "registry.zookeeper.servers=" + zookeeper.Addr,
		"--set", "canary.every=1s", "--set", "push.drain_timeout=2s",
	}
	node := start(t, anyPorts("node", append(common, "--set", "security.demo_key=true", "--set", "node.id=node-1", "--set", "node.public_ip=10.1.1.1")...)...)
	node.stderr.waitFor(t, "node is up")
	allocator := start(t, anyPorts("alloc", append(common, "--set", "alloc.id=alloc-1")...)...)
	url := "http://" + allocator.stderr.waitFor(t, `allocator is up.* address=(\S+)`)

	page := awaitMetrics(t, url,
		`canary_pushes_total{from="alloc-1",to="node-1"} [1-9]\d*`, `canary_seconds{from="alloc-1",to="node-1"} \S+`,
		`cluster_node_serving{node="node-1"} 1`, `cluster_node_connections{node="node-1"} 0`, `cluster_node_routes{node="node-1"} 0`,
		`cluster_node_clock_skew_seconds{node="node-1"} \S+`, `cluster_versions 1`,
		`cluster_source_up{source="redis"} 1`, `cluster_source_up{source="zookeeper"} 1`,
		`zookeeper_up{server="`+regexp.QuoteMeta(zookeeper.Addr)+`"} 1`, `memory_limit_bytes \S+`)
	if strings.Contains(page, "fanfare_certificate_expiry") {
		t.Error("there is a certificate without TLS")
	}

	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	status, text := get(t, url+"/sd/prometheus", "")
	if err := json.Unmarshal([]byte(text), &groups); err != nil || status != http.StatusOK || len(groups) != 2 {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	if own := groups[1]; own.Labels["__meta_fanfare_role"] != "allocator" || "http://"+own.Targets[0] != url {
		t.Errorf("the allocator is %+v", own)
	}
	ops := "http://" + groups[0].Targets[0]
	awaitMetrics(t, ops, `canary_pushes_total{from="node-1",to="node-1"} [1-9]\d*`, `canary_lost_total{from="node-1",to="node-1"} 0`)

	if code := node.end(t); code != exitOK {
		t.Errorf("the node: exit %d\n%s", code, node.stderr)
	}
	if strings.Contains(node.stderr.String(), "did not drain") {
		t.Errorf("the canary kept the node from draining:\n%s", node.stderr)
	}
	awaitMetrics(t, url, `cluster_node_left_timestamp_seconds{node="node-1"} 1\.\d+e\+09`)
	awaitNoNode(t, url)
	if code := allocator.end(t); code != exitOK {
		t.Errorf("the allocator: exit %d\n%s", code, allocator.stderr)
	}
}

// awaitNoNode scrapes until nothing is said of the node but that it has left.
func awaitNoNode(t *testing.T, url string) {
	t.Helper()
	tick, deadline := time.NewTicker(50*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		_, page := get(t, url+"/metrics", "")
		if said := strings.Count(page, `"node-1"`); said == strings.Count(page, `cluster_node_left_timestamp_seconds{node="node-1"}`) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the node still has series:\n%s", page)
		}
	}
}

// TestRunShowsItsCluster of one node, without a canary, and is one target.
func TestRunShowsItsCluster(t *testing.T) {
	_, _, api, ops := startRun(t)
	page := awaitMetrics(t, ops, `cluster_node_serving{node=".*"} 1`, `cluster_node_routes{node=".*"} 0`, `cluster_versions 1`)
	for _, absent := range []string{"fanfare_canary_", "fanfare_zookeeper_", "fanfare_cluster_source_up"} {
		if strings.Contains(page, absent) {
			t.Errorf("%s is shown", absent)
		}
	}
	if _, text := get(t, api+"/sd/prometheus", ""); strings.Count(text, "targets") != 1 {
		t.Errorf("targets %s", text)
	}
}

// TestCanaryInOneProcess, when it is asked for.
func TestCanaryInOneProcess(t *testing.T) {
	r, _, _, ops := startRun(t, "--set", "canary.enabled=true", "--set", "canary.every=1s", "--set", "node.id=one")
	awaitMetrics(t, ops, `canary_pushes_total{from="one",to="one"} [1-9]\d*`, `messages_accepted_total{kind="unicast",source="admin"} 0`)
	if code := r.end(t); code != exitOK || strings.Contains(r.stderr.String(), "did not drain") {
		t.Errorf("exit %d\n%s", code, r.stderr)
	}
}
