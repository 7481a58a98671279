package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/store"
)

// chaos is nodes that answer as they like: at once, later, from many goroutines, twice,
// much too late or never; that know the user, do not, lose the push, or have the user
// move to another node under their hands.
type chaos struct {
	*rig
	mu     sync.Mutex
	random *rand.Rand
	nodes  []*puppet
	moves  int
	late   []func() // answers that come after everything
	wg     sync.WaitGroup

	// what nodes have answered in time
	counted [protocol.NumOutcomes]int
}

func (c *chaos) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// answer decides for each user of a request.
func (c *chaos) answer(h handed) {
	if h.users == nil {
		c.answerOne(h, "")
		return
	}
	for _, user := range h.users {
		c.answerOne(h, user)
	}
}

func (c *chaos) answerOne(h handed, user string) {
	res, answers := c.result(h, user), 1
	switch c.roll(12) {
	case 0:
		return // never
	case 1:
		c.mu.Lock()
		c.late = append(c.late, func() { h.t.Done(res) })
		c.mu.Unlock()
		return
	case 2, 3, 4:
		delay := time.Duration(c.roll(900)) * time.Millisecond
		c.count(&res)
		c.wg.Go(func() {
			time.Sleep(delay)
			h.t.Progress(Result{Deliveries: res.Deliveries})
			h.t.Done(res)
		})
		return
	case 5:
		answers = 2
	}
	c.count(&res)
	for range answers {
		h.t.Done(res)
	}
}

func (c *chaos) count(r *Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for o, n := range r.Deliveries {
		c.counted[o] += n
	}
}

// result is what a node says of one user, or of a broadcast.
func (c *chaos) result(h handed, user string) Result {
	res := Result{Node: h.node.info.ID}
	if h.list {
		res.User = user
	}
	switch c.roll(8) {
	case 0:
		res.Outcome = protocol.OutcomeOffline
	case 1:
		res.Outcome, res.Unsent = protocol.OutcomeNodeLost, true
	case 2:
		res.Outcome, res.Unsent = protocol.OutcomeRejected, true
	case 3:
		c.move(user)
		res.Outcome, res.Moved = protocol.OutcomeOffline, c.roll(2) == 0
	case 4:
		res.Outcome = protocol.OutcomeAckTimeout
		res.Deliveries[res.Outcome] = 1
	case 5: // nothing: a fault of the node
	default:
		res.Outcome = protocol.OutcomeSent
		res.Deliveries[res.Outcome] = 1 + c.roll(3)
	}
	return res
}

// move puts a device of the user on some node, perhaps one that is not there.
func (c *chaos) move(user string) {
	if user == "" {
		return
	}
	class := protocol.ClientTypes()[c.roll(4)]
	to := fmt.Sprintf("n%d", c.roll(len(c.nodes)+1))
	age := []time.Duration{0, long}[c.roll(2)]
	c.mu.Lock()
	c.moves++
	name := fmt.Sprintf("c%d", c.moves)
	c.mu.Unlock()
	c.route(user, to, class, name, age)
}

// TestEveryPushEndsOnce lets such nodes loose on pushes of every kind. However they
// behave, each target has one end, in bounded time, and what was delivered adds up.
func TestEveryPushEndsOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { letLoose(t, seed) })
		})
	}
}

