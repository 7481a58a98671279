package bench

import (
	"context"
	"time"
)

// pace is a schedule of equally spaced sends. Its producer asks again and again
// how many are due; one that fell behind may catch up.
type pace struct {
	start time.Time
	gap   time.Duration // between two sends
	total int           // sends in all
}

// newPace spreads rate sends a second over a time, from start on.
func newPace(start time.Time, rate float64, length time.Duration) pace {
	return pace{
		start: start,
		gap:   max(time.Duration(float64(time.Second)/rate), 1),
		total: max(int(rate*length.Seconds()), 1),
	}
}

// due is how many sends should have happened by now; the first is due at start.
func (p pace) due(now time.Time) int {
	if now.Before(p.start) {
		return 0
	}
	return min(int(now.Sub(p.start)/p.gap)+1, p.total)
}

// at is the time of send i, counted from 0.
func (p pace) at(i int) time.Time { return p.start.Add(time.Duration(i) * p.gap) }

// run calls send with the first number and the count of what is due, never more
// than most at once, until all were sent. It holds a thread of its own meanwhile,
// because the runtime's timers are too coarse for 20,000 a second.
func (p pace) run(ctx context.Context, most int, send func(first, count int) error) error {
	release := holdThread()
	defer release()
	for sent := 0; sent < p.total; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		now := time.Now()
		count := min(p.due(now)-sent, most)
		if count == 0 {
			sleepExactly(p.at(sent).Sub(now))
			continue
		}
		if err := send(sent, count); err != nil {
			return err
		}
		sent += count
	}
	return nil
}
