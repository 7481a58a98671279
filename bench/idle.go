package bench

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Idle measures the memory of the server at two counts of logged-in devices that
// say nothing. The slope between them is what one device costs. With all devices there
// it also measures what a scrape of the metrics takes.
type Idle struct {
	Common
	Devices int           `default:"15000" help:"Devices at the second measurement."`
	From    int           `default:"2000" help:"Devices at the first measurement."`
	Rest    time.Duration `default:"0s" help:"Time to leave the server alone before each measurement; Go collects an idle heap after two minutes."`
	Settle  time.Duration `default:"60s" help:"Longest time to wait after that until the memory no longer moves."`
}

// IdleReport is what [Idle] found.
type IdleReport struct {
	// BytesPerDevice is the slope of the resident memory.
	BytesPerDevice float64 `json:"bytes_per_device"`
	// HeapPerDevice is the slope of the heap in use, StackPerDevice of the stacks.
	HeapPerDevice  float64 `json:"heap_bytes_per_device"`
	StackPerDevice float64 `json:"stack_bytes_per_device"`
	// Goroutines is the slope of their number.
	Goroutines float64 `json:"goroutines_per_device"`
	// LoginsPerSecond is the rate of full logins between the two measurements, and
	// CPUPerLogin what each took of the server, in microseconds.
	LoginsPerSecond float64 `json:"logins_per_second"`
	CPUPerLogin     float64 `json:"cpu_us_per_login"`
	Retried         int     `json:"retried_logins"`
	// Scrape is a page of metrics with all devices there.
	Scrape  ScrapeReport `json:"scrape"`
	Samples []IdleSample `json:"samples"`
}

// IdleSample is the server at one count of devices.
type IdleSample struct {
	Devices    int     `json:"devices"`
	RSS        int64   `json:"rss_bytes"`
	Heap       float64 `json:"heap_bytes"`
	Stack      float64 `json:"stack_bytes"`
	Goroutines float64 `json:"goroutines"`
}

// Run measures and prints.
func (i *Idle) Run(ctx context.Context) error {
	return i.run(ctx, func(ctx context.Context) (report, error) { return i.measure(ctx) })
}

func (i *Idle) measure(ctx context.Context) (*IdleReport, error) {
	if err := checkDevices(i.Devices); err != nil {
		return nil, err
	}
	if i.From < 1 || i.From >= i.Devices {
		return nil, fmt.Errorf("--from=%d: want 1 to %d, fewer than --devices", i.From, i.Devices-1)
	}
	server, err := i.open(ctx)
	if err != nil {
		return nil, err
	}
	defer server.close()
	devices, err := i.devices(ctx, server.device, "push")
	if err != nil {
		return nil, err
	}
	defer devices.close()
	return i.sampleTwice(ctx, server, devices)
}

func (i *Idle) sampleTwice(ctx context.Context, server *target, devices *child) (*IdleReport, error) {
	i.progress("idle: logging in %d devices", i.From)
	if _, err := devices.ask(ctx, order{Op: opConnect, Devices: i.From}); err != nil {
		return nil, err
	}
	low, err := i.sample(ctx, server, i.From)
	if err != nil {
		return nil, err
	}
	before, err := server.usage(ctx)
	if err != nil {
		return nil, err
	}
	i.progress("idle: logging in %d devices", i.Devices)
	up, err := devices.ask(ctx, order{Op: opConnect, Devices: i.Devices})
	if err != nil {
		return nil, err
	}
	after, err := server.usage(ctx)
	if err != nil {
		return nil, err
	}
	high, err := i.sample(ctx, server, i.Devices)
	if err != nil {
		return nil, err
	}
	found := compareIdle(low, high)
	if found.Scrape, err = scrapePage(ctx, "http://"+server.ops+"/metrics"); err != nil {
		return nil, err
	}
	logins := float64(i.Devices - i.From)
	found.LoginsPerSecond = logins / up.Seconds
	found.CPUPerLogin = float64((after.CPU - before.CPU).Microseconds()) / logins
	found.Retried = up.Retried
	return found, nil
}

// compareIdle takes the slopes between two samples.
func compareIdle(low, high IdleSample) *IdleReport {
	per := func(atLow, atHigh float64) float64 { return slope(low.Devices, high.Devices, atLow, atHigh) }
	return &IdleReport{
		BytesPerDevice: per(float64(low.RSS), float64(high.RSS)),
		HeapPerDevice:  per(low.Heap, high.Heap),
		StackPerDevice: per(low.Stack, high.Stack),
		Goroutines:     per(low.Goroutines, high.Goroutines),
		Samples:        []IdleSample{low, high},
	}
}

// sample reads the meters once the memory is steady.
func (i *Idle) sample(ctx context.Context, server *target, devices int) (IdleSample, error) {
	if err := rest(ctx, i.Rest); err != nil {
		return IdleSample{}, err
	}
	rss, err := steadyMemory(ctx, i.Settle, func() (int64, error) {
		u, err := server.usage(ctx)
		return u.RSS, err
	})
	if err != nil {
		return IdleSample{}, err
	}
	page, err := server.metrics(ctx)
	if err != nil {
		return IdleSample{}, err
	}
	if held := page.sum("fanfare_connections"); int(held) < devices {
		return IdleSample{}, fmt.Errorf("the server holds %.0f of %d connections", held, devices)
	}
	return IdleSample{
		Devices: devices, RSS: rss, Goroutines: page["go_goroutines"],
		Heap: page["go_memstats_heap_inuse_bytes"], Stack: page["go_memstats_stack_inuse_bytes"],
	}, nil
}

// rest waits.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// steadyMemory reads until the values of 22 seconds, longer than a node takes to give
// memory back after a wave of logins, differ by less than
// half a percent, or until the time is over, and returns the last.
func steadyMemory(ctx context.Context, most time.Duration, read func() (int64, error)) (int64, error) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(most)
	var first int64
	for same := 0; ; same++ {
		rss, err := read()
		if err != nil {
			return 0, err
		}
		if difference := max(rss-first, first-rss); difference*200 > rss {
			first, same = rss, 0
		}
		if same >= 88 || !time.Now().Before(deadline) {
			return rss, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (r *IdleReport) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "idle devices\tRSS MB\theap MB\tstack MB\tgoroutines\t")
	for _, s := range r.Samples {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.1f\t%.0f\t\n", s.Devices, float64(s.RSS)/1e6, s.Heap/1e6, s.Stack/1e6, s.Goroutines)
	}
	fmt.Fprintf(t, "each\t%.0f B\t%.0f B\t%.0f B\t%.2f\t\n", r.BytesPerDevice, r.HeapPerDevice, r.StackPerDevice, r.Goroutines)
	t.Flush()
	fmt.Fprintf(w, "%.0f logins/s, %.0f us of the server's processor each, %d retried\n", r.LoginsPerSecond, r.CPUPerLogin, r.Retried)
	s := r.Scrape
	fmt.Fprintf(w, "a scrape: %.1f ms (median of %d), %d series, %d bytes, %d as sent\n\n", s.Milliseconds.Median, s.Milliseconds.N, s.Series, s.Bytes, s.Sent)
}
