package exporter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of a [ClusterCollector].
const (
	clusterEvery   = 10 * time.Second // between two readings
	clusterTimeout = 2 * time.Second  // for one question to a store or a server
	clusterAtOnce  = 8                // questions
	maxClusterNode = 1000             // nodes that have series; the others, by id, have none
)

// ClusterNode is what a process knows of a node of its cluster.
type ClusterNode struct {
	ID      string
	Serving bool
	Java    bool   // an MPush node, which says neither its version nor its connections
	Version string // empty if it is not known
	// Connections of devices as the node itself told, its canary left out; negative
	// while it has told nothing.
	Connections int
	// List names the node's list of online users in the store; empty if it has none.
	List string
	// Skew is by how many seconds the node's clock is ahead of this process's; it is
	// valid if SkewKnown is set.
	Skew      float64
	SkewKnown bool
}

// ClusterOptions say where a [ClusterCollector] gets its numbers. Nodes is required.
type ClusterOptions struct {
	// Nodes lists the cluster; ok is false while it is not known. It must not block.
	Nodes func() (nodes []ClusterNode, ok bool)
	// Left tells which nodes have left in order lately, by id, and when; nil: nobody knows.
	// It must not block.
	Left func() map[string]time.Time
	// Registry is why the registry cannot be reached, nil while it can; a nil Registry:
	// there is none. Store is the same for what the nodes share. They must not block.
	Registry, Store func() error
	// Listed is the length of a list of online users; nil: nobody knows.
	Listed func(ctx context.Context, list string) (int, error)
	// Servers are host:port of the ZooKeeper servers to ask for their state.
	Servers []string
	// Every is the time between two readings of Listed and Servers; 0: ten seconds.
	Every time.Duration
	// Timeout bounds each question; 0: two seconds.
	Timeout time.Duration
	// Logger gets, at debug level, what could not be read; nil means [slog.Default].
	Logger *slog.Logger
}

// ClusterCollector shows a cluster as one process sees it: the nodes as the membership
// has them, so that a node has series for exactly as long as it is a member or counts as
// lost, and what the store and ZooKeeper say. Those two are asked in the background, so
// that a scrape waits for nobody; what could not be read last time is left out, and
// fanfare_cluster_source_up or fanfare_zookeeper_up say so.
type ClusterCollector struct {
	o       ClusterOptions
	stop    context.CancelFunc
	started sync.Once
	work    sync.WaitGroup
	life    context.Context

	mu      sync.Mutex
	listed  map[string]int      // by list; absent: unknown
	lists   bool                // all of them could be read
	servers map[string]zkStatus // by address; absent: it did not answer

	desc clusterDescs
}

// NewClusterCollector makes a collector, which is to be registered, and which reads
// after [ClusterCollector.Start].
func NewClusterCollector(o ClusterOptions) *ClusterCollector {
	o.Every, o.Timeout = cmp.Or(o.Every, clusterEvery), cmp.Or(o.Timeout, clusterTimeout)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &ClusterCollector{o: o, lists: true, desc: newClusterDescs()}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// Start begins to read in the background. A second call does nothing.
func (c *ClusterCollector) Start() {
	c.started.Do(func() { c.work.Go(c.run) })
}

// Stop ends the reading and waits for it.
func (c *ClusterCollector) Stop() {
	c.started.Do(func() {}) // never started, never will be
	c.stop()
	c.work.Wait()
}

func (c *ClusterCollector) run() {
	tick := time.NewTicker(c.o.Every)
	defer tick.Stop()
	for {
		c.read()
		select {
		case <-c.life.Done():
			return
		case <-tick.C:
		}
	}
}

// read asks the store and the servers, some at a time.
func (c *ClusterCollector) read() {
	fresh := reading{listed: map[string]int{}, servers: map[string]zkStatus{}}
	slots := make(chan struct{}, clusterAtOnce)
	var asked sync.WaitGroup
	ask := func(question func(context.Context)) {
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(c.life, c.o.Timeout)
			defer cancel()
			question(ctx)
		})
	}
	for _, list := range c.listNames() {
		ask(func(ctx context.Context) {
			length, err := c.o.Listed(ctx, list)
			fresh.list(list, length, err)
		})
	}
	for _, server := range c.o.Servers {
		ask(func(ctx context.Context) {
			status, err := askZooKeeper(ctx, server)
			fresh.server(server, status, err)
		})
	}
	asked.Wait()
	if c.life.Err() != nil {
		return
	}
	if err := errors.Join(fresh.errs...); err != nil {
		// The metrics say so, and whoever uses the store and the registry has logged why.
		c.o.Logger.Debug("the cluster's metrics are not complete", "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed, c.servers, c.lists = fresh.listed, fresh.servers, !fresh.listFailed
}

// listNames are the lists of single nodes: one that several nodes share says nothing of
// each of them.
func (c *ClusterCollector) listNames() (names []string) {
	if c.o.Listed == nil {
		return nil
	}
	for _, n := range c.nodes() {
		if n.List != "" {
			names = append(names, n.List)
		}
	}
	return names
}

// nodes are the members that have series, by id, without the lists that they share.
func (c *ClusterCollector) nodes() []ClusterNode {
	nodes, _ := c.o.Nodes()
	nodes = slices.Clone(nodes)
	for i := range nodes {
		nodes[i].ID = labelValue(nodes[i].ID)
	}
	slices.SortStableFunc(nodes, func(a, b ClusterNode) int {
		switch { // of two lives of a node the serving one counts
		case a.ID != b.ID:
			return cmp.Compare(a.ID, b.ID)
		case a.Serving && !b.Serving:
			return -1
		case b.Serving && !a.Serving:
			return 1
		}
		return 0
	})
	nodes = slices.CompactFunc(nodes, func(a, b ClusterNode) bool { return a.ID == b.ID })
	nodes = nodes[:min(len(nodes), maxClusterNode)]
	count := map[string]int{}
	for _, n := range nodes {
		count[n.List]++
	}
	for i := range nodes {
		if count[nodes[i].List] > 1 {
			nodes[i].List = ""
		}
	}
	return nodes
}

// reading is what one round of questions found.
type reading struct {
	mu         sync.Mutex
	listed     map[string]int
	servers    map[string]zkStatus
	listFailed bool
	errs       []error
}

// list takes the length of a list.
func (r *reading) list(name string, length int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.listFailed, r.errs = true, append(r.errs, fmt.Errorf("reading the length of the list %q: %w", name, err))
		return
	}
	r.listed[name] = length
}

