package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/store"
)

// joinTime is how long a start waits for the registry, as in MPush.
const joinTime = time.Minute

// openStore opens what outlives connections: in this process, or in Redis.
func (s *service) openStore() (err error) {
	if s.config.Store.Kind == "redis" {
		return s.openRedis()
	}
	embedded, err := store.Open(store.Options{Dir: s.config.Store.Dir, Logger: s.log})
	if err != nil {
		return fmt.Errorf("store.dir: %w", err)
	}
	s.keepStore(embedded)
	return nil
}

// openRedis does not wait for Redis: a node that restarts while Redis is away serves
// what can be served without it.
func (s *service) openRedis() error {
	tls, err := s.config.RedisTLS()
	if err != nil {
		return fmt.Errorf("store.redis.ca_file: %w", err)
	}
	r := s.config.Store.Redis
	redis, err := store.OpenRedis(store.RedisOptions{
		Mode: r.Mode, Addresses: r.Addresses, Master: r.Master, Username: r.Username, Password: r.Password.Reveal(), DB: r.DB,
		TLS: tls, Timeout: r.Timeout.Std(), PoolSize: r.PoolSize, Logger: s.log, Metrics: s.metrics,
	})
	if err != nil {
		return fmt.Errorf("store.redis: %w", err)
	}
	// A ping bounds itself, and says more than that it took too long.
	s.keepStore(store.NewGuard(redis, store.GuardOptions{Timeout: r.Timeout.Std() + time.Second, Logger: s.log}))
	return nil
}

func (s *service) keepStore(opened store.Store) {
	s.store = opened
	s.parts.add(part{name: "store", stop: func(context.Context) error { return opened.Close() }})
}

// openRegistry opens where nodes find each other. A lone node needs none.
func (s *service) openRegistry() error {
	nodes, err := s.config.StaticNodes()
	switch {
	case err != nil:
		return fmt.Errorf("registry.nodes: %w", err)
	case s.config.Registry.Kind == "zookeeper":
		return s.openZooKeeper()
	case len(nodes) == 0:
		return nil
	}
	var peers []cluster.Peer
	for _, n := range nodes {
		peers = append(peers, cluster.Peer{ID: n.ID, Gateway: n.Gateway, Weight: 1, Link: cluster.LinkVersion, State: cluster.Serving})
	}
	s.keepRegistry(cluster.NewStatic(peers...))
	return nil
}

func (s *service) openZooKeeper() error {
	z := s.config.Registry.ZooKeeper
	registry, err := cluster.OpenZooKeeper(cluster.ZooKeeperOptions{
		Servers: z.Servers, Namespace: z.Namespace, Digest: z.Digest.Reveal(), SessionTimeout: z.SessionTimeout.Std(),
		Metrics: s.metrics, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.keepRegistry(registry)
	return nil
}

func (s *service) keepRegistry(r cluster.Registry) {
	s.nodes = r
	s.parts.add(part{name: "registry", stop: func(context.Context) error { return r.Close() }})
}

// makeRouter makes what finds users on whatever node they are, with links to the
// other nodes if there can be any.
func (s *service) makeRouter() (err error) {
	o := cluster.RouterOptions{Store: s.store, Timeout: s.config.Push.RouteTimeout.Std(), Metrics: s.metrics, Logger: s.log}
	if s.node != nil {
		o.Local = s.node
	}
	if s.nodes == nil {
		o.Members = cluster.Static{s.node}
	} else {
		s.makeMesh(o.Local)
		o.Members = s.mesh
	}
	if s.router, err = cluster.NewRouter(o); err != nil {
		return err
	}
	s.parts.add(part{name: "router", stop: s.router.Close})
	if s.node != nil {
		s.node.UseRouter(s.router)
	}
	return nil
}

func (s *service) makeMesh(local cluster.Local) {
	self := s.config.Node.ID
	if local == nil {
		self = "alloc@" + s.config.Alloc.ID
	}
	s.mesh = cluster.NewMesh(cluster.MeshOptions{
		Registry: s.nodes, Local: local, LocalID: self,
		Link: cluster.LinkOptions{
			Self: self, Secret: s.config.Security.GatewaySecret.Reveal(), Timeout: s.config.Push.RouteTimeout.Std(),
			Metrics: s.metrics, Logger: s.log,
		},
	})
	s.parts.add(part{name: "links to other nodes", stop: s.mesh.Close})
}

// addRegistration announces the node once everything else serves, and before anything
// else ends lets its devices move to other nodes.
func (s *service) addRegistration() error {
	s.parts.add(part{name: "registration", start: s.join, stop: s.retire})
	return nil
}

// listTime is how long a node waits to learn who the others are before it serves.
const listTime = 3 * time.Second

// serve starts the node. A push that came before the other nodes are known could only
// be delivered to this one, which has no devices yet. If they do not get known, the node
// starts all the same: devices that come are served as far as that goes.
func (s *service) serve() error {
	if s.mesh != nil {
		s.awaitList()
	}
	return s.node.Start()
}

func (s *service) awaitList() {
	ctx, cancel := context.WithTimeout(s.ctx, listTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, known := s.mesh.List(); known {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *service) join() error {
	ctx, cancel := context.WithTimeout(s.ctx, joinTime)
	defer cancel()
	if s.nodes != nil && s.nodes.Err() != nil {
		s.log.Info("waiting for the registry to announce this node", "at_most", joinTime)
	}
	err := s.node.Join(ctx)
	s.joined = err == nil
	return err
}

// leaveNotice is how long a node is announced as draining at least, so that everybody
// who watches sees it leave and does not take it for lost.
const leaveNotice = time.Second

// retire lets the devices move to other nodes and takes the node out of the registry.
func (s *service) retire(ctx context.Context) error {
	if !s.joined {
		return nil
	}
	limit := s.config.Push.DrainTimeout.Std()
	if limit > 0 || s.nodes != nil {
		s.node.Drain(0)
	}
	noticed := time.After(leaveNotice)
	if limit > 0 {
		within, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if report, err := s.node.Drained(within); err != nil {
			s.log.Warn("the node did not drain in push.drain_timeout; what is left is closed", "report", report.String())
		}
	}
	if s.nodes != nil {
		select {
		case <-noticed:
		case <-ctx.Done():
		}
	}
	return s.node.Leave(ctx)
}

// ready tells what is missing, part by part.
func (s *service) ready() error {
	if s.node != nil {
		return s.node.Ready()
	}
	var errs []error
	if guard, ok := s.store.(*store.Guard); ok && guard.Err() != nil {
		errs = append(errs, fmt.Errorf("store: %w", guard.Err()))
	}
	if err := s.nodes.Err(); err != nil {
		errs = append(errs, fmt.Errorf("registry: %w", err))
	}
	if _, known := s.nodes.Peers(); !known {
		errs = append(errs, errors.New("registry: the nodes are not known yet"))
	}
	return errors.Join(errs...)
}
