package cluster

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// StaticRegistry is a registry that is told who the nodes are. It is always connected.
type StaticRegistry struct {
	notifier notifier

	mu    sync.Mutex
	peers []Peer // sorted by id
	self  string // id of this node once it has joined
}

// NewStatic makes a registry of these nodes. This node may be among them: what it
// joins with replaces the entry.
func NewStatic(peers ...Peer) *StaticRegistry {
	s := &StaticRegistry{}
	for _, p := range peers {
		s.put(p)
	}
	return s
}

// Join puts this node into the list. It never fails.
func (s *StaticRegistry) Join(_ context.Context, self Peer) error {
	s.change(func() { s.self = self.ID; s.put(self) })
	return nil
}

// Update changes this node's entry. It does nothing before Join.
func (s *StaticRegistry) Update(self Peer) {
	s.change(func() {
		if s.self != "" {
			self.ID = s.self
			s.put(self)
		}
	})
}

// Leave takes this node out of the list. It never fails.
func (s *StaticRegistry) Leave(context.Context) error {
	s.change(func() {
		s.peers = slices.DeleteFunc(s.peers, func(p Peer) bool { return p.ID == s.self })
		s.self = ""
	})
	return nil
}

// Peers lists the nodes by id; known is always true.
func (s *StaticRegistry) Peers() (peers []Peer, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.peers), true
}

// Err is always nil.
func (s *StaticRegistry) Err() error { return nil }

// Watch calls changed after every Join, Update and Leave; see [Registry].
func (s *StaticRegistry) Watch(changed func()) (stop func()) { return s.notifier.watch(changed) }

// Close ends all watching and returns when none runs any more.
func (s *StaticRegistry) Close() error {
	s.notifier.close()
	return nil
}

func (s *StaticRegistry) change(f func()) {
	s.mu.Lock()
	f()
	s.mu.Unlock()
	s.notifier.notify()
}

func (s *StaticRegistry) put(p Peer) {
	p.Weight = max(p.Weight, 1)
	i, found := slices.BinarySearchFunc(s.peers, p.ID, func(q Peer, id string) int { return strings.Compare(q.ID, id) })
	if found {
		s.peers[i] = p
		return
	}
	s.peers = slices.Insert(s.peers, i, p)
}
