package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	berrors "go.etcd.io/bbolt/errors"
	"pgregory.net/rapid"
)

func openTest(t testing.TB, o Options) *Embedded {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestMemoryConforms(t *testing.T) {
	conformance(t, func(t *testing.T, now func() time.Time) Store { return openTest(t, Options{Now: now}) })
}

func TestFilesConform(t *testing.T) {
	conformance(t, func(t *testing.T, now func() time.Time) Store {
		return openTest(t, Options{Dir: t.TempDir(), Now: now})
	})
}

func TestSessionExpiry(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Now: c.Now})
	v := testSession(c)
	mustSave(t, s, testID, v)
	c.advance(time.Hour - time.Second)
	wantSession(t, s, testID, v, true)
	c.advance(time.Second)
	wantSession(t, s, testID, Session{}, false)
	other := "00000000000000000000000000000001"
	mustSave(t, s, other, testSession(c))
	v.Expires = c.Now()
	mustSave(t, s, other, v)
	wantSession(t, s, other, Session{}, false)
}

func TestRestart(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "made", "when", "missing")
	open := func() *Embedded { return openTest(t, Options{Dir: dir, Now: c.Now}) }
	s := open()
	session, short := testSession(c), testSession(c)
	short.Expires = c.Now().Add(time.Minute)
	mustSave(t, s, testID, session)
	mustSave(t, s, "short", short)
	online, offline := testRoute(c, "c1"), testRoute(c, "c2")
	mustPut(t, s, "online", online)
	mustPut(t, s, "offline", offline)
	wantDrop(t, s, "offline", protocol.ClientMobile, "c2", true)
	offline = gone(c, offline)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	c.advance(30 * time.Minute)
	s = open()
	wantSession(t, s, testID, session, true)
	wantSession(t, s, "short", Session{}, false)
	wantRoutes(t, s, "online", gone(c, online))
	wantRoutes(t, s, "offline", offline)
	wantOnline(t, s, 0)
	wantDrop(t, s, "online", protocol.ClientMobile, "c1", false)
	if old, had := mustPut(t, s, "online", testRoute(c, "c3")); !had || old.Online {
		t.Errorf("replaced %+v, %v", old, had)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	wantSession(t, s, testID, session, true)
	if n := len(s.sessions.byID); n > 2 {
		t.Errorf("%d sessions loaded", n)
	}
}

// A process that dies loses at most what came since the last group was written.
func TestGroupsAreWrittenWithoutClose(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s := openTest(t, Options{Dir: dir, Now: c.Now})
	mustSave(t, s, testID, testSession(c))
	mustPut(t, s, "u", testRoute(c, "c1"))
	written := func() bool {
		n := 0
		for _, b := range []bucket{sessionBucket, routeBucket} {
			if err := s.journal.each(b, func(_, _ []byte) { n++ }); err != nil {
				t.Fatal(err)
			}
		}
		return n == 2
	}
	for deadline := time.Now().Add(10 * time.Second); !written(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("nothing reached the disk")
		}
	}
	copied := filepath.Join(t.TempDir(), "copy") // what a crash now would leave
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	after := openTest(t, Options{Dir: copied, Now: c.Now})
	wantSession(t, after, testID, testSession(c), true)
}

func TestBounds(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		c := newClock()
		o := Options{Dir: dir, MaxSessions: 3, MaxRoutes: 2, Now: c.Now}
		s := openTest(t, o)
		for i, minutes := range []int{50, 10, 30, 20, 40, 5} {
			v := testSession(c)
			v.Expires = c.Now().Add(time.Duration(minutes) * time.Minute)
			mustSave(t, s, fmt.Sprint("s", i), v)
		}
		check := func() {
			t.Helper()
			for i, kept := range []bool{true, false, true, false, true, false} {
				if _, ok, _ := s.LoadSession(t.Context(), fmt.Sprint("s", i)); ok != kept {
					t.Errorf("dir %q: session %d kept: %v", dir, i, ok)
				}
			}
			for i, kept := range []bool{false, false, true, true} {
				if found, _ := s.Routes(t.Context(), fmt.Sprint("u", i)); (len(found[0]) == 1) != kept {
					t.Errorf("dir %q: route %d: %v", dir, i, found)
				}
			}
		}
		for i := range 4 {
			mustPut(t, s, fmt.Sprint("u", i), testRoute(c, "c"))
		}
		wantOnline(t, s, 4) // only the offline ones are bounded
		for _, i := range []int{1, 0, 3, 2} {
			c.advance(time.Millisecond)
			wantDrop(t, s, fmt.Sprint("u", i), protocol.ClientMobile, "c", true)
		}
		check()
		if dir == "" {
			continue
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTest(t, o)
		check()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		o.MaxRoutes = 1 // the order survives, too
		s = openTest(t, o)
		if found, _ := s.Routes(t.Context(), "u3"); len(found[0]) != 0 {
			t.Errorf("the older route stayed: %v", found)
		}
	}
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for i := range 2500 { // more than two chunks
			v := Session{DeviceID: "d", Expires: time.Now().Add(30 * time.Second)}
			mustSave(t, s, fmt.Sprint(i), v)
		}
		keep := Session{DeviceID: "d", Expires: time.Now().Add(time.Hour)}
		mustSave(t, s, "keep", keep)
		<-time.After(sweepEvery + time.Second)
		synctest.Wait()
		s.mu.Lock()
		n := len(s.sessions.byID)
		s.mu.Unlock()
		if n != 1 || len(s.sessions.expiry) != 1 {
			t.Errorf("%d sessions left", n)
		}
		wantSession(t, s, "keep", keep, true)
	})
}

