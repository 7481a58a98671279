package exporter

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// seldomPause is the least time between two lines about the same.
const seldomPause = 5 * time.Second

// Seldom keeps what may happen thousands of times a second from flooding a log: it
// is for one kind of line, which it lets through at most once in five seconds. The
// zero value is ready. Its methods may be called from any goroutine.
type Seldom struct {
	mu    sync.Mutex
	next  time.Time
	times int // since the last line
}

// Warn logs a line if one is due, with "times", how often it was called since the last.
func (s *Seldom) Warn(log *slog.Logger, text string, args ...any) {
	s.say(log, slog.LevelWarn, text, args)
}

// Error is [Seldom.Warn] for what somebody has to look at.
func (s *Seldom) Error(log *slog.Logger, text string, args ...any) {
	s.say(log, slog.LevelError, text, args)
}

func (s *Seldom) say(log *slog.Logger, level slog.Level, text string, args []any) {
	if times := s.Due(time.Now()); times > 0 {
		log.Log(context.Background(), level, text, append(slices.Clip(args), "times", times)...)
	}
}

// Due counts an occurrence and returns how many there were since a line was due last,
// this one included, or 0 while that is too short ago.
func (s *Seldom) Due(now time.Time) (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times++
	if now.Before(s.next) {
		return 0
	}
	times, s.times = s.times, 0
	s.next = now.Add(seldomPause)
	return times
}
