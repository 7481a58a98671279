package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
)

// MeshOptions are what a [Mesh] needs. Registry and Link are required.
type MeshOptions struct {
	Registry Registry
	Local    Local  // the node of this process; nil in an allocator
	LocalID  string // its id in the registry
	Link     LinkOptions
	// KeepLost is how long a node is listed that has disappeared; default 15 minutes.
	KeepLost time.Duration
}

// Mesh keeps a link to each node of the cluster. It implements [Members]. A node that
// disappears from the registry is listed as lost for a while, so that people and
// Prometheus see that it is missing, unless it was draining: then it was to go. While
// the registry cannot be reached nobody disappears.
type Mesh struct {
	o       MeshOptions
	log     *slog.Logger
	stop    func() // the watch of the registry
	closing sync.WaitGroup
	gateway string     // of the local node
	turn    sync.Mutex // one refresh at a time, from reading the registry to the end

	mu      sync.Mutex
	links   map[meshKey]*Link
	lost    map[meshKey]*lostNode
	leaving map[*Link]struct{} // their nodes have left, and may still answer
	left    departures
	known   bool
	closed  bool
	list    []Member // as List returns it; nil: to be made
}

// meshKey names a life of a node: one that comes back elsewhere is another.
type meshKey struct{ id, gateway string }

type lostNode struct {
	link  *Link
	until time.Time
}

// NewMesh links to the nodes that the registry knows, and to those it will. [Mesh.Close]
// ends it.
func NewMesh(o MeshOptions) *Mesh {
	o.Link.fill()
	setDefault(&o.KeepLost, 15*time.Minute)
	m := &Mesh{o: o, log: o.Link.Logger, links: make(map[meshKey]*Link), lost: make(map[meshKey]*lostNode), leaving: make(map[*Link]struct{}), left: make(departures)}
	if o.Local != nil {
		m.gateway = o.Local.Info().Gateway
	}
	m.stop = o.Registry.Watch(m.refresh)
	m.refresh()
	return m
}

// refresh follows the registry.
func (m *Mesh) refresh() {
	m.turn.Lock()
	defer m.turn.Unlock()
	// Err comes first: it turns to nil only after the peers were read anew.
	frozen := m.o.Registry.Err() != nil
	peers, known := m.o.Registry.Peers()
	var ended []*Link
	m.mu.Lock()
	if m.closed || !known {
		m.mu.Unlock()
		return
	}
	m.known, m.list = true, nil
	seen := make(map[meshKey]bool, len(peers))
	for _, p := range peers {
		key := meshKey{p.ID, p.Gateway}
		if p.Gateway == "" || m.o.Local != nil && p.ID == m.o.LocalID {
			continue
		}
		seen[key] = true
		delete(m.left, p.ID)
		m.join(key, p, &ended)
	}
	if !frozen {
		m.removeMissing(seen, &ended)
	}
	m.mu.Unlock()
	m.closeAll(ended)
	m.count()
}

// join updates the link of a peer or makes one; the caller holds mu.
func (m *Mesh) join(key meshKey, p Peer, ended *[]*Link) {
	if l, ok := m.links[key]; ok && l.java == p.Java() {
		l.Update(p)
		return
	} else if ok {
		*ended = append(*ended, l)
	}
	if was, ok := m.lost[key]; ok { // it is back
		delete(m.lost, key)
		*ended = append(*ended, was.link)
	}
	m.links[key] = NewLink(p, m.o.Link)
	m.log.Info("node joined", "peer", p.ID, "gateway", p.Gateway, "java", p.Java())
}

// removeMissing ends the links to nodes that have gone; the caller holds mu.
func (m *Mesh) removeMissing(seen map[meshKey]bool, ended *[]*Link) {
	served := make(map[string]bool, len(seen))
	for key := range seen {
		served[key.id] = true
	}
	for key, l := range m.links {
		if seen[key] {
			continue
		}
		delete(m.links, key)
		if served[key.id] || l.Info().State == Draining {
			m.log.Info("node has left", "peer", key.id, "gateway", key.gateway)
			if !served[key.id] {
				m.left.note(key.id, m.o.Link.Now())
			}
			m.leaving[l] = struct{}{}
			m.closing.Go(func() { m.seeOff(l) })
			continue
		}
		m.log.Warn("node is lost", "peer", key.id, "gateway", key.gateway)
		m.lost[key] = &lostNode{l, m.o.Link.Now().Add(m.o.KeepLost)}
		list := l.giveUp() // at once, so that it is listed as lost from here on
		m.closing.Go(func() { l.endAll(list, exporter.ResultError) })
	}
	for key, was := range m.lost {
		if served[key.id] { // it is back elsewhere
			delete(m.lost, key)
			*ended = append(*ended, was.link)
		}
	}
}