func TestExpiredSessionsLeaveTheDisk(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s := openTest(t, Options{Dir: dir, Now: c.Now})
	mustSave(t, s, testID, testSession(c))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.advance(2 * time.Hour)
	for range 2 { // the first start sweeps, the second finds nothing
		s = openTest(t, Options{Dir: dir, Now: c.Now})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.sessions.byID); n != 0 {
		t.Errorf("%d sessions were loaded", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, fileName), bytes.Repeat([]byte("not a database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := t.TempDir()
	if err := os.Mkdir(filepath.Join(taken, fileName), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(file, "dir"), file, foreign, taken} {
		s, err := Open(Options{Dir: dir})
		if err == nil {
			s.Close()
			t.Errorf("%s was opened", dir)
		} else if !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("unclear: %v", err)
		}
	}
}

// TestTwoProcesses starts this test binary again on the same directory.
func TestTwoProcesses(t *testing.T) {
	const variable = "STORE_TEST_DIR"
	if dir := os.Getenv(variable); dir != "" {
		_, err := Open(Options{Dir: dir})
		fmt.Printf("second: %v\n", err)
		return
	}
	dir := t.TempDir()
	openTest(t, Options{Dir: dir})
	second := exec.Command(os.Args[0], "-test.run=^TestTwoProcesses$")
	second.Env = append(os.Environ(), variable+"="+dir)
	out, err := second.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "second: store directory " + dir + " is in use by another process\n"; !strings.Contains(string(out), want) {
		t.Errorf("got %s, want %s", out, want)
	}
}

func TestFullQueueWaitsForTheDisk(t *testing.T) {
	c := newClock()
	s := openTest(t, Options{Dir: t.TempDir(), Now: c.Now})
	tx, err := s.journal.db.Begin(true) // holds the writer up
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	saved := 0
	for blocked := false; !blocked && saved < 3*maxPending; saved++ {
		short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		err := s.SaveSession(short, fmt.Sprint(saved), testSession(c))
		stop()
		blocked = errors.Is(err, context.DeadlineExceeded)
		if err != nil && !blocked {
			t.Fatal(err)
		}
	}
	if saved < maxPending || saved > 2*maxPending+1 {
		t.Errorf("%d changes were taken", saved)
	}
	if _, ok, _ := s.LoadSession(ctx, fmt.Sprint(saved-1)); ok {
		t.Error("the refused change took place")
	}
	wantSession(t, s, "0", testSession(c), true) // reading does not wait
	waiting := make(chan error, 1)
	go func() { waiting <- s.SaveSession(ctx, "late", testSession(c)) }()
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
}

func TestFailingDisk(t *testing.T) {
	c := newClock()
	var logged lockedBuffer
	s, err := Open(Options{Dir: t.TempDir(), Now: c.Now, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.journal.db.Close(); err != nil { // every write fails from here on
		t.Fatal(err)
	}
	mustSave(t, s, testID, testSession(c))
	for deadline := time.Now().Add(10 * time.Second); s.Err() == nil; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the failure went unnoticed")
		}
	}
	if !errors.Is(s.Err(), berrors.ErrDatabaseNotOpen) {
		t.Error(s.Err())
	}
	wantSession(t, s, testID, testSession(c), true)
	for i := range maxPending {
		if err = s.SaveSession(t.Context(), fmt.Sprint(i), testSession(c)); err != nil {
			break
		}
	}
	if !errors.Is(err, berrors.ErrDatabaseNotOpen) {
		t.Errorf("a full queue over a dead disk: %v", err)
	}
	if err := s.Close(); !errors.Is(err, berrors.ErrDatabaseNotOpen) {
		t.Errorf("close hides that changes were lost: %v", err)
	}
	if n := strings.Count(logged.String(), "cannot write"); n != 1 {
		t.Errorf("logged %d times: %s", n, logged.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestUnreadableRecordsAreDropped(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s := openTest(t, Options{Dir: dir, Now: c.Now})
	mustSave(t, s, testID, testSession(c))
	mustPut(t, s, "u", testRoute(c, "c1"))
	s.journal.put(sessionBucket, "0123456789abcdef", []byte("short"))
	s.journal.put(sessionBucket, "shortkey", appendSession(nil, testSession(c)))
	s.journal.put(routeBucket, "\x01v", []byte{routeVersion + 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	s.journal.put(routeBucket, "\x01w", appendRoute(nil, testRoute(c, "c"))[:20])
	s.journal.put(routeBucket, "\x02x", appendRoute(nil, testRoute(c, "c")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, warnings := range []int{2, 0} {
		var logged bytes.Buffer
		s = openTest(t, Options{Dir: dir, Now: c.Now, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		if n := strings.Count(logged.String(), "cannot read"); n != warnings {
			t.Errorf("%d warnings, want %d: %s", n, warnings, logged.String())
		}
		wantSession(t, s, testID, testSession(c), true)
		wantRoutes(t, s, "u", gone(c, testRoute(c, "c1")))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClosed(t *testing.T) {
	s := openTest(t, Options{})
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, _, loadErr := s.LoadSession(t.Context(), testID)
	_, _, putErr := s.PutRoute(t.Context(), "u", testRoute(newClock(), "c"))
	_, dropErr := s.DropRoute(t.Context(), "u", Route{ClientType: protocol.ClientMobile, Connection: "c"})
	_, routesErr := s.Routes(t.Context(), "u")
	for i, err := range []error{s.SaveSession(t.Context(), testID, Session{}), loadErr, putErr, dropErr, routesErr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// TestOwnershipProperty compares a store, restarted now and then, with a model.
func TestOwnershipProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := newClock()
		s, err := Open(Options{Dir: dir, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		owner := map[routeKey]string{} // connection, "" when offline
		key := rapid.Custom(func(t *rapid.T) routeKey {
			return routeKey{rapid.SampledFrom([]string{"a", "b", "ab"}).Draw(t, "user"), rapid.SampledFrom(protocol.ClientTypes()).Draw(t, "class")}
		})
		connection := rapid.SampledFrom([]string{"c1", "c2", "c3"})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, conn := key.Draw(t, "key"), connection.Draw(t, "connection")
				r := testRoute(c, conn)
				r.ClientType = k.clientType
				old, had, err := s.PutRoute(context.Background(), k.user, r)
				want, wantHad := owner[k]
				if err != nil || had != wantHad || old.Connection != want || old.Online != (want != "") {
					t.Fatalf("replaced %+v, %v, %v; want %q, %v", old, had, err, want, wantHad)
				}
				owner[k] = conn
			},
			"drop": func(t *rapid.T) {
				k, conn := key.Draw(t, "key"), connection.Draw(t, "connection")
				ok, err := s.DropRoute(context.Background(), k.user, Route{ClientType: k.clientType, Connection: conn})
				if err != nil || ok != (owner[k] == conn) {
					t.Fatalf("dropped %v, %v; owner is %q", ok, err, owner[k])
				}
				if ok {
					owner[k] = ""
				}
			},
			"restart": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = Open(Options{Dir: dir, Now: c.Now}); err != nil {
					t.Fatal(err)
				}
				for k := range owner {
					owner[k] = ""
				}
			},
			"": func(t *rapid.T) {
				online := 0
				for k, conn := range owner {
					if conn != "" {
						online++
					}
					if r := s.routes.byKey[k]; r == nil || r.connection != conn || (r.next == nil) != (conn != "") {
						t.Fatalf("%v: %+v, want %q", k, r, conn)
					}
				}
				if s.Online() != online || s.routes.gone != len(owner)-online {
					t.Fatalf("%d online and %d gone, want %d of %d", s.Online(), s.routes.gone, online, len(owner))
				}
			},
		})
	})
}

// BenchmarkMemory reports what an entry takes, its id and strings included.
func BenchmarkMemory(b *testing.B) {
	c := newClock()
	measure := func(b *testing.B, fill func(s *Embedded, i int)) {
		s := openTest(b, Options{Now: c.Now})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		n := 0
		for b.Loop() {
			fill(s, n)
			n++
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(n), "B/entry")
	}
	b.Run("session", func(b *testing.B) {
		measure(b, func(s *Embedded, i int) {
			v := testSession(c)
			v.DeviceID = fmt.Sprintf("device-%025d", i)
			mustSave(b, s, fmt.Sprintf("%032x", i), v)
		})
	})
	b.Run("route", func(b *testing.B) {
		measure(b, func(s *Embedded, i int) {
			r := testRoute(c, fmt.Sprintf("%08x", i))
			r.DeviceID = fmt.Sprintf("device-%025d", i)
			mustPut(b, s, fmt.Sprintf("user-%d", i), r)
		})
	})
}
