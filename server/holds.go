package server

import (
	"slices"

	"github.com/fanfare-push/fanfare/protocol"
)

// Holds implements [cluster.Holder].
func (n *Node) Holds(user string, types ...protocol.ClientType) bool {
	var classes [maxDevices]protocol.ClientType
	bound := n.hub.classes(user, &classes)
	for _, t := range types {
		if !slices.Contains(classes[:bound], t) {
			return false
		}
	}
	return bound > 0
}

// classes fills found with the client types of the user's connections and returns how
// many there are.
func (h *hub) classes(user string, found *[maxDevices]protocol.ClientType) int {
	s := h.byUser(user)
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for c := s.users[user]; c != nil && n < maxDevices; c = c.sibling {
		found[n] = c.class
		n++
	}
	return n
}
