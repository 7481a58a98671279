package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// The values that [Backoff] fields have when they are zero.
const (
	DefaultBackoffMin    = time.Second
	DefaultBackoffMax    = 2 * time.Minute
	DefaultBackoffStable = time.Minute
)

// Backoff spaces the attempts to reconnect. Before attempt n (from 0) a device
// waits a random time of at most Min·2ⁿ, and of at most Max: when a node dies its
// devices come back spread over that time and not all at once.
type Backoff struct {
	Min    time.Duration // longest wait before the first attempt; default [DefaultBackoffMin]
	Max    time.Duration // longest wait of all; default [DefaultBackoffMax]
	Stable time.Duration // a connection that lasted this long starts the count again; default [DefaultBackoffStable]
}

func (b Backoff) check() error {
	switch {
	case b.Min < 0 || b.Max < 0 || b.Stable < 0:
		return &OptionError{"Backoff", "has a negative duration"}
	case b.Max > 0 && b.Max < b.Min:
		return &OptionError{"Backoff", "has a Max below its Min"}
	}
	return nil
}

func (b Backoff) filled() Backoff {
	orDefault(&b.Min, DefaultBackoffMin)
	if b.Max == 0 {
		b.Max = max(DefaultBackoffMax, b.Min)
	}
	orDefault(&b.Stable, DefaultBackoffStable)
	return b
}

// ceiling is the longest wait before attempt n.
func (b Backoff) ceiling(n int) time.Duration {
	wait := b.Min
	for ; n > 0 && wait < b.Max; n-- {
		if wait > b.Max/2 {
			return b.Max
		}
		wait *= 2
	}
	return min(wait, b.Max)
}

// wait is a random time in (0, ceiling(n)].
func (b Backoff) wait(n int) time.Duration { return 1 + rand.N(b.ceiling(n)) }

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
