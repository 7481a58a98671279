package server

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/fanfare-push/fanfare/protocol"
)

// hubShards spreads the locks of the tables; a power of two.
const hubShards = 64

// hub is the table of connections and of the users bound to them. A user has at
// most one connection of each client type; they hang together by conn.sibling.
type hub struct {
	seed      maphash.Seed
	users     atomic.Int64         // distinct bound users, the node's own left out
	conns     atomic.Int64         // open connections
	canary    atomic.Pointer[conn] // the bound one of the node's own device; nil while there is none
	hadCanary atomic.Bool
	shard     [hubShards]hubShard
}

type hubShard struct {
	mu    sync.RWMutex
	users map[string]*conn // first of the user's connections
	conns []*conn          // open connections, whoever they belong to; conn.slot is the index
}

func newHub() *hub {
	h := &hub{seed: maphash.MakeSeed()}
	for i := range h.shard {
		h.shard[i].users = make(map[string]*conn)
	}
	return h
}

// neighbours is how many connections in a row share a shard. Those that were accepted
// together lie together in memory, the kernel's part of them too; walked in that order
// a broadcast costs a quarter less than when every write meets a cold connection.
const neighbours = 1024

func (h *hub) byConn(c *conn) *hubShard { return &h.shard[c.id/neighbours%hubShards] }

func (h *hub) byUser(user string) *hubShard {
	return &h.shard[maphash.String(h.seed, user)%hubShards]
}

// add enters an open connection.
func (h *hub) add(c *conn) {
	s := h.byConn(c)
	s.mu.Lock()
	c.slot = int32(len(s.conns))
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	h.conns.Add(1)
}

// remove takes out a connection that add entered.
func (h *hub) remove(c *conn) {
	s := h.byConn(c)
	s.mu.Lock()
	last := len(s.conns) - 1
	moved := s.conns[last]
	s.conns[c.slot], s.conns[last] = moved, nil
	moved.slot = c.slot
	s.conns = s.conns[:last]
	if cap(s.conns) > 64 && last < cap(s.conns)/4 {
		s.conns = append(make([]*conn, 0, 2*last), s.conns...)
	}
	s.mu.Unlock()
	h.conns.Add(-1)
}

// devices is how many connections are open but for that of the node's own device.
func (h *hub) devices() int {
	n := int(h.conns.Load())
	if h.canary.Load() != nil {
		n--
	}
	return max(n, 0) // they were not read at once
}

// open appends a shard's connections to into, so that they can be walked without
// its lock.
func (h *hub) open(shard int, into []*conn) []*conn {
	s := &h.shard[shard]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append(into, s.conns...)
}

// bind makes c the user's connection of its class and returns the one it replaced.
func (h *hub) bind(user string, class protocol.ClientType, c *conn) (replaced *conn) {
	s := h.byUser(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.users[user]
	switch {
	case protocol.IsCanary(user):
		h.canary.Store(c)
		h.hadCanary.Store(true)
	case first == nil:
		h.users.Add(1)
	}
	c.class = class
	c.sibling = first
	s.users[user] = c
	for before := c; before.sibling != nil; before = before.sibling {
		if old := before.sibling; old.class == class {
			before.sibling, old.sibling = old.sibling, nil
			return old
		}
	}
	return nil
}

// unbind takes c out of the user's connections; false if it is not (any more) one
// of them.
func (h *hub) unbind(user string, c *conn) bool {
	s := h.byUser(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.users[user]
	own := h.canary.CompareAndSwap(c, nil)
	if first == c {
		if c.sibling == nil {
			delete(s.users, user)
			if !own {
				h.users.Add(-1)
			}
		} else {
			s.users[user] = c.sibling
		}
		c.sibling = nil
		return true
	}
	for before := first; before != nil; before = before.sibling {
		if before.sibling == c {
			before.sibling, c.sibling = c.sibling, nil
			return true
		}
	}
	return false
}

// maxDevices is how many connections a user can have: one of each client type.
const maxDevices = 4

// lookup fills found with the user's connections and returns how many there are.
func (h *hub) lookup(user string, found *[maxDevices]*conn) int {
	s := h.byUser(user)
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for c := s.users[user]; c != nil && n < maxDevices; c = c.sibling {
		found[n] = c
		n++
	}
	return n
}
