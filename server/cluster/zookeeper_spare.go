package cluster

import (
	"slices"
	"strings"
	"time"
)

// spareExtra is what a process may need, beside the time that a session lasts, to
// notice that it has lost its session and to announce itself anew.
const spareExtra = 3 * time.Second

// zkSpared are the nodes that were known when this process lost its connection to
// ZooKeeper and came back. What cut it off, such as a server that said nothing, may well
// have struck them too and ended their sessions. They are about to announce themselves
// anew, and whoever came back first would take all others for dead. So they stay listed
// for as long as a session lasts and a little longer, but for those that say that they
// leave.
type zkSpared struct {
	generation uint64 // of the connection that was read over last
	peers      []sparedPeer
}

type sparedPeer struct {
	Peer
	present bool
	until   time.Time
}

// begin notes over which connection the registry is read, how long a session lasts and
// what was known before. own is the id of this process, which is not spared.
func (s *zkSpared) begin(generation uint64, lasting time.Duration, known []Peer, own string, now time.Time) {
	if generation == s.generation {
		return
	}
	first := s.generation == 0
	s.generation = generation
	if first {
		return
	}
	s.peers = slices.DeleteFunc(s.peers, func(p sparedPeer) bool { return p.present })
	for _, p := range known {
		absent := slices.ContainsFunc(s.peers, func(q sparedPeer) bool { return p.ID == q.ID })
		if p.ID != own && !absent { // one that is missing already has its time
			s.peers = append(s.peers, sparedPeer{Peer: p, until: now.Add(lasting + spareExtra)})
		}
	}
}

// add returns list, which was read, with those that are spared and not in it.
func (s *zkSpared) add(list []Peer, now time.Time) []Peer {
	if len(s.peers) == 0 {
		return list
	}
	read := list
	s.peers = slices.DeleteFunc(s.peers, func(p sparedPeer) bool {
		return !now.Before(p.until) || slices.ContainsFunc(read, func(q Peer) bool { // another has its place
			return p.ID != q.ID && p.Gateway != "" && p.Gateway == q.Gateway
		})
	})
	for i := range s.peers {
		p := &s.peers[i]
		at := slices.IndexFunc(read, func(q Peer) bool { return p.ID == q.ID })
		if p.present = at >= 0; p.present {
			p.Peer = read[at]
		} else if p.State != Draining {
			list = append(list, p.Peer)
		}
	}
	slices.SortFunc(list, func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// over fires when the next of those that are missing is to be given up; nil if none is.
func (s *zkSpared) over(now time.Time) <-chan time.Time {
	var next time.Time
	for _, p := range s.peers {
		if !p.present && (next.IsZero() || p.until.Before(next)) {
			next = p.until
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(next.Sub(now))
}
