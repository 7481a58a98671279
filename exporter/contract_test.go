package exporter

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// clusterContract is the same for allocators (and "fanfare run") alone.
var clusterContract = []string{
	"fanfare_cluster_source_up gauge source=redis|zookeeper",
	"fanfare_cluster_node_serving gauge node=n",
	"fanfare_cluster_node_connections gauge node=n",
	"fanfare_cluster_node_routes gauge node=n",
	"fanfare_cluster_node_clock_skew_seconds gauge node=n",
	"fanfare_cluster_versions gauge",
	"fanfare_cluster_node_left_timestamp_seconds gauge node=gone",
	"fanfare_zookeeper_up gauge server=s",
	"fanfare_zookeeper_answer_seconds gauge server=s",
	"fanfare_zookeeper_latency_seconds gauge server=s stat=min|avg|max",
	"fanfare_zookeeper_outstanding_requests gauge server=s",
	"fanfare_zookeeper_connections gauge server=s",
	"fanfare_zookeeper_znodes gauge server=s",
	"fanfare_zookeeper_leader gauge server=s",
}

func TestContractOfTheClusterCollector(t *testing.T) {
	t.Parallel()
	well := func() error { return nil }
	c := NewClusterCollector(ClusterOptions{
		Nodes: func() ([]ClusterNode, bool) {
			return []ClusterNode{{ID: "n", Serving: true, Version: "1", List: "l", SkewKnown: true}}, true
		},
		Left:     func() map[string]time.Time { return map[string]time.Time{"gone": time.Now()} },
		Registry: well, Store: well, Servers: []string{"s"},
	})
	c.listed, c.servers = map[string]int{"l": 1}, map[string]zkStatus{"s": {}} // as after a reading
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	keepsContract(t, reg, clusterContract)
}

// otherContract are the metrics with conditions of their own: a canary, a certificate.
var otherContract = []string{
	"fanfare_canary_seconds gauge from=a to=b",
	"fanfare_canary_pushes_total counter from=a to=b",
	"fanfare_canary_lost_total counter from=a to=b",
	"fanfare_certificate_expiry_timestamp_seconds gauge",
	"fanfare_memory_limit_bytes gauge",
}

func TestContractOfWhatNotEveryProcessHas(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	NewCanaryMetrics(reg, "a").Pair("b").Took(time.Second)
	err := AddCertificates(reg, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{expiring(t, time.Now())}}}})
	if err != nil {
		t.Fatal(err)
	}
	addMemoryLimit(reg)
	keepsContract(t, reg, otherContract)
}