// seeOff ends the link to a node that has left when it has answered what it was given.
func (m *Mesh) seeOff(l *Link) {
	l.leave()
	l.tasks.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.leaving, l)
}

func (m *Mesh) closeAll(links []*Link) {
	for _, l := range links {
		m.closing.Go(l.Close)
	}
}

// count sets the gauge of nodes by state.
func (m *Mesh) count() {
	counts := make(map[State]int)
	list, _ := m.List()
	for _, member := range list {
		counts[member.Info().State]++
	}
	metrics := m.o.Link.Metrics
	metrics.ClusterNodes(exporter.NodeServing).Set(float64(counts[Serving]))
	metrics.ClusterNodes(exporter.NodeDraining).Set(float64(counts[Draining]))
	metrics.ClusterNodes(exporter.NodeLost).Set(float64(counts[Lost]))
}

// List implements [Members]: the node of this process and the others, also those that
// were lost lately, by id.
func (m *Mesh) List() ([]Member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetOld()
	if m.list == nil {
		m.list = m.sorted()
	}
	return m.list, m.known
}

// forgetOld drops nodes that were lost long ago; the caller holds mu.
func (m *Mesh) forgetOld() {
	if len(m.lost) == 0 {
		return
	}
	now := m.o.Link.Now()
	for key, was := range m.lost {
		if now.After(was.until) {
			delete(m.lost, key)
			m.list = nil
			m.o.Link.Metrics.ClusterNodes(exporter.NodeLost).Dec()
			if !m.closed {
				m.closing.Go(was.link.Close)
			}
		}
	}
}

// sorted makes the list; the caller holds mu.
func (m *Mesh) sorted() []Member {
	type named struct {
		meshKey
		member Member
	}
	var all []named
	if m.o.Local != nil {
		all = append(all, named{meshKey{m.o.LocalID, ""}, m.o.Local})
	}
	for key, l := range m.links {
		all = append(all, named{key, l})
	}
	for key, was := range m.lost {
		all = append(all, named{key, was.link})
	}
	slices.SortFunc(all, func(a, b named) int {
		if c := strings.Compare(a.id, b.id); c != 0 {
			return c
		}
		return strings.Compare(a.gateway, b.gateway)
	})
	list := make([]Member, len(all))
	for i, n := range all {
		list[i] = n.member
	}
	return list
}

// Find returns the node behind the address of a gateway, as routes have it. Lost nodes
// are not found.
func (m *Mesh) Find(address string) (Member, bool) {
	if address == "" {
		return nil, false
	}
	if m.o.Local != nil && m.gateway == address {
		return m.o.Local, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, l := range m.links {
		if key.gateway == address {
			return l, true
		}
	}
	return nil, false
}

// Err is why the registry cannot be reached, and the list of nodes may be out of date; nil
// while it can.
func (m *Mesh) Err() error { return m.o.Registry.Err() }

// Close ends all links; pushes on their way end as node_lost. It waits until nothing of
// the mesh runs, or until ctx ends. Further calls wait as well.
func (m *Mesh) Close(ctx context.Context) error {
	m.mu.Lock()
	first := !m.closed
	m.closed = true
	links := make([]*Link, 0, len(m.links)+len(m.lost))
	if first {
		for _, l := range m.links {
			links = append(links, l)
		}
		for _, was := range m.lost {
			links = append(links, was.link)
		}
		for l := range m.leaving {
			links = append(links, l)
		}
	}
	m.mu.Unlock()
	if first {
		m.closeAll(links)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.stop()
		m.closing.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("links to other nodes are still busy: %w", context.Cause(ctx))
	}
}
