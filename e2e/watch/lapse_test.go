//go:build linux

package watch

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// usualFactor is by how much time is lapsed unless FANFARE_WATCH_SCALE says otherwise.
const usualFactor = 15

// Bounds of what may be lapsed. Prometheus discovers and scrapes no faster than makes
// sense, and a rate of a range with fewer scrapes in it is nothing.
const (
	shortestInterval = time.Second
	scrapesInRange   = 4
)

// longestWait is the most that a rule or a group of messages waits in lapsed time: what
// takes an hour or more is lapsed further.
const longestWait = 45 * time.Second

// lapse makes durations shorter.
type lapse struct{ factor float64 }

func lapseOfEnvironment(t testing.TB) lapse {
	t.Helper()
	text := os.Getenv("FANFARE_WATCH_SCALE")
	if text == "" {
		return lapse{usualFactor}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 1 || f > 100 {
		t.Fatalf("FANFARE_WATCH_SCALE is %q, not a number from 1 to 100", text)
	}
	return lapse{f}
}

// of is a duration in lapsed time, whole milliseconds, at least one unless it is nothing.
func (l lapse) of(d time.Duration) time.Duration {
	if d <= 0 || l.factor == 1 {
		return d
	}
	return max(time.Duration(float64(d)/l.factor).Round(time.Millisecond), time.Millisecond)
}

// wait is how long something has to last before anybody is told.
func (l lapse) wait(d time.Duration) time.Duration {
	if l.factor == 1 {
		return d
	}
	return min(l.of(d), longestWait)
}

// interval is how often something happens, which has a lower bound.
func (l lapse) interval(d time.Duration) time.Duration {
	return max(l.of(d), min(d, shortestInterval))
}

// span is the range of an expression over samples that come at an interval in lapsed
// time. It keeps as many samples as it had, but for more than a few.
func (l lapse) span(d, scrape time.Duration) time.Duration {
	return max(l.of(d), min(d, scrapesInRange*scrape))
}

// parseDuration reads a duration as Prometheus writes them.
func parseDuration(text string) (time.Duration, error) {
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}

func formatDuration(d time.Duration) string { return model.Duration(d).String() }

// number divides a number of seconds.
func (l lapse) number(text string) (string, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", fmt.Errorf("a number of seconds: %w", err)
	}
	return strconv.FormatFloat(f/l.factor, 'g', 6, 64), nil
}
