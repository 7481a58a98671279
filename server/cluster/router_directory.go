package cluster

import (
	"slices"
	"sync"
	"time"
)

// site is a node that a route leads to.
type site struct {
	member  Member
	id      string
	address string // of its gateway
	local   bool   // the node of this process
	java    bool
}

// whereabouts is what an address of a route turned out to be.
type whereabouts int

const (
	present whereabouts = iota // a node that takes pushes
	gone                       // no node, or one that the registry has lost
	unknown                    // nobody can say: the registry is away, and this node was not there before
)

// finder is a membership that knows its nodes by address.
type finder interface {
	Find(address string) (Member, bool)
}

// failer is a membership that tells why it may be out of date.
type failer interface{ Err() error }

// frozen reports whether the membership may be out of date.
func (d *directory) frozen() bool {
	f, ok := d.members.(failer)
	return ok && f.Err() != nil
}

// directory finds nodes by the addresses in routes.
type directory struct {
	members Members
	local   *site // member is nil without one
	now     func() time.Time

	mu    sync.Mutex
	index map[string]Member
	of    []Member // that the index is of
	at    time.Time
}

// indexAge is how old an index may be of a membership whose members are the same: they
// may have changed their addresses.
const indexAge = time.Second

// alone reports whether the node of this process is the only one.
func (d *directory) alone() bool {
	members, known := d.members.List()
	return known && len(members) == 1 && members[0] == d.local.member
}

// find tells which node an address is of.
func (d *directory) find(address string) (site, whereabouts) {
	if d.local.member != nil && address == d.local.address {
		return *d.local, present
	}
	m, ok := d.lookup(address)
	if !ok {
		if _, known := d.members.List(); !known || d.frozen() {
			return site{}, unknown
		}
		return site{}, gone
	}
	if d.local.member != nil && m == d.local.member {
		return *d.local, present
	}
	info := m.Info()
	if info.State == Lost {
		return site{}, gone
	}
	return site{member: m, id: info.ID, address: address, java: info.Java}, present
}

func (d *directory) lookup(address string) (Member, bool) {
	if f, ok := d.members.(finder); ok {
		return f.Find(address)
	}
	members, _ := d.members.List()
	d.mu.Lock()
	index := d.index
	fresh := slices.Equal(members, d.of) && d.now().Sub(d.at) <= indexAge
	d.mu.Unlock()
	if !fresh {
		index = d.build(members)
	}
	m, ok := index[address]
	return m, ok && address != ""
}

// build makes the index anew; an index is never changed.
func (d *directory) build(members []Member) map[string]Member {
	index := make(map[string]Member, len(members))
	for _, m := range members {
		index[m.Info().Gateway] = m
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.index, d.of, d.at = index, slices.Clone(members), d.now()
	return index
}
