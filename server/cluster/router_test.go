package cluster

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

func TestNewRouterNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := NewRouter(RouterOptions{}); err == nil || !strings.Contains(err.Error(), "Members, Store, Metrics and Logger") {
		t.Errorf("error %v", err)
	}
}

// TestRouterFindsTheNodes is about users with devices here and there.
func TestRouterFindsTheNodes(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	r.route("alice", "here", mobile, "c1", long)
	r.route("bob", "there", mobile, "c2", long)
	r.route("carol", "here", pc, "c3", long)
	r.route("carol", "there", mobile, "c4", long)
	r.route("carol", "there", web, "c5", long)
	for _, test := range []struct {
		user    string
		types   []protocol.ClientType
		outcome protocol.Outcome
		nodes   []string
		sent    int
	}{
		{"alice", nil, protocol.OutcomeSent, []string{"here"}, 1},
		{"bob", nil, protocol.OutcomeSent, []string{"there"}, 1},
		{"carol", nil, protocol.OutcomeSent, []string{"here", "there"}, 2},
		{"carol", []protocol.ClientType{web}, protocol.OutcomeSent, []string{"there"}, 1},
		{"carol", []protocol.ClientType{pc, web}, protocol.OutcomeSent, []string{"here", "there"}, 2},
		{"bob", []protocol.ClientType{web}, protocol.OutcomeFiltered, nil, 0},
		{"nobody", nil, protocol.OutcomeOffline, nil, 0},
	} {
		e := &ends{}
		r.Push(push(test.types...), test.user, e)
		got := e.wait(t, 1)[0]
		slices.Sort(e.routed)
		if got.Outcome != test.outcome || !slices.Equal(e.routed, test.nodes) || got.Deliveries[protocol.OutcomeSent] != test.sent || got.User != "" {
			t.Errorf("%s %v: %+v over %v, want %+v", test.user, test.types, got, e.routed, test)
		}
	}
}

// TestRouterNamesTheClassesForSeveralNodes: a node that is one of two must not serve a
// device that comes to it meanwhile, which the other may have served.
func TestRouterNamesTheClassesForSeveralNodes(t *testing.T) {
	t.Parallel()
	a, b := node("a"), node("b")
	r := newRig(t, nil, a, b)
	r.route("carol", "a", pc, "c1", long)
	r.route("carol", "b", mobile, "c2", long)
	r.route("carol", "b", web, "c3", long)
	p := push()
	r.send(p, "carol")
	for n, want := range map[*puppet][]protocol.ClientType{a: {pc}, b: {mobile, web}} {
		got := n.pushes()
		if len(got) != 1 || !slices.Equal(got[0].p.ClientTypes, want) || got[0].p.ID != p.ID {
			t.Errorf("%s got %+v, want one push for %v", n.info.ID, got, want)
		}
	}
	if len(p.ClientTypes) > 0 {
		t.Error("the push itself was changed")
	}
}

