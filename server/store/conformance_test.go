package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// conformance runs what must hold for every store. open returns a store without
// routes and tasks whose clock is now and that is closed by the test's cleanup.
func conformance(t *testing.T, open func(t *testing.T, now func() time.Time) Store) {
	for name, check := range map[string]func(*testing.T, Store, *clock){
		"session":              conformSession,
		"session of any id":    conformSessionIDs,
		"route":                conformRoute,
		"route ownership":      conformOwnership,
		"route classes":        conformClasses,
		"route replaced":       conformReplaced,
		"route needs an owner": conformIncomplete,
		"concurrent binds":     conformConcurrent,
		"online list":          conformOnlineList,
		"restore":              conformRestore,
		"restore many":         conformRestoreMany,
		"concurrent restore":   conformConcurrentRestore,
		"sweep":                conformSweep,
		"sweep compares":       conformSweepCompares,
		"sweep pace":           conformSweepPace,
		"lease":                conformLease,
		"kick":                 conformKick,
		"kicks in order":       conformKicks,
		"task":                 conformTask,
		"ping":                 conformPing,
		"context":              conformContext,
		"closed":               conformClosed,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			check(t, open(t, c.Now), c)
		})
	}
}

// clock is a hand-driven one, starting at a whole millisecond.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ms.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

const testID = "34b37ed163965735ab20c62bdb98ee53"

func testSession(c *clock) Session {
	return Session{OSName: "android", OSVersion: "6.0", ClientVersion: "1,0", DeviceID: "dev-1", Key: testKey(), Expires: c.Now().Add(time.Hour)}
}

func testRoute(c *clock, connection string) Route {
	return Route{
		Node: "n1", Address: "10.0.0.1:3001", Connection: connection, DeviceID: "dev-" + connection, OSName: "android", OSVersion: "6.0",
		ClientVersion: "1.0", ClientType: protocol.ClientMobile, Since: c.Now(), Online: true,
	}
}

func mustSave(t testing.TB, s Store, id string, v Session) {
	t.Helper()
	if err := s.SaveSession(t.Context(), id, v); err != nil {
		t.Fatal(err)
	}
}

func wantSession(t testing.TB, s Store, id string, want Session, ok bool) {
	t.Helper()
	got, found, err := s.LoadSession(t.Context(), id)
	if err != nil || found != ok || ok && !sameSession(got, want) {
		t.Errorf("session %q: %+v, %v, %v; want %+v, %v", id, got, found, err, want, ok)
	}
}

func sameSession(a, b Session) bool {
	same := a.Expires.Sub(b.Expires).Abs() < 5*time.Second // Redis counts down
	a.Expires, b.Expires = time.Time{}, time.Time{}
	return same && a == b
}

func mustPut(t testing.TB, s Store, user string, r Route) (Route, bool) {
	t.Helper()
	old, had, err := s.PutRoute(t.Context(), user, r)
	if err != nil {
		t.Fatal(err)
	}
	return old, had
}

func wantDrop(t testing.TB, s Store, user string, class protocol.ClientType, connection string, want bool) {
	t.Helper()
	r := Route{ClientType: class, Connection: connection, Address: "10.0.0.1:3001"}
	if got, err := s.DropRoute(t.Context(), user, r); err != nil || got != want {
		t.Errorf("drop %s of %s: %v, %v; want %v", connection, user, got, err, want)
	}
}

func wantRoutes(t testing.TB, s Store, user string, want ...Route) {
	t.Helper()
	all, err := s.Routes(t.Context(), user)
	if err != nil || len(all) != 1 || len(all[0]) != len(want) {
		t.Fatalf("routes of %s: %+v, %v; want %+v", user, all, err, want)
	}
	got := all[0]
	for i := range want {
		if !sameRoute(got[i], want[i]) {
			t.Errorf("route %d of %s:\n got %+v\nwant %+v", i, user, got[i], want[i])
		}
	}
}

func sameRoute(a, b Route) bool {
	same := a.Since.Equal(b.Since)
	a.Since, b.Since = time.Time{}, time.Time{}
	return same && a == b
}

// wantOnline checks the online list of testRoute's node.
func wantOnline(t testing.TB, s Store, want int) {
	t.Helper()
	wantListed(t, s, "10.0.0.1", want)
}

func wantListed(t testing.TB, s Store, list string, want int) {
	t.Helper()
	if got, err := s.OnlineUsers(t.Context(), list); err != nil || got != want {
		t.Errorf("%d users online at %s, %v; want %d", got, list, err, want)
	}
}

// gone is what remains of r when its connection ends now.
func gone(c *clock, r Route) Route {
	r.Connection, r.Online, r.Since = "", false, c.Now()
	return r
}

func conformSession(t *testing.T, s Store, c *clock) {
	wantSession(t, s, testID, Session{}, false)
	v := testSession(c)
	mustSave(t, s, testID, v)
	wantSession(t, s, testID, v, true)
	wantSession(t, s, testID, v, true) // reusable
	wantSession(t, s, "34b37ed163965735ab20c62bdb98ee54", Session{}, false)
	v.DeviceID, v.Expires = "dev-2", v.Expires.Add(time.Minute)
	mustSave(t, s, testID, v)
	wantSession(t, s, testID, v, true)
}

