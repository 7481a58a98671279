package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string, l Limits) *Spool {
	t.Helper()
	s, err := Open(Options{Dir: dir, Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func roomy() Limits { return Limits{Queue: 100000, Bytes: 1 << 30, DeadLetters: 10} }

func note(target string, rank uint8, body string) Item {
	return Item{Entry: Entry{Target: target, Kind: Payload, Rank: rank, Count: 1, Group: 7}, Body: []byte(body)}
}

func TestWhatIsAcceptedSurvives(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, roomy())
	for i := range 20 {
		if dup, err := s.Accept(note("ops", uint8(i%3), fmt.Sprint("body ", i))); dup || err != nil {
			t.Fatal(dup, err)
		}
	}
	waiting := s.Waiting("ops")
	if err := s.Replace(waiting[:1], note("ops", 1, "instead")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetState("robot", "r", []byte("state")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, roomy())
	defer s.Close()
	again := s.Waiting("ops")
	if len(again) != 20 || s.Depth("ops") != 20 || fmt.Sprint(s.Targets()) != "[ops]" || s.Oldest("ops").IsZero() {
		t.Fatalf("%d entries after a restart, want 20", len(again))
	}
	for i, e := range again[1:] {
		if before := again[i]; e.Rank < before.Rank || e.Rank == before.Rank && e.Seq < before.Seq {
			t.Fatalf("%+v comes after %+v", e, before)
		}
	}
	found := false
	for _, e := range again {
		body, err := s.Body(e)
		if err != nil {
			t.Fatal(err)
		}
		found = found || string(body) == "instead"
		if e.Group != 7 || e.Count != 1 || e.Size != len(body) {
			t.Errorf("%+v has %q", e, body)
		}
	}
	if state, err := s.State("robot", "r"); !found || err != nil || string(state) != "state" {
		t.Errorf("replaced: %v, state %q, %v", found, state, err)
	}
}

func TestDuplicates(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	s, err := Open(Options{Dir: dir, Limits: roomy(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	item := note("ops", 0, "b")
	item.Key, item.TTL = Key{1}, time.Minute
	var fresh atomic.Int32
	var all sync.WaitGroup
	for range 50 { // at the same time: one of them counts
		all.Go(func() {
			dup, err := s.Accept(item)
			if err != nil {
				t.Error(err)
			}
			if !dup {
				fresh.Add(1)
			}
		})
	}
	all.Wait()
	if fresh.Load() != 1 || s.Depth("ops") != 1 {
		t.Fatalf("%d of 50 equal items were new, %d wait", fresh.Load(), s.Depth("ops"))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(30 * time.Second)
	s, err = Open(Options{Dir: dir, Limits: roomy(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if dup, err := s.Accept(item); !dup || err != nil {
		t.Errorf("after a restart: duplicate %v, %v", dup, err)
	}
	now = now.Add(31 * time.Second)
	if dup, err := s.Accept(item); dup || err != nil {
		t.Errorf("after the time: duplicate %v, %v", dup, err)
	}
	if err := s.db.View(func(tx *bolt.Tx) error {
		if n := tx.Bucket([]byte(bucketSeen)).Stats().KeyN; n != 1 {
			t.Errorf("%d keys on disk, want 1", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestFull(t *testing.T) {
	s := open(t, t.TempDir(), Limits{Queue: 2, Bytes: 100})
	defer s.Close()
	for range 2 {
		if _, err := s.Accept(note("ops", 0, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Accept(note("ops", 0, "x")); !errors.Is(err, ErrFull) {
		t.Errorf("a third one: %v", err)
	}
	if _, err := s.Accept(note("other", 0, "x")); err != nil {
		t.Errorf("another target: %v", err)
	}
	if _, err := s.Accept(note("other", 0, strings.Repeat("x", 100))); !errors.Is(err, ErrFull) {
		t.Errorf("too many bytes: %v", err)
	}
	if err := s.Add(note("ops", 0, "of the bridge itself")); err != nil {
		t.Errorf("the bridge's own: %v", err)
	}
	if err := s.Replace(s.Waiting("ops")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(note("ops", 0, "x")); err != nil {
		t.Errorf("after room was made: %v", err)
	}
}

func TestDeadLettersAreBounded(t *testing.T) {
	s := open(t, t.TempDir(), Limits{Queue: 100, Bytes: 1 << 20, DeadLetters: 10})
	defer s.Close()
	for i := range 25 {
		if _, err := s.Accept(note("ops", 0, "x")); err != nil {
			t.Fatal(err)
		}
		if err := s.Bury(s.Waiting("ops"), DeadLetter{Target: "ops", Title: fmt.Sprint(i), Reason: "r", Count: 1}); err != nil {
			t.Fatal(err)
		}
	}
	list, n, err := s.DeadLetters(3)
	if err != nil || n != 10 || len(list) != 3 || list[0].Title != "24" || s.Depth("ops") != 0 {
		t.Errorf("%d of %d dead letters: %+v, %v", len(list), n, list, err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, roomy())
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second one: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(note("ops", 0, "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed one: %v", err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "spool.db"), []byte(strings.Repeat("not a spool ", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: broken}); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a damaged one: %v", err)
	}
	if _, err := Open(Options{Dir: filepath.Join(broken, "spool.db", "x")}); err == nil {
		t.Error("a file for a folder was taken")
	}
}

// BenchmarkAccept is webhooks that are on disk, from many at a time.
func BenchmarkAccept(b *testing.B) {
	s := open(b, b.TempDir(), Limits{Queue: 1 << 30, Bytes: 1 << 40})
	defer s.Close()
	body := strings.Repeat("x", 1500)
	b.SetParallelism(32)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Accept(note("ops", 3, body)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "payloads/s")
}

// BenchmarkWaiting is the memory of ten thousand notifications that wait.
func BenchmarkWaiting(b *testing.B) {
	const n = 10000
	for b.Loop() {
		s := open(b, b.TempDir(), roomy())
		before := heap()
		var all sync.WaitGroup
		for w := range 100 {
			all.Go(func() {
				for range n / 100 {
					item := note("ops", 3, strings.Repeat("x", 1500))
					item.Key, item.TTL = Key{byte(w)}, 0
					if _, err := s.Accept(item); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		b.ReportMetric(float64(heap()-before)/n, "heap-bytes/waiting")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