func TestRouterAloneAsksNobody(t *testing.T) {
	t.Parallel()
	here := node("here")
	r := newRig(t, here)
	e := &ends{}
	r.Push(push(), "alice", e)
	r.PushAll(push(), []string{"bob", "carol"}, e)
	r.PushAll(push(), manyUsers(300), e)
	for _, res := range e.wait(t, 303) {
		r.want(res, protocol.OutcomeSent, "here")
	}
	if n := r.store.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestRouterServesNamedClassesHere: what is bound here needs no lookup.
func TestRouterServesNamedClassesHere(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	here.holds("alice", mobile, pc)
	r.route("alice", "there", web, "c1", long)
	r.want(r.send(push(mobile), "alice"), protocol.OutcomeSent, "here")
	r.want(r.send(push(pc, mobile), "alice"), protocol.OutcomeSent, "here")
	if n := r.store.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	r.want(r.send(push(web), "alice"), protocol.OutcomeSent, "there")
	r.want(r.send(push(), "alice"), protocol.OutcomeSent, "there") // by the routes, as ever
}

// TestADeviceHereNeedsNoRoute: the store may have lost the route, or other nodes took this
// one for dead while it could not reach the registry.
func TestADeviceHereNeedsNoRoute(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	users := manyUsers(shortList + 1)
	for _, user := range users {
		here.holds(user, mobile)
	}
	e := &ends{}
	r.Push(push(), users[0], e)
	r.PushAll(push(), users[:2], e)
	r.PushAll(push(), users, e)
	for _, res := range e.wait(t, 3+len(users)) {
		r.want(res, protocol.OutcomeSent, "here")
	}
	r.want(r.send(push(), "nobody"), protocol.OutcomeOffline, "here")
	r.want(r.send(push(pc), users[0]), protocol.OutcomeOffline, "here")
}

// TestADeviceThatLeftHereIsFollowed: it was bound here when the push came, and is not
// when it is delivered.
func TestADeviceThatLeftHereIsFollowed(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	users := manyUsers(shortList + 1)
	for _, user := range users {
		here.holds(user, mobile)
		r.route(user, "there", mobile, "c1", 0)
	}
	here.answer = func(h handed) {
		h.done(Result{Node: "here", Outcome: protocol.OutcomeOffline, Deliveries: [protocol.NumOutcomes]int{protocol.OutcomeOffline: 1}})
	}
	e := &ends{}
	r.Push(push(mobile), users[0], e)
	r.PushAll(push(mobile), users[:2], e)
	r.PushAll(push(mobile), users, e)
	for _, res := range e.wait(t, 3+len(users)) {
		r.want(res, protocol.OutcomeSent, "there")
		if res.Deliveries[protocol.OutcomeOffline] != 1 || res.Deliveries[protocol.OutcomeSent] != 1 {
			t.Errorf("deliveries %v", res.Deliveries)
		}
	}
}

func TestRoutesToNodesThatAreGone(t *testing.T) {
	t.Parallel()
	a, lost := node("a"), node("lost").change(func(i *Info) { i.State = Lost })
	r := newRig(t, nil, a, lost)
	r.route("old", "vanished", mobile, "c1", long)
	r.route("lost", "lost", mobile, "c2", long)
	r.route("both", "vanished", mobile, "c3", long)
	r.route("both", "a", pc, "c4", long)
	r.route("fresh", "vanished", mobile, "c5", 0)
	r.want(r.send(push(), "old"), protocol.OutcomeOffline, "")
	r.want(r.send(push(), "lost"), protocol.OutcomeOffline, "")
	r.want(r.send(push(), "both"), protocol.OutcomeSent, "a")
	r.want(r.send(push(), "fresh"), protocol.OutcomeOffline, "")
	for _, user := range []string{"old", "lost", "both"} {
		eventually(t, "the route of "+user+" goes offline", func() bool { return !r.online(user, mobile) })
	}
	if !r.online("fresh", mobile) || !r.online("both", pc) {
		t.Error("a route that may be good was dropped")
	}
	if got := r.stale(exporter.StaleNode); got != 3 {
		t.Errorf("%d stale routes were counted, want 3", got)
	}
	if got := lost.pushes(); len(got) != 0 {
		t.Errorf("a lost node got %+v", got)
	}
}

// withErr is a membership whose registry is away.
type withErr struct{ *roster }

func (withErr) Err() error { return errShaky }

func TestRoutesAreKeptWhileTheRegistryIsAway(t *testing.T) {
	t.Parallel()
	lost := node("lost").change(func(i *Info) { i.State = Lost })
	for name, change := range map[string]func(*RouterOptions){
		"frozen":  func(o *RouterOptions) { o.Members = withErr{o.Members.(*roster)} },
		"unknown": func(o *RouterOptions) { o.Members.(*roster).blind = true },
	} {
		r := rigOver(t, change, nil, node("a"), lost)
		r.route("u", "new", mobile, "c1", long)
		r.want(r.send(push(), "u"), protocol.OutcomeFailed, "")
		r.route("v", "lost", mobile, "c1", long)
		r.want(r.send(push(), "v"), protocol.OutcomeOffline, "")
		if name == "unknown" {
			continue // its List says no more than that; a lost node is lost
		}
		if got := r.stale(exporter.StaleNode); got != 0 || !r.online("u", mobile) || !r.online("v", mobile) {
			t.Errorf("%s: %d routes were taken for stale", name, got)
		}
	}
}

// TestAnOldRouteWithoutAConnection: the node says so, the route is dropped.
func TestAnOldRouteWithoutAConnection(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	for _, n := range []*puppet{here, there} {
		n.answer = func(h handed) { h.end(protocol.OutcomeOffline) }
		r.route(n.info.ID, n.info.ID, mobile, "c1", long)
		r.want(r.send(push(), n.info.ID), protocol.OutcomeOffline, n.info.ID)
		eventually(t, "the route goes offline", func() bool { return !r.online(n.info.ID, mobile) })
		if got := len(n.pushes()); got != 1 {
			t.Errorf("%s was asked %d times", n.info.ID, got)
		}
	}
	if got := r.stale(exporter.StaleConnection); got != 2 {
		t.Errorf("%d stale routes were counted, want 2", got)
	}
}

// TestAYoungRouteIsAskedForTwice: the node writes it before it binds the connection.
func TestAYoungRouteIsAskedForTwice(t *testing.T) {
	t.Parallel()
	a := node("a")
	r := newRig(t, nil, a)
	r.route("late", "a", mobile, "c1", 0)
	r.route("never", "a", mobile, "c2", 0)
	a.answer = func(h handed) {
		if h.users[0] == "late" && len(a.pushes()) == 2 {
			h.end(protocol.OutcomeSent)
			return
		}
		h.end(protocol.OutcomeOffline)
	}
	r.want(r.send(push(), "late"), protocol.OutcomeSent, "a")
	if !r.online("late", mobile) || r.stale(exporter.StaleConnection) != 0 {
		t.Error("the route of a connection that came a moment later was dropped")
	}
	r.want(r.send(push(), "never"), protocol.OutcomeOffline, "a")
	eventually(t, "the route goes offline", func() bool { return !r.online("never", mobile) })
	if got := len(a.pushes()); got != 4 {
		t.Errorf("the node was asked %d times, want 4", got)
	}
	if r.retried(exporter.ResultOK) != 1 || r.retried(exporter.ResultOffline) != 1 {
		t.Error("the second attempts were not counted")
	}
}

// TestADeviceThatMovedIsFollowed: from one node to another while the push was on its way.
func TestADeviceThatMovedIsFollowed(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]Result{
		"offline":          {Outcome: protocol.OutcomeOffline, Deliveries: [protocol.NumOutcomes]int{protocol.OutcomeOffline: 1}},
		"moved, says Java": {Outcome: protocol.OutcomeOffline, Moved: true},
		"lost":             {Outcome: protocol.OutcomeNodeLost, Unsent: true},
		"no room":          {Outcome: protocol.OutcomeRejected, Unsent: true},
	} {
		a, b := node("a"), node("b")
		r := newRig(t, nil, a, b)
		r.route("u", "a", mobile, "c1", 0)
		r.route("u", "b", pc, "c2", 0)
		a.answer = func(h handed) {
			r.route("u", "b", mobile, "c3", 0)
			h.done(first)
		}
		got := r.send(push(), "u")
		r.want(got, protocol.OutcomeSent, "b")
		if got.Deliveries[protocol.OutcomeSent] != 2 || got.Deliveries[protocol.OutcomeOffline] != first.Deliveries[protocol.OutcomeOffline] {
			t.Errorf("%s: deliveries %v", name, got.Deliveries)
		}
		var types []protocol.ClientType
		for _, h := range b.pushes() {
			types = append(types, h.p.ClientTypes...)
		}
		slices.Sort(types)
		if !slices.Equal(types, []protocol.ClientType{mobile, pc}) {
			t.Errorf("%s: the other node was asked for %v", name, types)
		}
		if r.retried(exporter.ResultOK) != 1 || r.stale(exporter.StaleConnection) != 0 {
			t.Errorf("%s: %d retries, %d stale routes", name, r.retried(exporter.ResultOK), r.stale(exporter.StaleConnection))
		}
	}
}

