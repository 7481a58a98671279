package server

import (
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// quietPeer is a connection that writes nothing.
func quietPeer() *gateway { return &gateway{corked: true} }

// TestLinkMemoryListensToOneConnection: what an older one still delivers would be
// delivered twice.
func TestLinkMemoryListensToOneConnection(t *testing.T) {
	t.Parallel()
	m := &linkMemory{node: &Node{born: time.Now()}, limit: 10}
	first, second := quietPeer(), quietPeer()
	if old, err := m.attach(first, 0, &protocol.LinkReady{}); old != nil || err != nil || !m.begin(first, 1, 1) {
		t.Fatalf("%v, %v", old, err)
	}
	var ready protocol.LinkReady
	if old, err := m.attach(second, 0, &ready); old != first || err != nil || !ready.Resumed || ready.Last != 1 {
		t.Errorf("%v, %v, %+v", old, err, ready)
	}
	if m.begin(first, 2, 1) || m.last != 1 {
		t.Error("the older connection is still listened to")
	}
	m.detach(first)
	if _, gone := m.leftAt(); gone || !m.begin(second, 2, 1) {
		t.Error("the end of the older connection ended the younger")
	}
	for range 2 {
		if w, err := m.deliver(&protocol.LinkResult{Request: 2}, 1); w != second || err != nil {
			t.Errorf("%v, %v", w, err)
		}
	}
	m.detach(second)
	if w, err := m.deliver(&protocol.LinkResult{Request: 1}, 0); w != nil || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	if m.forget(2); len(m.sizes) != 1 || m.first != 3 || m.running != 0 {
		t.Errorf("%d results from %d, %d running", len(m.sizes), m.first, m.running)
	}
	if m.forget(99); m.results != nil || m.first != 4 {
		t.Errorf("%d bytes from %d", len(m.results), m.first)
	}
}

// TestLinksAreForgotten: those that did not come back, and before that the one that left
// first when there are too many.
func TestLinksAreForgotten(t *testing.T) {
	t.Parallel()
	n := &Node{born: time.Now().Add(-time.Hour)}
	var l links
	visit := func(i int, left time.Duration) linkKey {
		key := linkKey{id: "caller", instance: protocol.LinkNonce{byte(i), byte(i >> 8)}}
		m := l.of(key, n)
		w := quietPeer()
		if _, err := m.attach(w, 0, &protocol.LinkReady{}); err != nil {
			t.Fatal(err)
		}
		m.detach(w)
		m.left = left
		return key
	}
	long := visit(0, n.clock()-2*linkMemoryTime)
	first := visit(1, n.clock()-time.Second)
	for i := 2; i < maxLinkMemories+2; i++ {
		visit(i, n.clock())
	}
	if l.memories[long] != nil || l.memories[first] != nil || len(l.memories) != maxLinkMemories {
		t.Errorf("%d are remembered", len(l.memories))
	}
	for i := range maxRefusals + 1 {
		if !l.firstRefusal(string(rune(i)), protocol.LinkRefusedSecret) || l.firstRefusal(string(rune(i)), protocol.LinkRefusedSecret) {
			t.Fatal("not told once")
		}
	}
	if len(l.refused) > maxRefusals {
		t.Errorf("%d refusals are remembered", len(l.refused))
	}
}
