package store

import (
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	t.Parallel()
	var s seldom
	start := time.Now()
	for i, step := range []struct {
		about string
		at    time.Duration
		want  int
	}{
		{"a", 0, 1}, {"a", 1, 0}, {"b", 1, 1}, {"a", seldomPause - 1, 0}, {"a", seldomPause, 3}, {"a", seldomPause + 1, 0},
		{"b", 2 * seldomPause, 1},
	} {
		if got := s.due(step.about, start.Add(step.at)); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}
