package alloc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fanfare-push/fanfare/server/cluster"
)

func loaded(id string, connections, weight int) *scriptedNode {
	return newNode(id).set(func(i *cluster.Info) { i.Connections, i.Weight = connections, weight })
}

// order is the server list with the ids of nodes that newNode made.
func order(r *rig) string {
	r.t.Helper()
	return strings.ReplaceAll(r.text(r.do("GET", "/", ""), 200), ".example:3000", "")
}

func TestLeastLoadedForItsWeightFirst(t *testing.T) {
	for want, nodes := range map[string][]*scriptedNode{
		"b,a":   {loaded("a", 10, 1), loaded("b", 9, 1)},
		"a,b":   {loaded("b", 10, 2), loaded("a", 5, 1)}, // the same for their weights: by id
		"big,c": {loaded("c", 100, 1), loaded("big", 299, 3)},
		"c,big": {loaded("c", 100, 1), loaded("big", 301, 3)},
		"d,e":   {loaded("e", 1, 0), loaded("d", 0, 0)}, // one that names no weight has 1
		"f,g":   {loaded("g", 2, -5), loaded("f", 1, 1)},
		"i,h":   {loaded("h", math.MaxInt, math.MaxInt-1), loaded("i", math.MaxInt-1, math.MaxInt)},
	} {
		same(t, "order", order(newRig(t, nil, nodes...)), want)
	}
}

// TestAllocatorsAgree: two allocators that know the same, in whatever order, say the same.
func TestAllocatorsAgree(t *testing.T) {
	nodes := []*scriptedNode{
		loaded("n1", 30, 3), loaded("n2", 10, 1), loaded("n3", 20, 2), loaded("n4", 0, 1).state(cluster.Draining),
		loaded("n5", 0, 1).state(cluster.Lost), loaded("n6", 4, 1),
	}
	a := newRig(t, nil, nodes...)
	slices.Reverse(nodes)
	b := newRig(t, nil, nodes...)
	same(t, "order", order(a), "n6,n1,n2,n3")
	for _, path := range []string{"/", "/api/v1/nodes", "/sd/prometheus"} {
		same(t, path, b.text(b.do("GET", path, ""), 200), a.text(a.do("GET", path, ""), 200))
	}
	nodes[0].state(cluster.Lost) // n6
	nodes[5].state(cluster.Draining)
	same(t, "at once", []string{order(a), order(b)}, []string{"n2,n3", "n2,n3"})
}

// TestOrderDoesNotDependOnWhereItBegan draws loads that are close to each other.
func TestOrderDoesNotDependOnWhereItBegan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.OneOf(rapid.IntRange(0, 4), rapid.IntRange(math.MaxInt-3, math.MaxInt))
		offers := make([]offer, rapid.IntRange(1, 8).Draw(rt, "nodes"))
		for i := range offers {
			offers[i] = offer{cluster.Info{
				ID: fmt.Sprint(i), Connections: number.Draw(rt, "connections"), Weight: max(1, number.Draw(rt, "weight")),
			}, rapid.Bool().Draw(rt, "known")}
		}
		other := rapid.Permutation(offers).Draw(rt, "order")
		slices.SortFunc(offers, byLoad)
		slices.SortFunc(other, byLoad)
		if !slices.Equal(offers, other) {
			rt.Fatalf("%v and %v", offers, other)
		}
		if !slices.IsSortedFunc(offers, func(a, b offer) int { return -cmp.Compare(btoi(a.known), btoi(b.known)) }) {
			rt.Fatalf("unknown loads before known ones: %v", offers)
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func javaNode(id string) *scriptedNode {
	return newNode(id).set(func(i *cluster.Info) { i.Java, i.Ops, i.Version = true, "", "" })
}

// onlineLists are what a store counts of the users of Java nodes.
type onlineLists struct {
	mu    sync.Mutex
	users map[string]int
	err   error
	asked []string
}

func (l *onlineLists) set(err error, users map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users, l.err = users, err
}

func (l *onlineLists) count(_ context.Context, address string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, address)
	return l.users[address], l.err
}

