package main

import (
	"context"
	"net"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/canary"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/store"
)

// addCluster shows the cluster among the metrics of an allocator's process.
func (s *service) addCluster() {
	o := exporter.ClusterOptions{Nodes: s.clusterNodes, Listed: s.store.OnlineUsers, Logger: s.log}
	if guard, ok := s.store.(*store.Guard); ok {
		o.Store = func() error {
			if err := guard.Err(); !store.TakesNoWrites(err) {
				return err
			}
			return nil // it can be read
		}
	}
	if s.mesh != nil {
		o.Left = s.mesh.Left
	}
	if s.config.Registry.Kind == "zookeeper" {
		o.Registry, o.Servers = s.nodes.Err, s.config.Registry.ZooKeeper.Servers
	}
	collector := exporter.NewClusterCollector(o)
	s.registry.MustRegister(collector)
	s.parts.add(part{
		name:  "metrics of the cluster",
		start: func() error { collector.Start(); return nil },
		stop:  func(context.Context) error { collector.Stop(); return nil },
	})
}

// clusterNodes says in the exporter's terms what is known of the nodes.
func (s *service) clusterNodes() (nodes []exporter.ClusterNode, ok bool) {
	members, ok := s.router.Members().List()
	lists := s.onlineLists()
	for _, m := range members {
		info := m.Info()
		n := exporter.ClusterNode{
			ID: info.ID, Serving: info.State == cluster.Serving, Java: info.Java, Version: info.Version,
			Connections: info.Connections, List: lists[nodeLife{info.ID, info.Gateway}],
			Skew: info.Skew.Seconds(), SkewKnown: info.SkewKnown,
		}
		if info.Unheard {
			n.Connections = -1
		}
		nodes = append(nodes, n)
	}
	return nodes, ok
}

// nodeLife names a life of a node.
type nodeLife struct{ id, gateway string }

// onlineLists are the names of the nodes' lists of online users. A node in Java has the
// one of the host that devices connect to.
func (s *service) onlineLists() map[nodeLife]string {
	lists := map[nodeLife]string{}
	if s.node != nil {
		info := s.node.Info()
		lists[nodeLife{info.ID, info.Gateway}] = s.node.PublicIP()
	}
	if s.nodes == nil {
		return lists
	}
	peers, _ := s.nodes.Peers()
	for _, p := range peers {
		name := p.PublicIP
		if name == "" {
			name, _, _ = net.SplitHostPort(p.Device) // empty if there is none
		}
		lists[nodeLife{p.ID, p.Gateway}] = name
	}
	return lists
}

// addCanary makes this process push to the own devices of all nodes.
func (s *service) addCanary() error {
	if !s.config.Canary.On(s.role) {
		return nil
	}
	from := s.config.Alloc.ID
	if s.node != nil {
		from = s.config.Node.ID
	}
	prober, err := canary.New(canary.Options{
		Router: s.router, Metrics: exporter.NewCanaryMetrics(s.registry, from), Logger: s.log,
		Every: s.config.Canary.Every.Std(), Timeout: s.config.Canary.Timeout.Std(),
	})
	if err != nil {
		return err
	}
	s.parts.add(part{
		name:  "canary",
		start: func() error { prober.Start(); return nil },
		stop:  func(context.Context) error { prober.Stop(); return nil },
	})
	return nil
}
