package store

import (
	"context"
	"time"
)

// The rest of [Store]: what nodes tell each other has nobody to hear it here.

// Restore implements [Store].
func (s *Embedded) Restore(context.Context, []UserRoute) (map[int]Route, error) { return nil, nil }

// Sweep implements [Store].
func (s *Embedded) Sweep(context.Context, int, string, func(string, Route) bool) (SweepReport, error) {
	return SweepReport{}, nil
}

// OnlineUsers implements [Store].
func (s *Embedded) OnlineUsers(context.Context, string) (int, error) { return s.Online(), nil }

// Lease implements [Store].
func (s *Embedded) Lease(context.Context, string, time.Duration) (bool, error) { return true, nil }

// SendKick implements [Store].
func (s *Embedded) SendKick(context.Context, Kick) error { return nil }

// Kicks implements [Store].
func (s *Embedded) Kicks(string, func(Kick), func()) (stop func()) { return func() {} }

// Task implements [Store].
func (s *Embedded) Task(context.Context, string, int) (TaskState, error) {
	return TaskState{Rate: DefaultTaskRate}, nil
}

// TaskReached implements [Store].
func (s *Embedded) TaskReached(context.Context, string, []string) error { return nil }

// Ping implements [Store].
func (s *Embedded) Ping(context.Context) error { return s.Err() }

var _ Store = (*Embedded)(nil)