// TestWhatANodeNeverGot stands as it is when there is nowhere else to go.
func TestWhatANodeNeverGot(t *testing.T) {
	t.Parallel()
	a := node("a")
	r := newRig(t, nil, a)
	for _, o := range []protocol.Outcome{protocol.OutcomeNodeLost, protocol.OutcomeRejected} {
		r.route("u", "a", mobile, "c1", long)
		a.answer = func(h handed) { h.done(Result{Node: "a", Outcome: o, Unsent: true}) }
		r.want(r.send(push(), "u"), o, "a")
		a.answer = func(h handed) {
			if _, err := r.store.DropRoute(context.Background(), "u", store.Route{ClientType: mobile, Connection: "c1", Address: "a:3001"}); err != nil {
				t.Error(err)
			}
			h.done(Result{Node: "a", Outcome: o, Unsent: true})
		}
		r.want(r.send(push(), "u"), protocol.OutcomeOffline, "a")
	}
	if r.stale(exporter.StaleConnection) != 0 || r.retried(exporter.ResultError) != 0 {
		t.Error("a node that cannot be reached was taken for one without the connection")
	}
}

// TestAJavaNodeGetsOneClassAtATime and marks its routes itself.
func TestAJavaNodeGetsOneClassAtATime(t *testing.T) {
	t.Parallel()
	j := node("j").change(func(i *Info) { i.Java = true })
	r := newRig(t, nil, j)
	r.route("u", "j", mobile, "c1", long)
	r.route("u", "j", pc, "c2", long)
	j.answer = func(h handed) {
		if slices.Equal(h.p.ClientTypes, []protocol.ClientType{pc}) {
			h.end(protocol.OutcomeAcked)
			return
		}
		h.end(protocol.OutcomeOffline)
	}
	got := r.send(push(), "u")
	r.want(got, protocol.OutcomeAcked, "j")
	if n := len(j.pushes()); n != 2 || got.Deliveries[protocol.OutcomeAcked] != 1 {
		t.Errorf("%d requests, deliveries %v", n, got.Deliveries)
	}
	if r.stale(exporter.StaleConnection) != 0 || !r.online("u", mobile) {
		t.Error("the route was dropped for the Java node")
	}
}

