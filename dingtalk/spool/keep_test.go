package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// at opens a spool with a clock of its own, which a restart sees as the wall's.
func at(t testing.TB, dir string, now *time.Time) *Spool {
	t.Helper()
	s, err := Open(Options{Dir: dir, Limits: roomy(), Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyed(key byte, group uint64) Item {
	i := note("ops", 1, "b")
	i.Key, i.TTL, i.Group = Key{key}, 5*time.Minute, group
	return i
}

// TestStateThatComesBack: what was accepted before another state of its group is news
// again, also after a restart; a late twin of the second Alertmanager is not.
func TestStateThatComesBack(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1_800_000_000, 0)
	s := at(t, dir, &now)
	accept := func(i Item, want bool) {
		t.Helper()
		if dup, err := s.Accept(i); err != nil || dup != want {
			t.Errorf("duplicate %v, want %v; %v", dup, want, err)
		}
	}
	accept(keyed(1, 7), false) // fires
	now = now.Add(30 * time.Second)
	accept(keyed(2, 7), false) // is over
	accept(keyed(3, 8), false) // another group
	accept(keyed(1, 7), true)  // the twin
	now = now.Add(40 * time.Second)
	accept(keyed(3, 8), true)
	accept(keyed(1, 7), false) // fires again
	now = now.Add(40 * time.Second)
	accept(keyed(1, 7), true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = at(t, dir, &now)
	defer s.Close()
	now = now.Add(40 * time.Second)
	accept(keyed(1, 7), true)
	accept(keyed(2, 7), false) // is over, again
	accept(keyed(3, 8), true)
}

// TestClockSetBack: a key does not live longer because the clock was set back while the
// bridge was down.
func TestClockSetBack(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1_800_000_000, 0)
	s := at(t, dir, &now)
	if dup, err := s.Accept(keyed(1, 7)); dup || err != nil {
		t.Fatal(dup, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-24 * time.Hour)
	s = at(t, dir, &now)
	defer s.Close()
	if dup, err := s.Accept(keyed(1, 7)); !dup || err != nil {
		t.Errorf("after the restart: duplicate %v, %v", dup, err)
	}
	now = now.Add(6 * time.Minute)
	if dup, err := s.Accept(keyed(1, 7)); dup || err != nil {
		t.Errorf("six minutes later: duplicate %v, %v", dup, err)
	}
}

// TestDeadLettersAreWhole: what was given up can be sent again as it was.
func TestDeadLettersAreWhole(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, roomy())
	for i := range 3 {
		if _, err := s.Accept(note("ops", uint8(i), fmt.Sprint("body ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Bury(s.Waiting("ops")[:2], DeadLetter{Target: "ops", Reason: "r", Count: 2}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Resend(dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if letters, notes, err := Resend(dir); err != nil || letters != 1 || notes != 2 {
		t.Errorf("%d letters, %d notifications, %v", letters, notes, err)
	}
	if letters, notes, err := Resend(dir); err != nil || letters != 0 || notes != 0 {
		t.Errorf("again: %d letters, %d notifications, %v", letters, notes, err)
	}
	s = open(t, dir, roomy())
	defer s.Close()
	var bodies []string
	for _, e := range s.Waiting("ops") {
		body, err := s.Body(e)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
		if string(body) != "body 2" && e.Received.Before(before) {
			t.Errorf("%s was received %v", body, e.Received)
		}
	}
	if got := strings.Join(bodies, ", "); got != "body 0, body 1, body 2" {
		t.Errorf("waiting: %s", got)
	}
	if _, n, err := s.DeadLetters(1); n != 0 || err != nil {
		t.Errorf("%d dead letters stay, %v", n, err)
	}
	if _, _, err := Resend(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no spool.db") {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestDeadLettersAreBoundedInBytes: their bodies have a bound too, and go with them.
func TestDeadLettersAreBoundedInBytes(t *testing.T) {
	dir := t.TempDir()
	limits := Limits{Queue: 100, Bytes: 10_000, DeadLetters: 100}
	s := open(t, dir, limits)
	for i := range 20 {
		if _, err := s.Accept(note("ops", 0, strings.Repeat("x", 3000))); err != nil {
			t.Fatal(err)
		}
		if err := s.Bury(s.Waiting("ops"), DeadLetter{Target: "ops", Title: fmt.Sprint(i), Count: 1}); err != nil {
			t.Fatal(err)
		}
		if i == 10 { // the bound is known after a restart
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, limits)
		}
	}
	list, n, err := s.DeadLetters(100)
	if err != nil || n != 3 || len(list) != 3 || list[0].Title != "19" {
		t.Errorf("%d dead letters, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if letters, notes, err := Resend(dir); err != nil || letters != 3 || notes != 3 {
		t.Errorf("%d letters, %d notifications, %v", letters, notes, err)
	}
}

// TestFileShrinks: what a long queue has left of the file goes at the next start, and
// nothing else does.
func TestFileShrinks(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, fileName)
	s := open(t, dir, roomy())
	large := strings.Repeat("x", 1<<20)
	for i := range 40 {
		if _, err := s.Accept(note("ops", 1, large)); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := s.SetState("robot", "r", []byte("state")); err != nil {
		t.Fatal(err)
	}
	if err := s.Bury(s.Waiting("ops")[:1], DeadLetter{Target: "ops"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Replace(s.Waiting("ops")[1:]); err != nil {
		t.Fatal(err)
	}
	last := s.Waiting("ops")[0].Seq
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := size(t, file)
	leftover := file + ".compact"
	if err := os.WriteFile(leftover, []byte("of a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, roomy())
	defer s.Close()
	if after := size(t, file); after > before/4 {
		t.Errorf("the file had %d bytes and has %d", before, after)
	}
	if _, err := os.Stat(leftover); !os.IsNotExist(err) {
		t.Errorf("the copy is still there: %v", err)
	}
	state, err := s.State("robot", "r")
	_, dead, errDead := s.DeadLetters(1)
	if s.Depth("ops") != 1 || err != nil || errDead != nil || string(state) != "state" || dead != 1 {
		t.Errorf("%d wait, state %q, %d dead letters, %v, %v", s.Depth("ops"), state, dead, err, errDead)
	}
	if _, err := s.Accept(note("ops", 1, "next")); err != nil || s.Waiting("ops")[1].Seq <= last {
		t.Errorf("the next one: %+v, %v", s.Waiting("ops"), err)
	}
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second one: %v", err)
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
