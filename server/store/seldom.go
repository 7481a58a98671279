package store

import (
	"log/slog"
	"sync"
	"time"
)

// seldomPause is the least time between two lines about the same.
const seldomPause = 5 * time.Second

// seldom logs what may happen with each of thousands of calls a second at most once in
// five seconds, with how often it happened. The zero value is ready.
type seldom struct {
	mu   sync.Mutex
	said map[string]*said // by what it is about, of which the program knows a few
}

type said struct {
	next  time.Time
	times int
}

func (s *seldom) warn(log *slog.Logger, about, text string, args ...any) {
	if times := s.due(about, time.Now()); times > 0 {
		log.Warn(text, append(args, "times", times)...)
	}
}

// due returns how often it happened since it was logged last, 0 while that is too
// short ago.
func (s *seldom) due(about string, now time.Time) (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.said[about]
	if one == nil {
		if s.said == nil {
			s.said = make(map[string]*said)
		}
		one = new(said)
		s.said[about] = one
	}
	one.times++
	if now.Before(one.next) {
		return 0
	}
	times, one.times = one.times, 0
	one.next = now.Add(seldomPause)
	return times
}
