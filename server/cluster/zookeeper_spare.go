package cluster

import (
	"slices"
	"strings"
	"time"
)

// spareExtra is what a process may need, beside the time that a session lasts, to
// notice that it has lost its session and to announce itself anew.
const spareExtra = 3 * time.Second

// zkSpared are the nodes that were known when this process lost its session and that
// have not been seen since. What made it lose the session, such as a ZooKeeper that
// nobody could reach, has most likely struck them too, and they are about to announce
// themselves anew; whoever comes back first would take all others for dead. So they
// stay listed for as long as a session lasts and a little longer.
type zkSpared struct {
	session int64 // that was read in last
	until   time.Time
	peers   []Peer
}

// begin notes that the registry is read in a session that lasts so long, and what was
// known before. own is the id of this process, which is not spared.
func (s *zkSpared) begin(session int64, lasting time.Duration, known []Peer, own string, now time.Time) {
	if session == s.session {
		return
	}
	if s.session != 0 {
		s.until = now.Add(lasting + spareExtra)
		s.peers = slices.DeleteFunc(known, func(p Peer) bool { return p.ID == own || p.State == Draining })
	}
	s.session = session
}

// add returns list, which was read, with those that are spared.
func (s *zkSpared) add(list []Peer, now time.Time) []Peer {
	if !now.Before(s.until) {
		s.peers = nil
	}
	s.peers = slices.DeleteFunc(s.peers, func(p Peer) bool {
		return slices.ContainsFunc(list, func(q Peer) bool {
			return p.ID == q.ID || p.Gateway != "" && p.Gateway == q.Gateway
		})
	})
	if len(s.peers) == 0 {
		return list
	}
	list = append(list, s.peers...)
	slices.SortFunc(list, func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// over fires when the last of them are to be given up; nil if there are none.
func (s *zkSpared) over(now time.Time) <-chan time.Time {
	if len(s.peers) == 0 {
		return nil
	}
	return time.After(s.until.Sub(now))
}
