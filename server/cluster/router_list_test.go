package cluster

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// TestALongListIsWalkedInTheBackground: the caller goes on at once, few goroutines are
// at work, and nodes get their users together.
func TestALongListIsWalkedInTheBackground(t *testing.T) {
	a, b := node("a"), node("b")
	r := newRig(t, nil, a, b)
	const n = 100_000
	users := manyUsers(n)
	for i, user := range users {
		if i%10 != 0 {
			r.route(user, []string{"a", "b"}[i%2], mobile, "c1", long)
		}
	}
	before := goroutines()
	r.store.hang.Store(true)
	e := &ends{}
	r.PushAll(push(), users, e)
	if more := goroutines() - before; more > 3 {
		t.Errorf("%d goroutines for the list", more)
	}
	if len(e.all()) != 0 {
		t.Error("results before the store has answered")
	}
	r.store.hang.Store(false)
	close(r.store.release)
	results := e.wait(t, n)
	seen := make(map[string]protocol.Outcome, n)
	for _, res := range results {
		seen[res.User] = res.Outcome
	}
	for i, user := range users {
		want := protocol.OutcomeSent
		if i%10 == 0 {
			want = protocol.OutcomeOffline
		}
		if seen[user] != want {
			t.Fatalf("%s ended as %v, want %v", user, seen[user], want)
		}
	}
	for _, m := range []*puppet{a, b} {
		for _, h := range m.pushes() {
			if !h.list || len(h.users) > lookupBatch {
				t.Fatalf("%s got %d users at once", m.info.ID, len(h.users))
			}
		}
		if got := len(m.pushes()); got > n/lookupBatch+1 {
			t.Errorf("%s got %d requests", m.info.ID, got)
		}
	}
	if calls := r.store.calls.Load(); calls != (n+lookupBatch-1)/lookupBatch {
		t.Errorf("the store was asked %d times", calls)
	}
}

// TestAListOfEveryKind has users with one device, several, none, on lost nodes, on
// Java nodes, one that moves, and one that is named twice.
func TestAListOfEveryKind(t *testing.T) {
	t.Parallel()
	here, a, j := node("here"), node("a"), node("j").change(func(i *Info) { i.Java = true })
	r := newRig(t, here, a, j)
	users := manyUsers(200) // all of them offline
	r.route("one", "a", mobile, "c1", long)
	r.route("two", "a", mobile, "c2", long)
	r.route("two", "here", pc, "c3", long)
	r.route("java", "j", mobile, "c4", long)
	r.route("gone", "vanished", mobile, "c5", long)
	r.route("moves", "a", mobile, "c6", long)
	r.route("local", "here", mobile, "c7", long)
	a.answer = func(h handed) {
		for _, user := range h.users {
			res := Result{User: user, Node: "a", Outcome: protocol.OutcomeAcked}
			if user == "moves" {
				r.route("moves", "here", mobile, "c8", 0)
				res.Outcome = protocol.OutcomeOffline
			} else {
				res.Deliveries[res.Outcome] = 1
			}
			h.t.Done(res)
			h.t.Done(res) // once too often
			h.t.Done(Result{User: "nobody asked"})
		}
	}
	e := &ends{}
	r.PushAll(push(), append(users, "one", "two", "java", "gone", "moves", "local", "one"), e)
	want := map[string][]protocol.Outcome{
		"one": {protocol.OutcomeAcked, protocol.OutcomeAcked}, "two": {protocol.OutcomeAcked}, "java": {protocol.OutcomeSent},
		"gone": {protocol.OutcomeOffline}, "moves": {protocol.OutcomeSent}, "local": {protocol.OutcomeSent},
	}
	got := map[string][]protocol.Outcome{}
	for _, res := range e.wait(t, 207) {
		got[res.User] = append(got[res.User], res.Outcome)
		if res.User == "two" && res.Deliveries[protocol.OutcomeSent]+res.Deliveries[protocol.OutcomeAcked] != 2 {
			t.Errorf("two: %+v", res)
		}
	}
	for user, outcomes := range want {
		if !slices.Equal(got[user], outcomes) {
			t.Errorf("%s ended as %v, want %v", user, got[user], outcomes)
		}
	}
	if r.retried(exporter.ResultOK) != 1 || r.stale(exporter.StaleNode) != 1 {
		t.Errorf("%d retries, %d stale routes", r.retried(exporter.ResultOK), r.stale(exporter.StaleNode))
	}
}

// TestALongListDoesNotOverrunItsNodes: with large contents the rest of the list waits
// for the answers.
func TestALongListDoesNotOverrunItsNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := node("a")
		a.answer = func(handed) {}
		r := newRig(t, nil, a)
		users := manyUsers(10 * lookupBatch)
		for _, user := range users {
			r.route(user, "a", mobile, "c1", long)
		}
		p := push()
		p.Content = make([]byte, listWindow/4)
		e := &ends{}
		r.PushAll(p, users, e)
		for answered := 0; answered < 10; answered++ {
			synctest.Wait()
			got := a.pushes()
			if len(got) != min(10, answered+3) {
				t.Fatalf("%d requests were answered, %d are on their way", answered, len(got)-answered)
			}
			got[answered].end(protocol.OutcomeSent)
		}
		e.wait(t, len(users))
		r.PushAll(p, users, e) // and now it closes
		synctest.Wait()
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		for _, h := range a.pushes()[10:] {
			h.end(protocol.OutcomeSent)
		}
		e.wait(t, 2*len(users))
	})
}

func TestAListWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	here, there := node("here"), node("there")
	r := newRig(t, here, there)
	r.store.fail.Store(true)
	users := manyUsers(1000)
	for i, user := range users {
		if i%3 == 0 {
			here.holds(user, mobile)
		}
	}
	e := &ends{}
	r.PushAll(push(), users, e)
	sent := 0
	for _, res := range e.wait(t, 1000) {
		switch res.Outcome {
		case protocol.OutcomeSent:
			sent++
		case protocol.OutcomeFailed:
		default:
			t.Fatalf("%+v", res)
		}
	}
	if sent != 334 {
		t.Errorf("%d were sent, want those of this node, 334", sent)
	}
	r.store.fail.Store(false)
}

func TestListsThatAreTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil, node("a"))
	r.lists.users.Add(listUsers - 99)
	e := &ends{}
	r.PushAll(push(), manyUsers(100), e)
	for _, res := range e.wait(t, 100) {
		if res.Outcome != protocol.OutcomeRejected || res.User == "" {
			t.Fatalf("%+v, want rejected", res)
		}
	}
	r.PushAll(push(), manyUsers(99), e)
	e.wait(t, 199)
	eventually(t, "the list is off the books", func() bool { return r.lists.users.Load() == listUsers-99 })
}
