package bench

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Books loads a server with a mixture of pushes while some devices have stopped
// reading and others vanish, and then looks whether its ledger balances: every
// accepted message must have ended in exactly one outcome.
type Books struct {
	Common
	Devices  int           `default:"1000" help:"Logged-in devices."`
	Messages int           `default:"100000" help:"Messages to send."`
	Frozen   float64       `default:"1" help:"Percentage of devices that never read."`
	Vanish   float64       `default:"5" help:"Percentage of devices that close their connection half-way."`
	Rate     float64       `default:"20000" help:"Messages a second."`
	AckTime  time.Duration `default:"10s" help:"How long the server waits for an ack."`
	Settle   time.Duration `default:"60s" help:"Longest time until every message must have ended."`
	Seed     uint64        `default:"1" help:"Seed of the mixture."`
}

// BooksReport is what [Books] found.
type BooksReport struct {
	Sent     int64              `json:"sent"`
	Replies  Replies            `json:"replies"`
	Accepted float64            `json:"accepted"`
	InFlight float64            `json:"in_flight"`
	Stored   float64            `json:"stored"`
	Outcomes map[string]float64 `json:"outcomes"`
	Received int64              `json:"received"` // messages that devices read, each broadcast counted by each
	Balanced bool               `json:"balanced"`
}

// Run measures, prints, and fails if the books do not balance.
func (b *Books) Run(ctx context.Context) error {
	var found *BooksReport
	err := b.run(ctx, func(ctx context.Context) (report, error) {
		var err error
		found, err = b.measure(ctx)
		return found, err
	})
	if err == nil && !found.Balanced {
		return fmt.Errorf("the books do not balance: %.0f accepted, %.0f ended, %.0f in flight, %.0f stored",
			found.Accepted, found.ended(), found.InFlight, found.Stored)
	}
	return err
}

func (b *Books) check() error {
	if b.Messages < 1 || b.Messages > mostMessages || b.Rate <= 0 || b.Rate > 1e6 {
		return fmt.Errorf("--messages=%d --rate=%v: want 1 to %d, and at most a million a second", b.Messages, b.Rate, mostMessages)
	}
	if b.AckTime < 0 || b.AckTime > time.Hour {
		return fmt.Errorf("--ack-time=%v: want at most an hour", b.AckTime)
	}
	if b.Frozen < 0 || b.Vanish < 0 || b.Frozen+b.Vanish > 100 {
		return fmt.Errorf("--frozen=%v --vanish=%v: want percentages", b.Frozen, b.Vanish)
	}
	return checkDevices(b.Devices)
}

func (b *Books) share(percent float64) int { return int(float64(b.Devices) * percent / 100) }

func (b *Books) measure(ctx context.Context) (*BooksReport, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	server, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	defer server.close()
	devices, err := b.devices(ctx, server.device, "push", "--frozen", fmt.Sprint(b.share(b.Frozen)))
	if err != nil {
		return nil, err
	}
	defer devices.close()
	b.progress("books: logging in %d devices", b.Devices)
	if _, err := devices.ask(ctx, order{Op: opConnect, Devices: b.Devices}); err != nil {
		return nil, err
	}
	g, err := dialGateway(ctx, server.gateway)
	if err != nil {
		return nil, err
	}
	defer g.close()
	g.wait = b.AckTime
	return b.load(ctx, server, devices, g)
}

// load sends one half, lets devices vanish, sends the other half and reads the books.
func (b *Books) load(ctx context.Context, server *target, devices *child, g *gateway) (*BooksReport, error) {
	before, err := server.metrics(ctx)
	if err != nil {
		return nil, err
	}
	mixture := rand.New(rand.NewPCG(b.Seed, 0))
	first := b.Messages / 2
	b.progress("books: sending %d messages", b.Messages)
	if err := b.send(ctx, g, first, mixture); err != nil {
		return nil, err
	}
	if _, err := devices.ask(ctx, order{Op: opVanish, Devices: b.share(b.Vanish)}); err != nil {
		return nil, err
	}
	if err := b.send(ctx, g, b.Messages-first, mixture); err != nil {
		return nil, err
	}
	found, err := b.settled(ctx, server, before)
	if err != nil {
		return nil, err
	}
	arrived, err := devices.ask(ctx, order{Op: opReport})
	found.Sent, found.Replies, found.Received = g.sent, g.counted(), arrived.Units
	return found, err
}

// send pushes count messages of the mixture: 1 in 1000 to everybody, the rest to
// one user, a third of them with each ack mode.
func (b *Books) send(ctx context.Context, g *gateway, count int, mixture *rand.Rand) error {
	if count == 0 {
		return nil
	}
	modes := []protocol.AckMode{protocol.AckNone, protocol.AckAuto, protocol.AckBiz}
	schedule := newPace(time.Now(), b.Rate, time.Duration(float64(count)/b.Rate*float64(time.Second)))
	schedule.total = count
	return schedule.run(ctx, 64, func(first, n int) error {
		for number := first; number < first+n; number++ {
			user, mode := userOf(mixture.IntN(b.Devices)), modes[mixture.IntN(len(modes))]
			if mixture.IntN(1000) == 0 {
				user = ""
			}
			if err := g.queue(user, mode, appendPayload(nil, number, contentBytes, time.Now())); err != nil {
				return err
			}
		}
		return g.flush(ctx)
	})
}

// settled reads the books until nothing is in flight or the time is over.
func (b *Books) settled(ctx context.Context, server *target, before metrics) (*BooksReport, error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(b.Settle)
	for {
		page, err := server.metrics(ctx)
		if err != nil {
			return nil, err
		}
		found := readBooks(before, page)
		if found.Balanced || !time.Now().Before(deadline) {
			return found, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// readBooks compares two pages of metrics.
func readBooks(before, after metrics) *BooksReport {
	b := &BooksReport{
		Accepted: after.sum("fanfare_messages_accepted_total") - before.sum("fanfare_messages_accepted_total"),
		InFlight: after["fanfare_messages_in_flight"],
		Stored:   after["fanfare_messages_stored"],
		Outcomes: after.byLabel("fanfare_messages_total", "outcome"),
	}
	for outcome, count := range before.byLabel("fanfare_messages_total", "outcome") {
		b.Outcomes[outcome] -= count
	}
	b.Balanced = b.InFlight == 0 && b.Accepted == b.ended()+b.Stored
	return b
}

func (r *BooksReport) ended() float64 {
	var total float64
	for _, count := range r.Outcomes {
		total += count
	}
	return total
}

func (r *BooksReport) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "sent\t%d\t\naccepted\t%.0f\t\n", r.Sent, r.Accepted)
	for _, outcome := range slices.Sorted(maps.Keys(r.Outcomes)) {
		if r.Outcomes[outcome] != 0 {
			fmt.Fprintf(t, "%s\t%.0f\t\n", outcome, r.Outcomes[outcome])
		}
	}
	fmt.Fprintf(t, "ended\t%.0f\t\nin flight\t%.0f\t\nstored\t%.0f\t\n", r.ended(), r.InFlight, r.Stored)
	t.Flush()
	fmt.Fprintf(w, "replies %+v; devices read %d messages\n", r.Replies, r.Received)
	fmt.Fprintln(w, strings.ToUpper(map[bool]string{true: "the books balance", false: "the books do not balance"}[r.Balanced]))
}
