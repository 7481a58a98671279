package server

import "sync"

// bindingSet are the connections between writing their route and entering the hub.
// The zero value is empty.
type bindingSet struct {
	mu  sync.Mutex
	ids map[uint64]struct{}
}

func (b *bindingSet) add(id uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		b.ids = make(map[uint64]struct{})
	}
	b.ids[id] = struct{}{}
}

func (b *bindingSet) remove(id uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}

// has reports whether the connection of that name is one of them.
func (b *bindingSet) has(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.ids { // a few: as many as the store pool has workers
		if connName(id) == name {
			return true
		}
	}
	return false
}
