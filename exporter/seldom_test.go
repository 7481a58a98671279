package exporter

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	t.Parallel()
	var s Seldom
	start := time.Now()
	for i, step := range []struct {
		at   time.Duration
		want int
	}{{0, 1}, {1, 0}, {seldomPause - 1, 0}, {seldomPause, 3}, {seldomPause + 1, 0}, {3 * seldomPause, 2}} {
		if got := s.Due(start.Add(step.at)); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
}

func TestSeldomLogs(t *testing.T) {
	t.Parallel()
	for level, say := range map[string]func(*Seldom, *slog.Logger, string, ...any){"WARN": (*Seldom).Warn, "ERROR": (*Seldom).Error} {
		var s Seldom
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		for range 1000 {
			say(&s, log, "it fails", "err", "broken")
		}
		if lines := strings.Count(said.String(), "\n"); lines != 1 || !strings.Contains(said.String(), "level="+level+` msg="it fails" err=broken times=1`) {
			t.Errorf("%s: %d lines: %s", level, lines, &said)
		}
	}
}
