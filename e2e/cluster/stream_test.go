//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// sent is one message of the stream and what its sender was told.
type sent struct {
	id    string
	user  string // empty: everybody
	ack   bool
	via   int // allocator, or node of the gateway
	entry entry
	begun time.Time

	ended      time.Time // when the outcome was known
	later      bool      // answered 202
	outcome    protocol.Outcome
	deliveries map[protocol.Outcome]int
	err        error // of an HTTP call, or why a gateway said nothing
}

// reached tells whether the sender was told that the message got to the device.
func (s *sent) reached() bool {
	return s.outcome == protocol.OutcomeAcked || s.outcome == protocol.OutcomeSent
}

// result names what became of it for its sender.
func (s *sent) result() string {
	switch {
	case s.entry == viaAPI && s.err != nil:
		return "failed call"
	case errors.Is(s.err, errCutOff):
		return "cut off"
	case s.err != nil:
		return "no answer"
	}
	return s.outcome.String()
}

// entry is where a message came in.
type entry int

const (
	viaAPI entry = iota
	viaGateway
)

const (
	tempo       = 10 * time.Millisecond // between two pushes to single users
	castEvery   = 100                   // of these, one is followed by a broadcast
	wait        = 2 * time.Second       // for outcomes; less than a lost node takes
	outstanding = 600                   // calls at a time
)

// stream pushes without end to random users, through both allocators and the gateways
// of all nodes.
type stream struct {
	w        *world
	name     string
	gateways []*backEnd
	stopped  chan struct{}
	feeding  sync.WaitGroup
	calls    sync.WaitGroup
	tokens   chan struct{}

	mu      sync.Mutex
	all     []*sent
	skipped int // for want of a token
}

// startStream begins to push.
func startStream(w *world) *stream {
	s := &stream{w: w, name: fmt.Sprintf("s%d", len(w.streams)+1), stopped: make(chan struct{}), tokens: make(chan struct{}, outstanding)}
	for i, n := range w.nodes {
		s.gateways = append(s.gateways, newBackEnd(i, n.gateway))
	}
	w.streams = append(w.streams, s)
	s.feeding.Go(s.feed)
	return s
}

func (s *stream) feed() {
	tick := time.NewTicker(tempo)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-s.stopped:
			return
		case <-tick.C:
		}
		s.next(i)
		if i%castEvery == castEvery/2 {
			s.give(&sent{id: fmt.Sprintf("%s-all-%d", s.name, i), via: i / castEvery % allocators})
		}
	}
}

// next sends one message to one user.
func (s *stream) next(i int) {
	m := &sent{id: fmt.Sprintf("%s-%d", s.name, i), user: s.w.crowd.devices[rand.IntN(population)].user, ack: i%5 != 0, via: i % allocators}
	if i%3 == 2 {
		m.entry, m.via = viaGateway, i/3%nodes
	}
	s.give(m)
}

// give starts a call, unless too many run.
func (s *stream) give(m *sent) {
	select {
	case s.tokens <- struct{}{}:
	default:
		s.mu.Lock()
		s.skipped++
		s.mu.Unlock()
		return
	}
	m.begun = time.Now()
	s.calls.Go(func() {
		defer func() { <-s.tokens }()
		if m.entry == viaGateway {
			if !s.gateways[m.via].push(m) {
				return // it never left
			}
		} else {
			s.push(m)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, m)
	})
}

// push makes the HTTP call.
func (s *stream) push(m *sent) {
	request := client.PushRequest{ID: m.id, User: m.user, Broadcast: m.user == "", Content: []byte(m.id), Wait: wait}
	if m.ack {
		request.Ack = protocol.AckAuto
	}
	r, err := s.w.allocators[m.via].pusher.Push(context.Background(), request)
	if m.err = err; err != nil {
		return
	}
	m.later = !r.Known()
	if m.later {
		return
	}
	m.ended, m.outcome, m.deliveries = time.Now(), r.Outcome, r.Deliveries
	for o := range r.Outcomes { // of a broadcast, which is one target
		m.outcome = o
	}
}

// firstThrough is how long after a time the first push that was begun then reached one
// of the users.
func (s *stream) firstThrough(since time.Time, users map[string]bool) (took time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.all {
		if !users[m.user] || m.begun.Before(since) || !m.reached() {
			continue
		}
		if d := m.ended.Sub(since); !ok || d < took {
			took, ok = d, true
		}
	}
	return took, ok
}

// stop ends the stream and waits until it is known what became of everything.
func (s *stream) stop(t *testing.T) {
	t.Helper()
	close(s.stopped)
	s.feeding.Wait()
	s.calls.Wait()
	for _, g := range s.gateways {
		g.close()
	}
	for _, m := range s.all {
		if m.later {
			s.ask(t, m)
		}
	}
}

// ask asks for the outcome of what was answered 202.
func (s *stream) ask(t *testing.T, m *sent) {
	t.Helper()
	eventually(t, "the outcome of "+m.id, func() string {
		status, err := s.w.allocators[m.via].pusher.Message(context.Background(), m.id)
		if refused := new(client.APIError); errors.As(err, &refused) {
			t.Fatalf("a message that was answered 202 cannot be asked for: %v", err)
		}
		m.outcome, m.deliveries, m.ended = status.Outcome, status.Deliveries, status.Accepted.Add(status.Latency)
		return unless(err == nil && m.outcome != protocol.OutcomePending, "%v, %v", m.outcome, err)
	})
}
