package bench

import (
	"context"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// unicastLoad is a run of paced pushes to single users.
type unicastLoad struct {
	users int
	size  int // content bytes
	pace  pace
	burst int // most pushes in one write
}

// sentLoad is what a producer did.
type sentLoad struct {
	Sent    int64
	Replies Replies
	Elapsed time.Duration // until the last push was handed over
}

// run pushes to one user after the other, in an order without locality, and
// waits for every reply.
func (u unicastLoad) run(ctx context.Context, g *gateway) (sentLoad, error) {
	before, sent := g.counted(), g.sent
	err := u.pace.run(ctx, u.burst, func(first, count int) error {
		for number := first; number < first+count; number++ {
			content := appendPayload(nil, number, u.size, time.Now())
			if err := g.queue(userOf(scatter(number, u.users)), protocol.AckNone, content); err != nil {
				return err
			}
		}
		return g.flush(ctx)
	})
	done := sentLoad{Sent: g.sent - sent, Elapsed: time.Since(u.pace.start)}
	if err == nil {
		err = g.settle(ctx, 0)
	}
	done.Replies = g.counted().minus(before)
	return done, err
}

// scatter spreads consecutive numbers over n users so that neighbours are far
// apart; it is the same in every run.
func scatter(number, n int) int {
	mixed := uint64(number) * 0x9E3779B97F4A7C15
	return int((mixed >> 32) * uint64(n) >> 32)
}
