package store

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestTasksAreBounded(t *testing.T) {
	s := openTest(t, Options{})
	reached := func(id string, users ...string) {
		t.Helper()
		if err := s.TaskReached(t.Context(), id, users); err != nil {
			t.Fatal(err)
		}
	}
	reached("t", "a", "b")
	reached("t", "c")
	if got := s.TaskUsers("t"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Error(got)
	}
	many := make([]string, maxReached+5)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	reached("many", many...)
	if got := s.TaskUsers("many"); len(got) != maxReached || got[0] != "5" || len(s.TaskUsers("t")) != 0 {
		t.Errorf("%d users remembered, and %d of the older task", len(got), len(s.TaskUsers("t")))
	}
	reached("t", "d")
	if n := len(s.TaskUsers("many")); n != maxReached && n != maxReached-1 || s.tasks.reached > maxReached {
		t.Errorf("%d users remembered, %d in all", n, s.tasks.reached)
	}
	for i := range maxTasks + 10 {
		if _, err := s.Task(t.Context(), fmt.Sprint("n", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.tasks.byID) != maxTasks || len(s.tasks.order) != maxTasks || s.tasks.reached != 0 {
		t.Errorf("%d tasks, %d users", len(s.tasks.byID), s.tasks.reached)
	}
	if state, err := s.Task(t.Context(), "n0", 0); err != nil || state.Sent != 0 {
		t.Errorf("a forgotten task: %+v, %v", state, err)
	}
}

// Version 1 of a record has no addresses.
func TestOldRouteRecords(t *testing.T) {
	r := testRoute(newClock(), "c1")
	r.Address = ""
	record := appendRoute(nil, r)
	record[0] = 1
	record = record[:len(record)-2] // two empty strings
	if got, err := parseRoute(record); err != nil || !sameRoute(got, r) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range record {
		if got, err := parseRoute(record[:n]); err == nil {
			t.Fatalf("%d bytes were read as %+v", n, got)
		}
	}
}

func TestSweepEndsWithTheStore(t *testing.T) {
	s := openTest(t, Options{})
	mustPut(t, s, "u", testRoute(newClock(), "c1"))
	visited := make(chan struct{})
	ended := make(chan error)
	go func() {
		_, err := s.Sweep(t.Context(), 1, "", func(string, Route) bool {
			close(visited)
			return false
		})
		ended <- err
	}()
	<-visited
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil && err != ErrClosed { // it may have waited long enough
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}
