package store

import (
	"context"
	"fmt"
	"sync"
)

// maxKicks bounds the kicks that wait for a listener; the next one waits with its
// sender.
const maxKicks = 1000

// earshot is one call of Kicks.
type earshot struct {
	kicks chan Kick
	quit  chan struct{} // closed by stop and by Close
	once  sync.Once
}

func (e *earshot) end() { e.once.Do(func() { close(e.quit) }) }

// SendKick implements [Store]. It waits while the listener has 1,000 kicks to
// handle.
func (s *Embedded) SendKick(ctx context.Context, k Kick) error {
	s.mu.Lock()
	closed, listening := s.closed, append([]*earshot(nil), s.ears[k.Address]...)
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for _, e := range listening {
		select {
		case e.kicks <- k:
		case <-e.quit:
		case <-ctx.Done():
			return fmt.Errorf("send a kick: %w", ctx.Err())
		}
	}
	return nil
}

// Kicks implements [Store]. The returned function must not be called from within
// kicked or joined; Close ends all listeners.
func (s *Embedded) Kicks(address string, kicked func(Kick), joined func()) (stop func()) {
	e := &earshot{kicks: make(chan Kick, maxKicks), quit: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return func() {}
	}
	s.ears[address] = append(s.ears[address], e)
	done := make(chan struct{})
	s.listening.Go(func() {
		defer close(done)
		joined()
		for {
			select {
			case <-e.quit:
				return
			case k := <-e.kicks:
				kicked(k)
			}
		}
	})
	return sync.OnceFunc(func() {
		s.deafen(address, e)
		<-done
	})
}

func (s *Embedded) deafen(address string, e *earshot) {
	e.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	var rest []*earshot
	for _, other := range s.ears[address] {
		if other != e {
			rest = append(rest, other)
		}
	}
	if s.ears[address] = rest; rest == nil {
		delete(s.ears, address)
	}
}

// deafenAll ends all listeners and waits for them.
func (s *Embedded) deafenAll() {
	s.mu.Lock()
	for _, listening := range s.ears {
		for _, e := range listening {
			e.end()
		}
	}
	s.mu.Unlock()
	s.listening.Wait()
}
