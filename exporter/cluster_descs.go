package exporter

import "github.com/prometheus/client_golang/prometheus"

// clusterDescs are the metrics of a [ClusterCollector].
type clusterDescs struct {
	sourceUp, serving, connections, routes, skew, versions, left                *prometheus.Desc
	zkUp, zkAnswer, zkLatency, zkOutstanding, zkConnections, zkZnodes, zkLeader *prometheus.Desc
}

func newClusterDescs() clusterDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+name, help, labels, nil)
	}
	return clusterDescs{
		sourceUp: desc("cluster_source_up", "Whether what this process knows of the cluster comes first hand, 1 or 0.", "source"),
		serving:  desc("cluster_node_serving", "Whether this process sends devices and pushes to the node, 1 or 0; 0 is draining or lost.", "node"),
		connections: desc("cluster_node_connections",
			"Device connections of the node as it told this process last, its canary left out.", "node"),
		routes: desc("cluster_node_routes",
			"Users that the store has on the node's list of online users; absent while the store is away and for nodes that share a list.", "node"),
		skew: desc("cluster_node_clock_skew_seconds",
			"By how much the node's clock is ahead of the clock of this process; negative if it is behind.", "node"),
		left: desc("cluster_node_left_timestamp_seconds",
			"When the node left the cluster in order, having drained, as seen by this process; for an hour, or until it is back.", "node"),
		versions: desc("cluster_versions", "Distinct versions of the nodes that serve, MPush nodes left out."),
		zkUp:     desc("zookeeper_up", "Whether the ZooKeeper server answered and serves, 1 or 0.", "server"),
		zkAnswer: desc("zookeeper_answer_seconds",
			"Time from this process's last question to the ZooKeeper server, connection included, until its answer.", "server"),
		zkLatency: desc("zookeeper_latency_seconds",
			"Time the ZooKeeper server took for requests since it was started.", "server", "stat"),
		zkOutstanding: desc("zookeeper_outstanding_requests", "Requests that wait in the ZooKeeper server.", "server"),
		zkConnections: desc("zookeeper_connections", "Connections of the ZooKeeper server, that of the question included.", "server"),
		zkZnodes:      desc("zookeeper_znodes", "Entries in the tree of the ZooKeeper server.", "server"),
		zkLeader:      desc("zookeeper_leader", "Whether the ZooKeeper server leads its ensemble or is alone, 1 or 0.", "server"),
	}
}

// all sends every description.
func (d *clusterDescs) all(ch chan<- *prometheus.Desc) {
	for _, one := range [...]*prometheus.Desc{
		d.sourceUp, d.serving, d.connections, d.routes, d.skew, d.versions, d.left,
		d.zkUp, d.zkAnswer, d.zkLatency, d.zkOutstanding, d.zkConnections, d.zkZnodes, d.zkLeader,
	} {
		ch <- one
	}
}
