package spool

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
)

// hang has writes wait until the function that it returns is called.
func (s *Spool) hang() (goOn func()) {
	gate := make(chan struct{})
	s.update = func(write func(*bolt.Tx) error) error {
		<-gate
		return s.db.Update(write)
	}
	return func() { close(gate) }
}

// TestDiskThatHangs: who hands something in from outside is refused in time, and at once
// from then on. What was with the writer is kept when the disk answers, so that its next
// coming is a duplicate; what was refused at once is not.
func TestDiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stalls, late atomic.Int32
		s, err := Open(Options{Dir: t.TempDir(), Limits: Limits{Queue: 10, Bytes: 1 << 30, DeadLetters: 1},
			Stalled: func() { stalls.Add(1) }, Late: func(string) { late.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		item := func(key byte) Item {
			return Item{Entry: Entry{Target: "ops"}, Body: []byte("body"), Key: Key{key}, TTL: time.Hour}
		}
		goOn := s.hang()
		began := time.Now()
		answers := make(chan error)
		go func() { _, err := s.Accept(item(1)); answers <- err }()
		go func() { answers <- s.SetState("robot", "a", []byte("state")) }()
		owned := make(chan error, 1)
		time.Sleep(stallAfter - time.Second)
		go func() { owned <- s.Replace(nil, Item{Entry: Entry{Target: "ops"}, Body: []byte("own")}) }()
		synctest.Wait()
		if since, err := s.Failing(); !since.IsZero() || err != nil || stalls.Load() != 0 {
			t.Errorf("before the time it fails since %v, %v; %d stalls", since, err, stalls.Load())
		}
		for range 2 {
			if err := <-answers; !errors.Is(err, ErrStalled) || time.Since(began) != stallAfter {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		}
		time.Sleep(4 * time.Second)
		if since, err := s.Failing(); !since.Equal(began) || !errors.Is(err, ErrStalled) || !strings.Contains(err.Error(), "for 12s") || stalls.Load() != 1 {
			t.Errorf("it fails since %v, %v; %d stalls", since, err, stalls.Load())
		}
		if _, err := s.Accept(item(2)); !errors.Is(err, ErrStalled) || time.Since(began) != 12*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if s.Depth("ops") != 0 || len(owned) != 0 {
			t.Errorf("%d wait, %d answers, before the disk answers", s.Depth("ops"), len(owned))
		}

		goOn()
		if err := <-owned; err != nil { // who sends has waited: nothing may be sent twice
			t.Error(err)
		}
		synctest.Wait()
		if since, err := s.Failing(); !since.IsZero() || err != nil {
			t.Errorf("it still fails since %v, %v", since, err)
		}
		if n := late.Load(); n != 1 {
			t.Errorf("%d items were kept after all, want 1", n)
		}
		if s.Depth("ops") != 2 {
			t.Errorf("%d wait, want the one that was accepted late and the spool's own", s.Depth("ops"))
		}
		for key, want := range map[byte]bool{1: true, 2: false} {
			if duplicate, err := s.Accept(item(key)); duplicate != want || err != nil {
				t.Errorf("item %d: duplicate %v, %v", key, duplicate, err)
			}
		}
		if state, err := s.State("robot", "a"); string(state) != "state" || err != nil {
			t.Errorf("state %q, %v", state, err)
		}
		s.mu.Lock()
		booked := len(s.booked)
		s.mu.Unlock()
		if booked != 0 {
			t.Errorf("places for %d targets are still booked", booked)
		}
	})
}

// TestSlowDisk: no write takes so long that the disk hangs, but one that has to wait for
// another one does for who handed it in. It is kept, and somebody hears of it.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late []string
		s, err := Open(Options{Dir: t.TempDir(), Limits: Limits{Queue: 10, Bytes: 1 << 30, DeadLetters: 1},
			Stalled: func() { t.Error("it does not hang") }, Late: func(target string) { late = append(late, target) }})
		if err != nil {
			t.Fatal(err)
		}
		s.update = func(write func(*bolt.Tx) error) error {
			time.Sleep(5 * time.Second)
			return s.db.Update(write)
		}
		first := make(chan error, 1)
		go func() { _, err := s.Accept(Item{Entry: Entry{Target: "first"}}); first <- err }()
		synctest.Wait()
		if _, err := s.Accept(Item{Entry: Entry{Target: "second"}}); !errors.Is(err, ErrStalled) {
			t.Errorf("the second: %v", err)
		}
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
		if err := s.Close(); err != nil { // with what is under way
			t.Fatal(err)
		}
		if len(late) != 1 || late[0] != "second" || s.Depth("second") != 1 {
			t.Errorf("%q were kept after all, %d wait", late, s.Depth("second"))
		}
	})
}

// TestQueueOfADiskThatHangs: what nobody takes is given up, and its place with it.
func TestQueueOfADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Options{Dir: t.TempDir(), Limits: Limits{Queue: 10_000, Bytes: 1 << 30, DeadLetters: 1}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		goOn := s.hang()
		const many = 1000 // more than the writer and the way to it take
		answers := make(chan error, many)
		for range many {
			go func() {
				_, err := s.Accept(Item{Entry: Entry{Target: "ops"}, Body: []byte("body")})
				answers <- err
			}()
		}
		for range many {
			if err := <-answers; !errors.Is(err, ErrStalled) {
				t.Fatalf("%v", err)
			}
		}
		goOn()
		synctest.Wait()
		if err := s.Add(Item{Entry: Entry{Target: "ops"}, Body: []byte("last")}); err != nil {
			t.Fatal(err)
		}
		if kept := s.Depth("ops"); kept < 2 || kept > maxBatch+cap(s.ops)+1 {
			t.Errorf("%d of %d were kept", kept, many)
		}
		s.mu.Lock()
		booked := len(s.booked)
		s.mu.Unlock()
		if booked != 0 {
			t.Errorf("places for %d targets are still booked", booked)
		}
	})
}
