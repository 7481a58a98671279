package alloc

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/cluster"
)

func info(id string, s cluster.State) cluster.Info {
	return cluster.Info{ID: id, Ops: id + ":9310", State: s}
}

// shown is "id=state" of every target at a time.
func shown(d *discovery, minute float64, present ...cluster.Info) string {
	names := []string{}
	now := started.Add(time.Duration(minute * float64(time.Minute)))
	d.learn(present, now)
	for _, i := range d.targets(now, opsPort) {
		names = append(names, i.ID+"="+string(i.State))
	}
	return strings.Join(names, " ")
}

func TestLostNodesStayTargets(t *testing.T) {
	d := newDiscovery()
	a, b := info("a", cluster.Serving), info("b", cluster.Serving)
	same(t, "both", shown(d, 0, b, a), "a=serving b=serving")
	same(t, "a vanished", shown(d, 1, b), "a=lost b=serving")
	same(t, "just before the end", shown(d, 15.99, b), "a=lost b=serving")
	same(t, "at the end", shown(d, 16, b), "b=serving")
	same(t, "all vanished", shown(d, 17), "b=lost")
	same(t, "nothing left", shown(d, 40), "")
}

func TestNodeThatComesBack(t *testing.T) {
	d := newDiscovery()
	shown(d, 0, info("a", cluster.Serving))
	shown(d, 1)
	same(t, "back", shown(d, 10, info("a", cluster.Serving)), "a=serving")
	same(t, "gone again", shown(d, 11), "a=lost")
	same(t, "counted from the second loss", shown(d, 25.9), "a=lost")
	same(t, "over", shown(d, 26), "")
}

func TestDrainedNodeLeavesAtOnce(t *testing.T) {
	d := newDiscovery()
	shown(d, 0, info("a", cluster.Serving))
	same(t, "draining", shown(d, 1, info("a", cluster.Draining)), "a=draining")
	same(t, "gone", shown(d, 2), "")
	shown(d, 3, info("a", cluster.Serving))
	shown(d, 4, info("a", cluster.Draining))
	same(t, "gone, but still named", shown(d, 5, info("a", cluster.Lost)), "")
	same(t, "named again", shown(d, 6, info("a", cluster.Lost)), "")
	same(t, "back", shown(d, 7, info("a", cluster.Serving)), "a=serving")
	same(t, "lost this time", shown(d, 8, info("a", cluster.Lost)), "a=lost")
}

func TestNodeThatTheRegistryCallsLost(t *testing.T) {
	d := newDiscovery()
	same(t, "lost", shown(d, 0, info("a", cluster.Lost)), "a=lost")
	same(t, "still named", shown(d, 14.9, info("a", cluster.Lost)), "a=lost")
	same(t, "named for ever", shown(d, 15, info("a", cluster.Lost)), "")
	same(t, "not a new loss", shown(d, 16, info("a", cluster.Lost)), "")
	same(t, "no longer named", shown(d, 17), "")
	same(t, "back", shown(d, 18, info("a", cluster.Serving)), "a=serving")
}

// TestAddressOfALostNodeIsTaken: a process that was replaced is not up again under its
// old name.
func TestAddressOfALostNodeIsTaken(t *testing.T) {
	d := newDiscovery()
	old, heir := info("old", cluster.Serving), info("new", cluster.Serving)
	heir.Ops = old.Ops
	shown(d, 0, old)
	same(t, "lost", shown(d, 1), "old=lost")
	same(t, "replaced", shown(d, 2, heir), "new=serving")
	same(t, "both lost", shown(d, 3), "new=lost old=lost")
}

// TestAllocatorThatWasNotThere cannot know whom it missed, unless the membership does.
func TestAllocatorThatWasNotThere(t *testing.T) {
	before, after := newDiscovery(), newDiscovery()
	shown(before, 0, info("a", cluster.Serving), info("b", cluster.Serving))
	same(t, "the old one", shown(before, 1, info("b", cluster.Serving)), "a=lost b=serving")
	same(t, "the new one", shown(after, 1, info("b", cluster.Serving)), "b=serving")
	same(t, "one that was told", shown(newDiscovery(), 1, info("a", cluster.Lost), info("b", cluster.Serving)), "a=lost b=serving")
}

func TestLostNodesAreBounded(t *testing.T) {
	d := newDiscovery()
	for i := range maxLost + 50 {
		shown(d, float64(i)/1000, info(fmt.Sprintf("n%04d", i), cluster.Serving))
	}
	now := started.Add(2 * time.Minute)
	d.learn(nil, now)
	if n := len(d.targets(now, opsPort)); n != maxLost {
		t.Errorf("%d lost nodes, want %d", n, maxLost)
	}
	if _, known := d.known["n0000"]; known {
		t.Error("the longest lost is still known")
	}
}

func TestDiscoveryForPrometheus(t *testing.T) {
	now, mu := started, sync.Mutex{}
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	n1 := newNode("n1")
	r := newRig(t, func(o *Options) { o.Now = clock }, n1, newNode("n2").set(func(i *cluster.Info) { i.Ops = "" }))
	group := func(state string) string {
		return `[{"targets":["n1.example:9310"],"labels":{"__meta_fanfare_node":"n1","__meta_fanfare_role":"node","__meta_fanfare_state":"` + state +
			`","__meta_fanfare_version":"1.2.3","node":"n1"}}]` + "\n"
	}
	get := func() string {
		t.Helper()
		res := r.do("GET", "/sd/prometheus", "")
		if kind := res.Header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("content type %q", kind)
		}
		return r.text(res, 200)
	}
	same(t, "serving", get(), group("serving"))
	r.roster.forget()
	r.refused(r.do("GET", "/sd/prometheus", ""), 503, "membership_unknown", "")
	r.roster.set()
	same(t, "lost", get(), group("lost"))
	mu.Lock()
	now = now.Add(keepLost)
	mu.Unlock()
	same(t, "nothing", get(), "[]\n")
}
