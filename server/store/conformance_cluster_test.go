package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// on is a route on another node.
func on(c *clock, host, connection string) Route {
	r := testRoute(c, connection)
	r.Node, r.Address = "node-"+host, host+":3001"
	return r
}

func conformOnlineList(t *testing.T, s Store, c *clock) {
	mobile, pc := on(c, "10.0.0.7", "c1"), on(c, "10.0.0.7", "c2")
	pc.ClientType = protocol.ClientPC
	mustPut(t, s, "u", mobile)
	mustPut(t, s, "u", pc)
	mustPut(t, s, "v", on(c, "10.0.0.7", "c3"))
	wantListed(t, s, "10.0.0.7", 2)
	drop := func(user string, r Route) {
		t.Helper()
		if _, err := s.DropRoute(t.Context(), user, r); err != nil {
			t.Error(err)
		}
	}
	drop("u", mobile) // Java forgets the user here
	wantListed(t, s, "10.0.0.7", 2)
	drop("u", pc)
	wantListed(t, s, "10.0.0.7", 1)

	mustPut(t, s, "v", on(c, "10.0.0.8", "c4"))
	wantListed(t, s, "10.0.0.8", 1)
	drop("v", on(c, "10.0.0.7", "c3")) // kicked, it owns nothing
	wantListed(t, s, "10.0.0.7", 0)
	wantListed(t, s, "10.0.0.8", 1)

	public := on(c, "10.0.0.8", "c5")
	public.PublicIP = "203.0.113.1"
	mustPut(t, s, "w", public)
	wantRoutes(t, s, "w", public)
	wantListed(t, s, "203.0.113.1", 1)
	wantListed(t, s, "10.0.0.8", 1)
	same := on(c, "10.0.0.8", "c6")
	same.PublicIP = "10.0.0.8"
	mustPut(t, s, "x", same)
	same.PublicIP = ""
	wantRoutes(t, s, "x", same)
	wantListed(t, s, "10.0.0.8", 2)

	canary, own := protocol.CanaryUser("node-8"), on(c, "10.0.0.8", "c7")
	mustPut(t, s, canary, own)
	wantRoutes(t, s, canary, own) // it can be found, and is not counted
	wantListed(t, s, "10.0.0.8", 2)
	mustRestore(t, s, UserRoute{canary, own})
	wantListed(t, s, "10.0.0.8", 2)
	drop(canary, own)
	wantListed(t, s, "10.0.0.8", 2)
}