func TestJavaNodesAreListedByTheirUsers(t *testing.T) {
	lists := &onlineLists{users: map[string]int{"j1.example": 5, "j2.example": 50}}
	r := newRig(t, func(o *Options) { o.JavaLoad = lists.count }, loaded("n1", 20, 1), javaNode("j2"), javaNode("j1"))
	eventually(t, func() bool { return order(r) == "j1,n1,j2" })
	nodes := r.answer(r.do("GET", "/api/v1/nodes", ""), 200)["nodes"].([]any)
	same(t, "java node", nodes[0], map[string]any{
		"id": "j1", "device": "j1.example:3000", "gateway": "j1.example:3001", "state": "serving", "weight": 1.0, "java": true,
		"connections": 5.0, "users": 5.0, "version": "", "since": "2026-11-21T20:00:00Z",
	})
	same(t, "targets", strings.Count(r.text(r.do("GET", "/sd/prometheus", ""), 200), "__meta_fanfare_node"), 1)
}

// TestJavaNodesOfWhichNothingIsKnown come last: nobody can say that they are idle.
func TestJavaNodesOfWhichNothingIsKnown(t *testing.T) {
	same(t, "no store", order(newRig(t, nil, javaNode("j1"), loaded("n1", 20, 1))), "n1,j1")
	broken := func(context.Context, string) (int, error) { return 0, errors.New("connection refused") }
	r := newRig(t, func(o *Options) { o.JavaLoad = broken }, javaNode("j1"), loaded("n1", 20, 1))
	eventually(t, func() bool { return strings.Contains(r.log.String(), "connection refused") })
	same(t, "store away", order(r), "n1,j1")
}

// TestNodesThatSaidNothingYet: one that is new or cut off must not get every device
// because nobody knows what it has.
func TestNodesThatSaidNothingYet(t *testing.T) {
	mute := loaded("n0", 0, 9).set(func(i *cluster.Info) { i.Unheard = true })
	r := newRig(t, nil, mute, loaded("n1", 20, 1))
	same(t, "not heard of", order(r), "n1,n0")
	mute.set(func(i *cluster.Info) { i.Unheard = false })
	same(t, "heard of", order(r), "n0,n1")
}

// TestNobodyWaitsForTheStore has a store that never answers, and a stop in the middle.
func TestNobodyWaitsForTheStore(t *testing.T) {
	asked := make(chan struct{}, 1)
	hanging := func(ctx context.Context, _ string) (int, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return 0, ctx.Err()
	}
	r := newRig(t, func(o *Options) { o.JavaLoad = hanging }, javaNode("j1"), loaded("n1", 20, 1))
	<-asked
	same(t, "order", order(r), "n1,j1")
	r.stop()
	if log := r.log.String(); strings.Contains(log, "load of Java nodes") {
		t.Errorf("a stop is no failure: %s", log)
	}
}

func TestLastLoadsHoldWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists, log, members := &onlineLists{}, &lines{}, &roster{}
		members.set(javaNode("j1"), javaNode("j2"), javaNode("gone").state(cluster.Lost), newNode("n1"))
		loads := &javaLoads{count: lists.count, members: members, log: logTo(log), users: make(map[string]int)}
		ctx, stop := context.WithCancel(t.Context())
		defer func() { stop(); synctest.Wait() }()
		seen := func() string {
			synctest.Wait()
			texts := []string{}
			for _, id := range []string{"j1", "j2", "gone", "n1"} {
				info := cluster.Info{ID: id, Device: id + ".example:3000", Java: id != "n1"}
				known := loads.fill(&info)
				texts = append(texts, fmt.Sprintf("%s %d %v", id, info.Connections, known))
			}
			return strings.Join(texts, ", ")
		}
		lists.set(nil, map[string]int{"j1.example": 1, "j2.example": 2, "gone.example": 3})
		go loads.run(ctx)
		same(t, "at the start", seen(), "j1 1 true, j2 2 true, gone 0 false, n1 0 true")
		lists.set(errors.New("no route to host"), nil)
		time.Sleep(3 * javaLoadPeriod)
		same(t, "while away", seen(), "j1 1 true, j2 2 true, gone 0 false, n1 0 true")
		same(t, "log lines", strings.Count(log.String(), "\n"), 1)
		if !strings.Contains(log.String(), "j1.example: no route to host") {
			t.Errorf("log: %s", log)
		}
		same(t, "asked", lists.asked, []string{"j1.example", "j2.example", "j1.example", "j1.example", "j1.example"})
		lists.set(nil, map[string]int{"j1.example": 7})
		members.set(javaNode("j1"), newNode("n1"))
		time.Sleep(javaLoadPeriod)
		same(t, "again", seen(), "j1 7 true, j2 0 false, gone 0 false, n1 0 true")
		same(t, "log lines", strings.Count(log.String(), "\n"), 2)
	})
}
