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

func TestSeldomWarns(t *testing.T) {
	t.Parallel()
	var s Seldom
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	for range 1000 {
		s.Warn(log, "it fails", "err", "broken")
	}
	if lines := strings.Count(said.String(), "\n"); lines != 1 || !strings.Contains(said.String(), `msg="it fails" err=broken times=1`) {
		t.Errorf("%d lines: %s", lines, &said)
	}
}
