package spool

import (
	"fmt"
	"time"
)

// stallAfter is how long a write may be under way until the disk hangs: longer than a busy
// disk takes, shorter than Alertmanager waits for an answer.
const stallAfter = 8 * time.Second

// Failing is [Spool.Err], and since when.
func (s *Spool) Failing() (since time.Time, err error) {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure == nil && s.stalled(now) {
		return s.writing, fmt.Errorf("%w: a write has been under way for %v", ErrStalled, now.Sub(s.writing).Round(time.Second))
	}
	return s.failed, s.failure
}

// stalled reports, under the lock, whether the disk hangs.
func (s *Spool) stalled(now time.Time) bool {
	return !s.writing.IsZero() && now.Sub(s.writing) >= stallAfter
}

// hangs is stalled, for those who do not have the lock.
func (s *Spool) hangs() bool {
	now := s.options.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stalled(now)
}

// watched notes that a write begins, and has it said when that takes too long. The
// function that it returns is for the end of the write.
func (s *Spool) watched(began time.Time) (ended func()) {
	s.mu.Lock()
	s.writing = began
	s.mu.Unlock()
	alarm := time.AfterFunc(stallAfter, func() {
		s.options.Logger.Error("the disk of the spool does not answer; new notifications are refused until it does", "dir", s.options.Dir, "since", began)
		s.options.Stalled()
	})
	return func() {
		s.mu.Lock()
		s.writing = time.Time{}
		s.mu.Unlock()
		if !alarm.Stop() {
			s.options.Logger.Info("the disk of the spool answers again", "dir", s.options.Dir, "after", s.options.Now().Sub(began).Round(time.Millisecond))
		}
	}
}