func letLoose(t *testing.T, seed uint64) {
	c := &chaos{random: rand.New(rand.NewPCG(seed, 7))}
	var local *puppet
	for i := range 1 + c.roll(4) {
		n := node(fmt.Sprint("n", i)).change(func(i *Info) {
			i.Java = c.roll(4) == 0
			i.State = []State{Serving, Serving, Serving, Draining, Lost}[c.roll(5)]
		})
		n.answer = c.answer
		c.nodes = append(c.nodes, n)
	}
	others := c.nodes
	if c.roll(2) == 0 {
		local, others = c.nodes[0], c.nodes[1:]
		local.answer = nil // the node of this process keeps its promises
		local.change(func(i *Info) { i.State, i.Java = Serving, false })
	}
	c.rig = newRig(t, local, others...)
	users := manyUsers(150)
	for range 200 {
		c.move(users[c.roll(len(users))])
	}
	if local != nil {
		for range 20 {
			local.holds(users[c.roll(len(users))], mobile)
		}
	}
	singles, lists, casts := &ends{}, &ends{}, []*ends{{}, {}, {}}
	var calls sync.WaitGroup
	pushed := 0
	for i := range 60 {
		user, types := users[c.roll(len(users))], []protocol.ClientType(nil)
		if c.roll(3) == 0 {
			types = []protocol.ClientType{mobile, web}[:1+c.roll(2)]
		}
		calls.Go(func() { c.Push(push(types...), user, singles) })
		if i%20 == 0 {
			calls.Go(func() { c.PushAll(push(types...), users[:30+i], lists) })
			pushed += 30 + i
			calls.Go(func() { c.Broadcast(push(), casts[i/20]) })
		}
		c.disturb(users)
	}
	calls.Wait()
	time.Sleep(time.Hour)
	c.wg.Wait()
	synctest.Wait()
	for _, answer := range c.late {
		answer()
	}
	synctest.Wait()
	c.audit(t, users, pushed, singles, lists, casts)
	c.store.hang.Store(false)
	c.store.fail.Store(false)
}

// disturb makes the store fail or hang for a moment, lets time pass, or ends a connection.
func (c *chaos) disturb(users []string) {
	switch c.roll(20) {
	case 0:
		c.store.fail.Store(!c.store.fail.Load())
	case 1:
		c.store.hang.Store(!c.store.hang.Load())
	case 2, 3:
		time.Sleep(time.Duration(c.roll(2000)) * time.Millisecond)
	case 4:
		user := users[c.roll(len(users))]
		routes, err := c.store.Store.Routes(context.Background(), user)
		if err == nil && len(routes[0]) > 0 {
			_, _ = c.store.DropRoute(context.Background(), user, store.Route{
				ClientType: routes[0][0].ClientType, Connection: routes[0][0].Connection, Address: routes[0][0].Address})
		}
	}
}

// audit compares what the trackers were told with what was asked and what nodes did.
func (c *chaos) audit(t *testing.T, users []string, listed int, singles, lists *ends, casts []*ends) {
	t.Helper()
	if a, b := singles.count(), lists.count(); a != 60 || b != listed {
		t.Fatalf("%d of 60 pushes, %d of %d targets of lists ended", a, b, listed)
	}
	for _, e := range casts {
		if n := e.count(); n != 1 || e.late > 0 {
			t.Errorf("a broadcast ended %d times, with %d words of progress after it", n, e.late)
		}
	}
	byUser := map[string]int{}
	var sum [protocol.NumOutcomes]int
	for _, e := range append(casts, singles, lists) {
		for _, res := range e.all() {
			if res.Outcome == protocol.OutcomePending || res.Unsent || res.Moved || (res.User != "") != (e == lists) {
				t.Errorf("result %+v", res)
			}
			byUser[res.User]++
			for o, n := range res.Deliveries {
				sum[o] += n
			}
		}
	}
	for i, user := range users {
		want := 0
		for _, n := range []int{30, 50, 70} {
			if i < n {
				want++
			}
		}
		if byUser[user] != want {
			t.Errorf("%s, who was listed %d times, has %d ends", user, want, byUser[user])
		}
	}
	for _, n := range c.nodes {
		if n.answer == nil {
			for _, h := range n.pushes() {
				sum[protocol.OutcomeSent] -= max(1, len(h.users))
			}
		}
	}
	if sum != c.counted {
		t.Errorf("deliveries %v were reported, %v were done", sum, c.counted)
	}
	if strings.Contains(c.log.buf.String(), "panic") {
		t.Error(c.log.buf.String())
	}
}
