package alloc

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/server/cluster"
)

const (
	// keepLost is how long a node that vanished stays a target. If it went at once
	// its series would go stale and no alert about it could ever fire.
	keepLost = 15 * time.Minute
	// maxLost bounds how many such nodes are remembered; the oldest go first.
	maxLost = 1000
)

// discovery remembers the nodes that were there, so that lost ones stay targets
// for a while. It learns when it is asked, which Prometheus does every minute. A node
// that was lost before this process first learned of it is not a target here, unless
// the membership still names it; Prometheus should ask all allocators of a cluster.
type discovery struct {
	mu    sync.Mutex
	known map[string]sighting // by node id
}

type sighting struct {
	info cluster.Info
	lost time.Time // when it was first found missing or lost; zero while it is there
	left bool      // it was draining before, so that is no loss
}

func newDiscovery() *discovery { return &discovery{known: make(map[string]sighting)} }

// learn takes the present nodes over.
func (d *discovery) learn(present []cluster.Info, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	listed := make(map[string]bool, len(present))
	for _, info := range present {
		listed[info.ID] = true
		d.see(info, now)
	}
	for id, s := range d.known {
		if !listed[id] {
			d.miss(id, s, now)
		}
	}
	d.bound()
}

// see notes a node that the membership names. It may go on naming a lost one; the
// time since it was lost counts all the same.
func (d *discovery) see(info cluster.Info, now time.Time) {
	s := sighting{info: info}
	if info.State == cluster.Lost {
		before := d.known[info.ID]
		s.lost, s.left = before.lost, before.left || before.info.State == cluster.Draining
		if s.lost.IsZero() {
			s.lost = now
		}
	}
	d.known[info.ID] = s
}

// miss notes that a node is gone. One that was draining left on purpose.
func (d *discovery) miss(id string, s sighting, now time.Time) {
	switch {
	case s.info.State == cluster.Draining, s.expired(now):
		delete(d.known, id)
	case s.lost.IsZero():
		s.lost, s.info.State = now, cluster.Lost
		d.known[id] = s
	}
}

// expired tells whether the node was lost for so long that it is no target any more.
func (s sighting) expired(now time.Time) bool {
	return s.left || !s.lost.IsZero() && now.Sub(s.lost) >= keepLost
}

// bound forgets the longest lost nodes beyond the bound.
func (d *discovery) bound() {
	lost := make([]sighting, 0, len(d.known))
	for _, s := range d.known {
		if !s.lost.IsZero() {
			lost = append(lost, s)
		}
	}
	if len(lost) <= maxLost {
		return
	}
	slices.SortFunc(lost, func(a, b sighting) int { return a.lost.Compare(b.lost) })
	for _, s := range lost[:len(lost)-maxLost] {
		delete(d.known, s.info.ID)
	}
}

// targets are the nodes that are to be asked at a port of theirs, by id. The address of a
// lost node may belong to another by now, whose numbers must not be taken for those of
// the lost one.
func (d *discovery) targets(now time.Time, port portOf) []cluster.Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	living := make(map[string]bool, len(d.known))
	for _, s := range d.known {
		if s.lost.IsZero() {
			living[port(s.info)] = true
		}
	}
	infos := make([]cluster.Info, 0, len(d.known))
	for _, s := range d.known {
		address := port(s.info)
		if address != "" && (s.lost.IsZero() || !s.expired(now) && !living[address]) {
			infos = append(infos, s.info)
		}
	}
	slices.SortFunc(infos, func(a, b cluster.Info) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}
