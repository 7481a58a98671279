package server

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/exporter"
)

func TestCapacityKeepsFilesForOthers(t *testing.T) {
	for files, want := range map[int]int{20_000: 19_744, 1024: 768, 300: 150, 64: 32, 0: unlimited} {
		if got := fileCapacity(files); got != want {
			t.Errorf("%d files: %d devices, want %d", files, got, want)
		}
	}
}

func TestMoreThanTheFilesAllowIsCutDownAndSaid(t *testing.T) {
	var log strings.Builder
	n := &Node{log: slog.New(slog.NewTextHandler(&log, nil))}
	allowed := fileCapacity(exporter.OpenFileLimit())
	for _, c := range []struct{ asked, want int }{{0, allowed}, {1, 1}, {allowed, allowed}} {
		if got := n.capacityOf(c.asked); got != c.want || log.Len() > 0 {
			t.Errorf("asked for %d: %d, want %d; the log is\n%s", c.asked, got, c.want, &log)
		}
	}
	if got := n.capacityOf(allowed + 1); got != allowed || strings.Count(log.String(), "limits.max_connections") != 1 {
		t.Errorf("one more: %d, want %d; the log is\n%s", got, allowed, &log)
	}
}
