package cluster

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestStaticRegistry(t *testing.T) {
	s := NewStatic(Peer{ID: "b", Gateway: "b:1"}, Peer{ID: "a", Gateway: "a:1"}, Peer{ID: "c", Gateway: "c:1"})
	defer s.Close()
	ids := func() (all string) {
		peers, known := s.Peers()
		if !known || s.Err() != nil {
			t.Error("it is always known")
		}
		for _, p := range peers {
			all += p.ID + "=" + p.Gateway + " "
			if p.Weight != 1 {
				t.Errorf("weight of %s is %d", p.ID, p.Weight)
			}
		}
		return all
	}
	if got := ids(); got != "a=a:1 b=b:1 c=c:1 " {
		t.Errorf("at first %s", got)
	}
	s.Update(Peer{ID: "b", Gateway: "b:9"})
	if got := ids(); got != "a=a:1 b=b:1 c=c:1 " {
		t.Errorf("an update before joining gave %s", got)
	}
	if err := s.Join(t.Context(), Peer{ID: "b", Gateway: "b:2"}); err != nil {
		t.Fatal(err)
	}
	if got := ids(); got != "a=a:1 b=b:2 c=c:1 " {
		t.Errorf("after joining %s", got)
	}
	s.Update(Peer{ID: "other", Gateway: "b:3"})
	if got := ids(); got != "a=a:1 b=b:3 c=c:1 " {
		t.Errorf("after an update %s", got)
	}
	if err := s.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ids(); got != "a=a:1 c=c:1 " {
		t.Errorf("after leaving %s", got)
	}
}

func TestWatchersAreCalledOneAtATime(t *testing.T) {
	s := NewStatic()
	var inside, calls atomic.Int32
	stop := s.Watch(func() {
		if inside.Add(1) > 1 {
			t.Error("two calls at once")
		}
		calls.Add(1)
		inside.Add(-1)
	})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 100 {
				s.Update(Peer{})
			}
		})
	}
	work.Wait()
	before := calls.Load()
	within(t, "a call after the last change", func() bool { s.Update(Peer{}); return calls.Load() > before })
	stop()
	last := calls.Load()
	s.Update(Peer{})
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if calls.Load() != last {
		t.Error("called after stop had returned")
	}
	s.Watch(func() { t.Error("called after Close") })()
	s.Update(Peer{})
}

func TestSlowWatcherHoldsNobodyUp(t *testing.T) {
	s := NewStatic()
	hold, begun := make(chan struct{}), make(chan struct{}, 10)
	s.Watch(func() { begun <- struct{}{}; <-hold })
	var quick atomic.Int32
	s.Watch(func() { quick.Add(1) })
	s.Update(Peer{})
	<-begun
	s.Update(Peer{}) // it is inside: this one must not be lost
	within(t, "the other is called", func() bool { return quick.Load() > 0 })
	close(hold)
	<-begun
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