// server takes the answer of a ZooKeeper server.
func (r *reading) server(address string, s zkStatus, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	r.servers[address] = s
}

// Describe implements [prometheus.Collector].
func (c *ClusterCollector) Describe(ch chan<- *prometheus.Desc) { c.desc.all(ch) }

// Collect implements [prometheus.Collector].
func (c *ClusterCollector) Collect(ch chan<- prometheus.Metric) {
	nodes := c.nodes()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.collectSources(ch)
	c.collectNodes(ch, nodes)
	c.collectServers(ch)
}

func (c *ClusterCollector) collectSources(ch chan<- prometheus.Metric) {
	if c.o.Registry != nil {
		gauge(ch, c.desc.sourceUp, truth(c.o.Registry() == nil), "zookeeper")
	}
	if c.o.Store != nil {
		gauge(ch, c.desc.sourceUp, truth(c.o.Store() == nil && c.lists), "redis")
	}
}

func (c *ClusterCollector) collectNodes(ch chan<- prometheus.Metric, nodes []ClusterNode) {
	versions := map[string]bool{}
	for _, n := range nodes {
		gauge(ch, c.desc.serving, truth(n.Serving), n.ID)
		if n.Connections >= 0 && !n.Java {
			gauge(ch, c.desc.connections, float64(n.Connections), n.ID)
		}
		if length, known := c.listed[n.List]; known {
			gauge(ch, c.desc.routes, float64(length), n.ID)
		}
		if n.SkewKnown {
			gauge(ch, c.desc.skew, n.Skew, n.ID)
		}
		if n.Serving && !n.Java && n.Version != "" {
			versions[n.Version] = true
		}
	}
	gauge(ch, c.desc.versions, float64(len(versions)))
	c.collectLeft(ch, nodes)
}

// collectLeft shows who has left, by name, as many as there may be nodes.
func (c *ClusterCollector) collectLeft(ch chan<- prometheus.Metric, nodes []ClusterNode) {
	if c.o.Left == nil {
		return
	}
	left := map[string]time.Time{}
	for id, at := range c.o.Left() {
		if id = labelValue(id); at.After(left[id]) {
			left[id] = at
		}
	}
	for _, n := range nodes { // it was read a moment later
		delete(left, n.ID)
	}
	ids := slices.Sorted(maps.Keys(left))
	for _, id := range ids[:min(len(ids), maxClusterNode)] {
		gauge(ch, c.desc.left, float64(left[id].UnixMilli())/1000, id)
	}
}

func (c *ClusterCollector) collectServers(ch chan<- prometheus.Metric) {
	for _, address := range c.asked() {
		s, up := c.servers[address]
		gauge(ch, c.desc.zkUp, truth(up), address)
		if !up {
			continue
		}
		gauge(ch, c.desc.zkAnswer, s.took.Seconds(), address)
		for i, stat := range [...]string{"min", "avg", "max"} {
			gauge(ch, c.desc.zkLatency, s.latency[i], address, stat)
		}
		gauge(ch, c.desc.zkOutstanding, s.outstanding, address)
		gauge(ch, c.desc.zkConnections, s.connections, address)
		gauge(ch, c.desc.zkZnodes, s.znodes, address)
		gauge(ch, c.desc.zkLeader, truth(s.leads), address)
	}
}

// asked are the configured servers, each once; none before the first reading.
func (c *ClusterCollector) asked() []string {
	if c.servers == nil {
		return nil
	}
	servers := slices.Clone(c.o.Servers)
	slices.Sort(servers)
	return slices.Compact(servers)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
