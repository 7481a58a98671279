package store

import (
	"context"
	"slices"
)

const (
	// maxTasks bounds the tasks that are known; over it the oldest is forgotten.
	maxTasks = 1000
	// maxReached bounds the users that tasks have reached, over all tasks; over it
	// the oldest tasks forget theirs.
	maxReached = 100_000
)

// tasks are the broadcasts with a task id, oldest first.
type tasks struct {
	byID    map[string]*task
	order   []string
	reached int
}

type task struct {
	sent    int
	reached []string
}

// get finds or makes a task.
func (t *tasks) get(id string) *task {
	if found := t.byID[id]; found != nil {
		return found
	}
	if len(t.order) == maxTasks {
		t.reached -= len(t.byID[t.order[0]].reached)
		delete(t.byID, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
	made := new(task)
	t.byID[id] = made
	t.order = append(t.order, id)
	return made
}

// add appends users to a task's list, at most maxReached of them.
func (t *tasks) add(id string, users []string) {
	users = users[max(0, len(users)-maxReached):]
	t.get(id).reached = append(t.get(id).reached, users...)
	t.reached += len(users)
	for _, oldest := range t.order {
		if t.reached <= maxReached {
			return
		}
		list := &t.byID[oldest].reached
		excess := min(t.reached-maxReached, len(*list))
		*list = slices.Delete(*list, 0, excess)
		t.reached -= excess
	}
}

// Task implements [Store]. Nobody can set another rate or cancel a task here.
func (s *Embedded) Task(_ context.Context, id string, sent int) (TaskState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return TaskState{}, ErrClosed
	}
	state := TaskState{Rate: DefaultTaskRate}
	if sent != 0 || s.tasks.byID[id] != nil {
		found := s.tasks.get(id)
		found.sent += sent
		state.Sent = found.sent
	}
	return state, nil
}

// TaskReached implements [Store].
func (s *Embedded) TaskReached(_ context.Context, id string, users []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if len(users) > 0 {
		s.tasks.add(id, users)
	}
	return nil
}

// TaskUsers are those that a task has reached, in order, as far as they are
// remembered: 100,000 over all tasks.
func (s *Embedded) TaskUsers(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.tasks.byID[id]; found != nil {
		return slices.Clone(found.reached)
	}
	return nil
}