// TestANodeThatNeverAnswers is given up; what it says afterwards changes nothing.
func TestANodeThatNeverAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := node("a")
		a.answer = func(handed) {}
		r := newRig(t, nil, a)
		users := manyUsers(100)
		for _, user := range users {
			r.route(user, "a", mobile, "c1", long)
		}
		e := &ends{}
		r.Push(push(), users[0], e)
		r.PushAll(push(), users, e)
		acked := push()
		acked.Ack, acked.AckTimeout = protocol.AckBiz, time.Minute
		r.Push(acked, users[1], e)
		time.Sleep(time.Minute)
		for _, res := range e.wait(t, 101) {
			r.want(res, protocol.OutcomeNodeLost, "a")
		}
		time.Sleep(time.Minute)
		e.wait(t, 102)
		for _, h := range a.pushes() {
			h.end(protocol.OutcomeSent)
		}
		e.wait(t, 102)
	})
}

func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	here.holds("alice", mobile)
	r.route("alice", "here", mobile, "c1", long)
	r.route("bob", "there", mobile, "c2", long)
	r.store.fail.Store(true)
	for range 3 {
		r.want(r.send(push(), "bob"), protocol.OutcomeFailed, "here")
		r.want(r.send(push(), "alice"), protocol.OutcomeSent, "here")
		r.want(r.send(push(web, mobile), "alice"), protocol.OutcomeSent, "here")
		r.want(r.send(push(web), "alice"), protocol.OutcomeFailed, "here")
	}
	if n := r.log.count("routes cannot be read"); n != 1 {
		t.Errorf("%d lines about it, want 1", n)
	}
	r.store.fail.Store(false)
	eventually(t, "the store is noticed", func() bool { return !r.away.Load() })
	r.want(r.send(push(), "bob"), protocol.OutcomeSent, "there")
}

// TestTheStoreHangs: pushes for others wait, those for devices of this node do not.
func TestTheStoreHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		here, there := node("here"), node("there")
		r := newRig(t, here, there)
		here.holds("alice", mobile)
		r.store.hang.Store(true)
		began := time.Now()
		r.want(r.send(push(), "bob"), protocol.OutcomeFailed, "here")
		if took := time.Since(began); took.Round(time.Second) != 5*time.Second {
			t.Errorf("a lookup gave up after %v", took)
		}
		calls := r.store.calls.Load()
		for range 100 {
			r.want(r.send(push(), "alice"), protocol.OutcomeSent, "here")
		}
		if n := r.store.calls.Load(); n != calls {
			t.Errorf("the store was asked %d times", n-calls)
		}
		e := &ends{}
		for range 5000 { // more than one call takes: the last are not even asked for
			r.Push(push(), "bob", e)
		}
		began = time.Now()
		e.wait(t, 5000)
		if n, took := r.store.calls.Load()-calls, time.Since(began); n > 3 || took > 11*time.Second {
			t.Errorf("the store was asked %d times in %v", n, took)
		}
		r.store.hang.Store(false)
		time.Sleep(6 * time.Second)
		if r.away.Load() {
			t.Error("that the store is back was not noticed")
		}
	})
}