func mustRestore(t testing.TB, s Store, routes ...UserRoute) map[int]Route {
	t.Helper()
	taken, err := s.Restore(t.Context(), routes)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func conformRestore(t *testing.T, s Store, c *clock) {
	start := c.Now()
	old := on(c, "10.0.0.1", "old") // came online first
	c.advance(time.Second)
	mine := on(c, "10.0.0.1", "mine")
	c.advance(time.Second)
	late := on(c, "10.0.0.2", "late")
	mustPut(t, s, "taken", late)
	mustPut(t, s, "older", old)
	mustPut(t, s, "same", mine)
	mustPut(t, s, "offline", late)
	if _, err := s.DropRoute(t.Context(), "offline", late); err != nil {
		t.Fatal(err)
	}
	pc := mine
	pc.ClientType = protocol.ClientPC
	again := mine
	again.ClientVersion = "2.0"
	equal := mine
	equal.Connection = "other"
	taken := mustRestore(t, s,
		UserRoute{"none", mine}, UserRoute{"taken", mine}, UserRoute{"older", mine}, UserRoute{"same", again},
		UserRoute{"offline", mine}, UserRoute{"taken", pc}, UserRoute{"none", equal})
	if len(taken) != 2 || !sameRoute(taken[1], late) || !sameRoute(taken[6], mine) {
		t.Errorf("taken: %+v", taken)
	}
	for _, user := range []string{"none", "older", "offline"} {
		wantRoutes(t, s, user, mine)
	}
	wantRoutes(t, s, "same", again)
	wantRoutes(t, s, "taken", late, pc)
	wantListed(t, s, "10.0.0.1", 5)
	wantListed(t, s, "10.0.0.2", 1)
	if mine.Since.Equal(start) {
		t.Error("the clock stood still")
	}
	for _, bad := range []UserRoute{{"", mine}, {"u", Route{}}} {
		if _, err := s.Restore(t.Context(), []UserRoute{{"good", mine}, bad}); err == nil {
			t.Errorf("%+v was restored", bad)
		}
	}
	if taken := mustRestore(t, s); len(taken) != 0 {
		t.Error(taken)
	}
}

func conformRestoreMany(t *testing.T, s Store, c *clock) {
	const n = 1234
	var all []UserRoute
	var users []string
	for i := range n {
		users = append(users, fmt.Sprint("u", i))
		all = append(all, UserRoute{users[i], testRoute(c, fmt.Sprint("c", i))})
	}
	c.advance(time.Second)
	other := on(c, "10.0.0.2", "x")
	mustPut(t, s, users[777], other)
	if taken := mustRestore(t, s, all...); len(taken) != 1 || !sameRoute(taken[777], other) {
		t.Errorf("taken: %+v", taken)
	}
	found, err := s.Routes(t.Context(), users...)
	if err != nil || len(found) != n {
		t.Fatal(len(found), err)
	}
	for i, routes := range found {
		if i != 777 && (len(routes) != 1 || !sameRoute(routes[0], all[i].Route)) {
			t.Fatalf("%s: %+v", users[i], routes)
		}
	}
	wantOnline(t, s, n-1)
}

// conformConcurrentRestore has nodes that restore, bind and drop one user. Whatever
// the order, the owner that is left is one of them and only it can drop.
func conformConcurrentRestore(t *testing.T, s Store, c *clock) {
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r := on(c, fmt.Sprint("10.0.1.", i%3), fmt.Sprint("c", i))
			r.Since = r.Since.Add(time.Duration(i) * time.Millisecond)
			var err error
			switch i % 4 {
			case 0:
				_, _, err = s.PutRoute(t.Context(), "u", r)
			case 3:
				if _, _, err = s.PutRoute(t.Context(), "u", r); err == nil {
					_, err = s.DropRoute(t.Context(), "u", r)
				}
			default:
				_, err = s.Restore(t.Context(), []UserRoute{{"u", r}})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	found, err := s.Routes(t.Context(), "u")
	if err != nil || len(found[0]) != 1 {
		t.Fatal(found, err)
	}
	owner := found[0][0]
	for i := range n {
		r := on(c, fmt.Sprint("10.0.1.", i%3), fmt.Sprint("c", i))
		if dropped, err := s.DropRoute(t.Context(), "u", r); err != nil || dropped != (r.Connection == owner.Connection) {
			t.Errorf("%s dropped the route of %s: %v, %v", r.Connection, owner.Connection, dropped, err)
		}
	}
	for i := range 3 {
		wantListed(t, s, fmt.Sprint("10.0.1.", i), 0)
	}
}

func mustSweep(t testing.TB, s Store, pace int, list string, stale func(string, Route) bool) SweepReport {
	t.Helper()
	report, err := s.Sweep(t.Context(), pace, list, stale)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func conformSweep(t *testing.T, s Store, c *clock) {
	const n = 700
	for i := range n {
		mustPut(t, s, fmt.Sprint("u", i), on(c, fmt.Sprint("10.0.0.", 1+i%2), fmt.Sprint("c", i)))
	}
	wantDrop(t, s, "u0", protocol.ClientMobile, "c0", true)
	seen := make(map[string]int)
	report := mustSweep(t, s, 0, "10.0.0.1", func(user string, r Route) bool {
		seen[user]++
		if !r.Online || r.ClientType != protocol.ClientMobile || r.Connection != "c"+user[1:] {
			t.Errorf("%s: %+v", user, r)
		}
		return r.Address == "10.0.0.2:3001"
	})
	if report.Routes != n || report.Stale != n/2 || len(seen) != n-1 {
		t.Errorf("%+v, %d seen", report, len(seen))
	}
	wantListed(t, s, "10.0.0.1", n/2-1)
	wantListed(t, s, "10.0.0.2", 0)
	wantRoutes(t, s, "u3", gone(c, on(c, "10.0.0.2", "c3")))
	wantRoutes(t, s, "u4", on(c, "10.0.0.1", "c4"))
	if report = mustSweep(t, s, 0, "", func(string, Route) bool { return false }); report.Stale != 0 || report.Unlisted != 0 {
		t.Errorf("%+v", report)
	}
}

// conformSweepCompares binds a user again while the sweep decides.
func conformSweepCompares(t *testing.T, s Store, c *clock) {
	mustPut(t, s, "u", on(c, "10.0.0.2", "c1"))
	report := mustSweep(t, s, 0, "10.0.0.2", func(string, Route) bool {
		mustPut(t, s, "u", on(c, "10.0.0.2", "c2"))
		return true
	})
	if report.Stale != 0 || report.Unlisted != 0 {
		t.Errorf("%+v", report)
	}
	wantRoutes(t, s, "u", on(c, "10.0.0.2", "c2"))
	wantListed(t, s, "10.0.0.2", 1)
}

func conformSweepPace(t *testing.T, s Store, c *clock) {
	const n = 30
	for i := range n {
		mustPut(t, s, fmt.Sprint("u", i), testRoute(c, fmt.Sprint("c", i)))
	}
	started := time.Now()
	mustSweep(t, s, 10*n, "", func(string, Route) bool { return false })
	if took := time.Since(started); took < time.Second/11 {
		t.Errorf("%d routes at %d a second took %v", n, 10*n, took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Sweep(ctx, 1, "", func(string, Route) bool {
		cancel()
		return false
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func conformLease(t *testing.T, s Store, _ *clock) {
	take := func(name string, ttl time.Duration, want bool) {
		t.Helper()
		if got, err := s.Lease(t.Context(), name, ttl); err != nil || got != want {
			t.Errorf("lease %s: %v, %v; want %v", name, got, err, want)
		}
	}
	take("sweep", time.Hour, true)
	take("sweep", time.Hour, false)
	take("other", time.Hour, true)
	if _, err := s.Lease(t.Context(), "x", 0); err == nil {
		t.Error("a lease for no time was taken")
	}
}

// ear collects what Kicks reports.
type ear struct {
	kicks  chan Kick
	joined chan struct{}
	stop   func()
}

func listen(t testing.TB, s Store, address string) *ear {
	t.Helper()
	e := &ear{kicks: make(chan Kick, 10_000), joined: make(chan struct{}, 100)}
	e.stop = s.Kicks(address, func(k Kick) { e.kicks <- k }, func() { e.joined <- struct{}{} })
	t.Cleanup(e.stop)
	e.awaitJoined(t)
	return e
}

func (e *ear) awaitJoined(t testing.TB) {
	t.Helper()
	select {
	case <-e.joined:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody listens")
	}
}

func (e *ear) next(t testing.TB) Kick {
	t.Helper()
	select {
	case k := <-e.kicks:
		return k
	case <-time.After(20 * time.Second):
		t.Fatal("no kick came")
		return Kick{}
	}
}

func mustKick(t testing.TB, s Store, k Kick) {
	t.Helper()
	if err := s.SendKick(t.Context(), k); err != nil {
		t.Fatal(err)
	}
}

func conformKick(t *testing.T, s Store, _ *clock) {
	here, there := "127.0.0.1:3001", "127.0.0.1:3002"
	k := Kick{User: "u \"1\"", DeviceID: "d/1\\", Connection: "c1", ClientType: protocol.ClientUnknown, Address: here}
	mustKick(t, s, k) // nobody listens
	first, second := listen(t, s, here), listen(t, s, there)
	mustKick(t, s, k)
	other := k
	other.Address = there
	mustKick(t, s, other)
	if got := first.next(t); got != k {
		t.Errorf("%+v, want %+v", got, k)
	}
	if got := second.next(t); got != other {
		t.Errorf("%+v, want %+v", got, other)
	}
	if len(first.kicks)+len(second.kicks) != 0 {
		t.Error("more kicks than were sent")
	}
	first.stop()
	first.stop()
	mustKick(t, s, k)
	mustKick(t, s, other)
	second.next(t)
	if len(first.kicks) != 0 {
		t.Error("a kick came after the end")
	}
}

func conformKicks(t *testing.T, s Store, _ *clock) {
	const n = 2000
	e := listen(t, s, "127.0.0.1:3001")
	for i := range n {
		mustKick(t, s, Kick{User: fmt.Sprint(i), Connection: "c", Address: "127.0.0.1:3001"})
	}
	for i := range n {
		if got := e.next(t).User; got != fmt.Sprint(i) {
			t.Fatalf("kick of %s came in the place of %d", got, i)
		}
	}
}

func conformTask(t *testing.T, s Store, _ *clock) {
	sent := 0
	for _, n := range []int{0, 3, 0, 5} {
		sent += n
		got, err := s.Task(t.Context(), "t1", n)
		if want := (TaskState{Rate: DefaultTaskRate, Sent: sent}); err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.Task(t.Context(), "t2", 2); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got, err := s.Task(t.Context(), "t2", 0); err != nil || got.Sent != 40 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, users := range [][]string{nil, {"a", "b"}, slices.Repeat([]string{"c"}, 1200)} {
		if err := s.TaskReached(t.Context(), "t1", users); err != nil {
			t.Error(err)
		}
	}
}

func conformPing(t *testing.T, s Store, _ *clock) {
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// calls is one of each call that takes a context.
func calls(s Store, c *clock) map[string]func(context.Context) error {
	r := testRoute(c, "c")
	return map[string]func(context.Context) error{
		"save":    func(ctx context.Context) error { return s.SaveSession(ctx, testID, testSession(c)) },
		"load":    func(ctx context.Context) error { _, _, err := s.LoadSession(ctx, testID); return err },
		"put":     func(ctx context.Context) error { _, _, err := s.PutRoute(ctx, "u", r); return err },
		"drop":    func(ctx context.Context) error { _, err := s.DropRoute(ctx, "u", r); return err },
		"restore": func(ctx context.Context) error { _, err := s.Restore(ctx, []UserRoute{{"u", r}}); return err },
		"routes":  func(ctx context.Context) error { _, err := s.Routes(ctx, "u"); return err },
		"sweep": func(ctx context.Context) error {
			_, err := s.Sweep(ctx, 0, "10.0.0.1", func(string, Route) bool { return false })
			return err
		},
		"online":  func(ctx context.Context) error { _, err := s.OnlineUsers(ctx, "10.0.0.1"); return err },
		"lease":   func(ctx context.Context) error { _, err := s.Lease(ctx, "l", time.Minute); return err },
		"kick":    func(ctx context.Context) error { return s.SendKick(ctx, Kick{User: "u", Address: "127.0.0.1:1"}) },
		"task":    func(ctx context.Context) error { _, err := s.Task(ctx, "t", 1); return err },
		"reached": func(ctx context.Context) error { return s.TaskReached(ctx, "t", []string{"u"}) },
		"ping":    s.Ping,
	}
}

func conformContext(t *testing.T, s Store, c *clock) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(s, c) {
		if err := call(ctx); err != nil && !errors.Is(err, context.Canceled) { // memory need not look
			t.Errorf("%s: %v", name, err)
		}
	}
}

func conformClosed(t *testing.T, s Store, c *clock) {
	before := listen(t, s, "127.0.0.1:3001")
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	before.stop()
	after := s.Kicks("127.0.0.1:3001", func(Kick) {}, func() { t.Error("joined a closed store") })
	after()
	for name, call := range calls(s, c) {
		if err := call(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
