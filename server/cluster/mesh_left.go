package cluster

import (
	"maps"
	"time"
)

const (
	// keepLeft is for how long a mesh knows of a node that it left in order: as long as
	// anybody looks back for nodes that disappeared.
	keepLeft = time.Hour
	// maxLeft bounds how many of them it knows. Of more that leave within the hour, the
	// last are not noted.
	maxLeft = 1000
)

// departures are the nodes that have left in order, by id, and when. Others forget such a
// node at once, and one that drains within a second or two is never seen draining by
// those who look only now and then; without a note it would look like one that vanished.
type departures map[string]time.Time

// note remembers that a node has left.
func (d departures) note(id string, now time.Time) {
	d.forgetOld(now)
	if _, known := d[id]; known || len(d) < maxLeft {
		d[id] = now
	}
}

func (d departures) forgetOld(now time.Time) {
	maps.DeleteFunc(d, func(_ string, at time.Time) bool { return now.Sub(at) > keepLeft })
}

// Left tells which nodes have drained and left within the last hour, by id, and when. One
// that has come back is not among them.
func (m *Mesh) Left() map[string]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left.forgetOld(m.o.Link.Now())
	return maps.Clone(m.left)
}