func conformSessionIDs(t *testing.T, s Store, c *clock) {
	ids := []string{"x", testID + "0", "34B37ED163965735AB20C62BDB98EE53", "中文", "a b\r\nc"}
	for i, id := range ids {
		v := testSession(c)
		v.DeviceID = fmt.Sprint(i)
		mustSave(t, s, id, v)
	}
	wantSession(t, s, testID, Session{}, false)
	wantSession(t, s, "", Session{}, false)
	for i, id := range ids {
		v := testSession(c)
		v.DeviceID = fmt.Sprint(i)
		wantSession(t, s, id, v, true)
	}
}

func conformRoute(t *testing.T, s Store, c *clock) {
	wantRoutes(t, s, "u")
	r := testRoute(c, "c1")
	if old, had := mustPut(t, s, "u", r); had {
		t.Errorf("replaced %+v in an empty store", old)
	}
	wantRoutes(t, s, "u", r)
	wantRoutes(t, s, "other")
	wantOnline(t, s, 1)
	c.advance(time.Minute)
	wantDrop(t, s, "u", protocol.ClientMobile, "c1", true)
	wantRoutes(t, s, "u", gone(c, r))
	wantOnline(t, s, 0)
	offline := gone(c, r)
	c.advance(time.Minute)
	wantDrop(t, s, "u", protocol.ClientMobile, "c1", false)
	wantRoutes(t, s, "u", offline)
	r.Since = time.Time{}
	if old, had := mustPut(t, s, "u", r); !had || !sameRoute(old, offline) {
		t.Errorf("replaced %+v, %v; want the offline route", old, had)
	}
	r.Since = c.Now()
	wantRoutes(t, s, "u", r)
}

func conformOwnership(t *testing.T, s Store, c *clock) {
	first, second := testRoute(c, "c1"), testRoute(c, "c2")
	mustPut(t, s, "u", first)
	if old, had := mustPut(t, s, "u", second); !had || !sameRoute(old, first) {
		t.Errorf("replaced %+v, %v", old, had)
	}
	wantDrop(t, s, "u", protocol.ClientMobile, "c1", false)
	wantRoutes(t, s, "u", second)
	for _, not := range []string{"", "c", "c22", "C2"} {
		wantDrop(t, s, "u", protocol.ClientMobile, not, false)
	}
	wantDrop(t, s, "u", protocol.ClientPC, "c2", false)
	wantDrop(t, s, "v", protocol.ClientMobile, "c2", false)
	wantOnline(t, s, 1)
	wantDrop(t, s, "u", protocol.ClientMobile, "c2", true)
	wantDrop(t, s, "u", protocol.ClientMobile, "", false)
}

func conformClasses(t *testing.T, s Store, c *clock) {
	var want []Route
	for i, class := range protocol.ClientTypes() {
		r := testRoute(c, fmt.Sprint("c", i))
		r.ClientType = class
		want = append(want, r)
		if _, had := mustPut(t, s, "u", r); had {
			t.Errorf("%v replaced another class", class)
		}
	}
	wantRoutes(t, s, "u", want...)
	wantOnline(t, s, 1)
	wantDrop(t, s, "u", protocol.ClientUnknown, "c3", true)
	want[3] = gone(c, want[3])
	wantRoutes(t, s, "u", want...)
}

func conformReplaced(t *testing.T, s Store, c *clock) {
	mustPut(t, s, "u", testRoute(c, "c1"))
	r := Route{Node: "n2", Connection: "c9", DeviceID: "d,\"9\"", ClientType: protocol.ClientMobile, Since: c.Now(), Online: true}
	mustPut(t, s, "u", r)
	wantRoutes(t, s, "u", r) // nothing of the old route shines through
}

func conformIncomplete(t *testing.T, s Store, c *clock) {
	if _, _, err := s.PutRoute(t.Context(), "", testRoute(c, "c1")); err == nil {
		t.Error("a route of no user was kept")
	}
	if _, _, err := s.PutRoute(t.Context(), "u", Route{Node: "n1"}); err == nil {
		t.Error("a route without a connection was kept")
	}
	wantOnline(t, s, 0)
}

// conformConcurrent binds one user from many connections at a time. Each PutRoute
// hands out its predecessor exactly once, and only the last owner can drop.
func conformConcurrent(t *testing.T, s Store, c *clock) {
	const n = 50
	var all sync.WaitGroup
	var replaced sync.Map
	var dropped atomic.Int32
	for i := range n {
		all.Go(func() {
			connection := fmt.Sprint("c", i)
			old, had, err := s.PutRoute(t.Context(), "u", testRoute(c, connection))
			if err != nil {
				t.Error(err)
			}
			if had && old.Online {
				if _, twice := replaced.LoadOrStore(old.Connection, true); twice {
					t.Errorf("%s was replaced twice", old.Connection)
				}
			}
			ok, err := s.DropRoute(t.Context(), "u", testRoute(c, connection))
			if err != nil {
				t.Error(err)
			}
			if ok {
				dropped.Add(1)
			}
		})
	}
	all.Wait()
	losers := 0
	replaced.Range(func(any, any) bool { losers++; return true })
	if losers+int(dropped.Load()) != n {
		t.Errorf("%d replaced and %d dropped of %d", losers, dropped.Load(), n)
	}
	wantOnline(t, s, 0)
}
