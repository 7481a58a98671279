package bench

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Broadcast compares the processor time of a broadcast with that of a bare loop
// of writes over as many sockets. Samples of both alternate within one run,
// because the speed of a shared machine changes from minute to minute.
type Broadcast struct {
	Common
	Devices int           `default:"15000" help:"Logged-in devices, and as many plain sockets."`
	Size    int           `default:"100" help:"Content bytes of the message."`
	Pairs   int           `default:"9" help:"Alternating pairs of samples."`
	Rounds  int           `default:"20" help:"Broadcasts in a sample; the kernel counts processor time in steps of 10 ms."`
	Patient time.Duration `default:"30s" help:"Longest time for one broadcast to arrive everywhere."`
}

// BroadcastReport is what [Broadcast] found.
type BroadcastReport struct {
	Devices int `json:"devices"`
	Size    int `json:"content_bytes"`
	Rounds  int `json:"broadcasts_per_sample"`
	// Ratio is the server's processor time over that of the bare loop, pair by pair.
	Ratio Spread `json:"cpu_ratio"`
	// ServerPerWrite and BarePerWrite are microseconds for each device and message.
	ServerPerWrite Spread `json:"server_us_per_delivery"`
	BarePerWrite   Spread `json:"bare_us_per_write"`
	// Deliveries and BareWrites are rates, from the first write until the last byte
	// was read by the devices.
	Deliveries Spread `json:"deliveries_per_second"`
	BareWrites Spread `json:"bare_writes_per_second"`
}

// Run measures and prints.
func (b *Broadcast) Run(ctx context.Context) error {
	return b.run(ctx, func(ctx context.Context) (report, error) { return b.measure(ctx) })
}

func (b *Broadcast) check() error {
	if b.Pairs < 1 || b.Pairs > 1000 || b.Rounds < 1 || b.Rounds > 10_000 {
		return fmt.Errorf("--pairs=%d --rounds=%d: want 1 to 1000 and 1 to 10000", b.Pairs, b.Rounds)
	}
	if b.Size < 1 || b.Size > 8192 {
		return fmt.Errorf("--size=%d: want 1 to 8192, which no server compresses", b.Size)
	}
	return checkDevices(b.Devices)
}

func (b *Broadcast) measure(ctx context.Context) (*BroadcastReport, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	server, err := b.openServerSide(ctx)
	if err != nil {
		return nil, err
	}
	defer server.close()
	bare, err := b.openBareSide(ctx)
	if err != nil {
		return nil, err
	}
	defer bare.close()
	return b.pairs(ctx, server, bare)
}

// pairs takes the samples. Who comes first changes from pair to pair.
func (b *Broadcast) pairs(ctx context.Context, server *serverSide, bare *bareSide) (*BroadcastReport, error) {
	var servers, bares []roundSample
	for pair := range b.Pairs {
		sides, results := []side{server, bare}, []*[]roundSample{&servers, &bares}
		for i := range sides {
			which := (i + pair) % 2
			sample, err := b.sample(ctx, sides[which])
			if err != nil {
				return nil, err
			}
			*results[which] = append(*results[which], sample)
		}
		b.progress("broadcast: pair %d of %d: server %.2f us, bare loop %.2f us for each delivery", pair+1, b.Pairs,
			servers[pair].perDelivery(), bares[pair].perDelivery())
	}
	return b.compare(servers, bares), nil
}

// side is one of the two programs that write.
type side interface {
	// round writes once to every socket and returns when all bytes have arrived.
	round(ctx context.Context) error
	// cpu is the processor time of the process that writes.
	cpu(ctx context.Context) (time.Duration, error)
}

// roundSample is the cost of some rounds.
type roundSample struct {
	cpu, elapsed time.Duration
	deliveries   int
}

func (s roundSample) perDelivery() float64 {
	return float64(s.cpu.Microseconds()) / float64(s.deliveries)
}
func (s roundSample) rate() float64 { return float64(s.deliveries) / s.elapsed.Seconds() }

// sample runs the rounds between two looks at the clock of the kernel.
func (b *Broadcast) sample(ctx context.Context, s side) (roundSample, error) {
	before, err := s.cpu(ctx)
	if err != nil {
		return roundSample{}, err
	}
	start := time.Now()
	for range b.Rounds {
		if err := b.patiently(ctx, s); err != nil {
			return roundSample{}, err
		}
	}
	elapsed := time.Since(start)
	after, err := s.cpu(ctx)
	return roundSample{cpu: after - before, elapsed: elapsed, deliveries: b.Rounds * b.Devices}, err
}

func (b *Broadcast) patiently(ctx context.Context, s side) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.Patient, fmt.Errorf("a round took longer than --patient=%v", b.Patient))
	defer cancel()
	return s.round(ctx)
}

// compare makes the report of as many samples of each side.
func (b *Broadcast) compare(servers, bares []roundSample) *BroadcastReport {
	var ratios, serverCost, bareCost, deliveries, writes []float64
	for i := range servers {
		serverCost = append(serverCost, servers[i].perDelivery())
		bareCost = append(bareCost, bares[i].perDelivery())
		deliveries = append(deliveries, servers[i].rate())
		writes = append(writes, bares[i].rate())
		if bares[i].cpu > 0 { // fewer than 10 ms of writes cannot be compared
			ratios = append(ratios, float64(servers[i].cpu)/float64(bares[i].cpu))
		}
	}
	return &BroadcastReport{
		Devices: b.Devices, Size: b.Size, Rounds: b.Rounds, Ratio: spreadOf(ratios),
		ServerPerWrite: spreadOf(serverCost), BarePerWrite: spreadOf(bareCost),
		Deliveries: spreadOf(deliveries), BareWrites: spreadOf(writes),
	}
}

func (r *BroadcastReport) table(w io.Writer) {
	fmt.Fprintf(w, "broadcast of %d bytes to %d devices, %d broadcasts a sample, %d pairs of samples\n", r.Size, r.Devices, r.Rounds, r.ServerPerWrite.N)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tlower quartile\tmedian\tupper quartile\t")
	for _, row := range []struct {
		name   string
		digits int
		s      Spread
	}{
		{"processor time, server / bare loop", 3, r.Ratio},
		{"server, us a delivery", 2, r.ServerPerWrite},
		{"bare loop, us a write", 2, r.BarePerWrite},
		{"server, deliveries/s", 0, r.Deliveries},
		{"bare loop, writes/s", 0, r.BareWrites},
	} {
		fmt.Fprintf(t, "%s\t%.*f\t%.*f\t%.*f\t\n", row.name, row.digits, row.s.Q1, row.digits, row.s.Median, row.digits, row.s.Q3)
	}
	t.Flush()
	fmt.Fprintln(w)
}