func TestADeadlineEndsALookup(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	r.route("bob", "there", mobile, "c2", long)
	p := push()
	p.Deadline = time.Now().Add(-time.Millisecond)
	r.want(r.send(p, "bob"), protocol.OutcomeFailed, "here")
	e := &ends{}
	r.PushAll(p, append(manyUsers(100), "bob"), e)
	e.wait(t, 101)
	if got := there.pushes(); len(got) != 0 {
		t.Errorf("a push that nobody waits for was handed over: %+v", got)
	}
	p.Deadline = time.Now().Add(time.Hour)
	r.want(r.send(p, "bob"), protocol.OutcomeSent, "there")
}

func TestTooManyPushesWait(t *testing.T) {
	t.Parallel()
	a := node("a")
	r := newRig(t, nil, a)
	r.route("u", "a", mobile, "c1", long)
	r.store.hang.Store(true)
	e := &ends{}
	for range lookupQueue + 100 {
		r.Push(push(), "u", e)
	}
	for _, res := range e.wait(t, 100) {
		r.want(res, protocol.OutcomeRejected, "")
	}
	r.store.hang.Store(false)
	close(r.store.release)
	e.wait(t, lookupQueue+100)
	if n := r.store.calls.Load(); int(n) > lookupQueue/lookupBatch+2 {
		t.Errorf("%d calls of the store for %d pushes", n, lookupQueue)
	}
}

// TestPushesStayInOrder: for one user, whatever the batches are.
func TestPushesStayInOrder(t *testing.T) {
	t.Parallel()
	a := node("a")
	r := newRig(t, nil, a)
	users := manyUsers(8)
	for _, user := range users {
		r.route(user, "a", mobile, "c1", long)
	}
	e := &ends{}
	const each = 500
	for i := range each {
		for _, user := range users {
			p := push()
			p.Rate = i
			r.Push(p, user, e)
		}
	}
	e.wait(t, each*len(users))
	next := map[string]int{}
	for _, h := range a.pushes() {
		if user := h.users[0]; h.p.Rate != next[user] {
			t.Fatalf("push %d of %s came when %d was due", h.p.Rate, user, next[user])
		} else {
			next[user]++
		}
	}
}

func TestCloseLetsLookupsEnd(t *testing.T) {
	t.Parallel()
	a := node("a")
	r := newRig(t, nil, a)
	r.route("u", "a", mobile, "c1", long)
	r.store.hang.Store(true)
	e := &ends{}
	r.Push(push(), "u", e)
	r.PushAll(push(), manyUsers(100), e)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := r.Close(ctx); err == nil || !strings.Contains(err.Error(), "still looking for users") {
		t.Errorf("close: %v", err)
	}
	r.Push(push(), "u", e)
	r.PushAll(push(), []string{"u"}, e)
	r.PushAll(push(), manyUsers(100), e)
	r.Broadcast(push(), e)
	for _, res := range e.wait(t, 103) {
		r.want(res, protocol.OutcomeOffline, "")
	}
	close(r.store.release)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if results := e.wait(t, 204); results[103].Outcome != protocol.OutcomeSent && results[203].Outcome != protocol.OutcomeSent && !slices.ContainsFunc(results, func(res Result) bool { return res.Outcome == protocol.OutcomeSent }) {
		t.Error("the push that was on its way did not arrive")
	}
}

func TestCancelReachesEveryNode(t *testing.T) {
	t.Parallel()
	a, b := node("a"), node("b")
	r := newRig(t, nil, a, b)
	r.Cancel("m")
	for _, n := range []*puppet{a, b} {
		if !slices.Equal(n.cancels, []string{"m"}) {
			t.Errorf("%s was told %v", n.info.ID, n.cancels)
		}
	}
	if list, ok := r.Members().List(); !ok || len(list) != 2 {
		t.Errorf("members %v, %t", list, ok)
	}
}

// manyUsers makes up names.
func manyUsers(n int) []string {
	users := make([]string, n)
	for i := range users {
		users[i] = "user-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26%26) + strings.Repeat("y", i/26/26%26) + strings.Repeat("z", i/26/26/26)
	}
	return users
}

func goroutines() int {
	runtime.Gosched()
	return runtime.NumGoroutine()
}
