package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Unicast measures how long pushes to single users take at a steady rate, from
// just before the sender writes one until the device has decoded it. Sender and
// devices share the clock of this machine.
type Unicast struct {
	Common
	Devices  int     `default:"5000" help:"Logged-in devices, each its own user."`
	Rate     float64 `default:"20000" help:"Pushes a second over the gateway port."`
	APIRate  float64 `name:"api-rate" default:"2000" help:"Pushes a second over HTTP."`
	Seconds  int     `default:"10" help:"Length of a run."`
	Runs     int     `default:"3" help:"Runs with each producer; the summary has their medians."`
	Size     int     `default:"100" help:"Content bytes of a push."`
	Producer string  `default:"both" enum:"gateway,api,both" help:"How pushes enter the server: gateway, api or both."`
	Burst    int     `default:"64" help:"Most pushes in one write to the gateway port, when the sender is late."`
	Workers  int     `default:"16" help:"HTTP connections."`
	APIToken string  `name:"api-token" env:"FANFARE_BENCH_TOKEN" help:"Bearer token of the API of a --target."`
}

// UnicastReport is what [Unicast] found.
type UnicastReport struct {
	Devices int           `json:"devices"`
	Size    int           `json:"content_bytes"`
	Gateway *ProducerRuns `json:"gateway,omitempty"`
	API     *ProducerRuns `json:"api,omitempty"`
}

// ProducerRuns are the runs with one way into the server.
type ProducerRuns struct {
	Wanted  float64      `json:"wanted_per_second"`
	Latency Latency      `json:"median_latency"`
	Runs    []UnicastRun `json:"runs"`
}

// UnicastRun is one run.
type UnicastRun struct {
	Latency    Latency `json:"latency"`
	Sent       int64   `json:"sent"`
	Replies    Replies `json:"replies"`
	Received   int64   `json:"received"`   // different messages that arrived
	Lost       int64   `json:"lost"`       // sent and told to be fine, but not arrived
	Duplicates int64   `json:"duplicates"` // arrived again
	Ended      int     `json:"connections_ended"`
	Rate       float64 `json:"achieved_per_second"`
	ServerCPU  float64 `json:"server_cores"` // processors the server kept busy
	CPUPerPush float64 `json:"server_us_per_push"`
	// SenderCPU and DevicesCPU are the processors that the load generator itself kept
	// busy, 0 where that is not known. All three share the machine: when their sum
	// comes near its processors, pushes wait for a turn rather than for the server.
	SenderCPU  float64 `json:"sender_cores"`
	DevicesCPU float64 `json:"devices_cores"`
}

// Run measures and prints.
func (u *Unicast) Run(ctx context.Context) error {
	return u.run(ctx, func(ctx context.Context) (report, error) { return u.measure(ctx) })
}

func (u *Unicast) check() error {
	if u.Rate <= 0 || u.Rate > 1e6 || u.APIRate <= 0 || u.APIRate > 1e6 {
		return fmt.Errorf("--rate=%v --api-rate=%v: want more than 0 and at most a million", u.Rate, u.APIRate)
	}
	if u.Seconds < 1 || max(u.Rate, u.APIRate)*float64(u.Seconds) > mostMessages {
		return fmt.Errorf("--seconds=%d: want at least 1, and at most %d messages in a run", u.Seconds, mostMessages)
	}
	if u.Size < smallestLoad || u.Size > 8192 {
		return fmt.Errorf("--size=%d: want %d to 8192", u.Size, smallestLoad)
	}
	if u.Runs < 1 || u.Runs > 100 || u.Burst < 1 || u.Burst > mostOutstanding || u.Workers < 1 || u.Workers > 1000 {
		return fmt.Errorf("--runs=%d --burst=%d --workers=%d: out of range", u.Runs, u.Burst, u.Workers)
	}
	return checkDevices(u.Devices)
}

func (u *Unicast) measure(ctx context.Context) (*UnicastReport, error) {
	if err := u.check(); err != nil {
		return nil, err
	}
	server, err := u.open(ctx)
	if err != nil {
		return nil, err
	}
	defer server.close()
	numbers := int(max(u.Rate, u.APIRate))*u.Seconds + 1
	devices, err := u.devices(ctx, server.device, "push", "--numbers", fmt.Sprint(numbers))
	if err != nil {
		return nil, err
	}
	defer devices.close()
	u.progress("unicast: logging in %d devices", u.Devices)
	if _, err := devices.ask(ctx, order{Op: opConnect, Devices: u.Devices}); err != nil {
		return nil, err
	}
	return u.produce(ctx, &unicastRunner{u, server, devices})
}

// produce runs each wanted producer.
func (u *Unicast) produce(ctx context.Context, r *unicastRunner) (found *UnicastReport, err error) {
	found = &UnicastReport{Devices: u.Devices, Size: u.Size}
	if u.Producer != "api" {
		g, err := dialGateway(ctx, r.server.gateway)
		if err != nil {
			return nil, err
		}
		defer g.close()
		found.Gateway, err = r.runs(ctx, "gateway", u.Rate, func(ctx context.Context, load unicastLoad) (sentLoad, error) { return load.run(ctx, g) })
		if err != nil {
			return nil, err
		}
	}
	if u.Producer != "gateway" {
		a := newAPIProducer(r.server.api, u.APIToken, u.Workers)
		defer a.close()
		if found.API, err = r.runs(ctx, "api", u.APIRate, a.run); err != nil {
			return nil, err
		}
	}
	return found, nil
}

const (
	// warmup is sent before the first run and not counted: it grows heaps, opens
	// connections and fills caches.
	warmup = time.Second
	// straggling is how long a message may arrive after the last was sent.
	straggling = 5 * time.Second
)

// producer sends one paced load and waits for its replies.
type producer func(context.Context, unicastLoad) (sentLoad, error)

// unicastRunner has what all runs of a scenario share.
type unicastRunner struct {
	*Unicast
	server  *target
	devices *child
}

func (r *unicastRunner) runs(ctx context.Context, name string, rate float64, send producer) (*ProducerRuns, error) {
	if _, err := r.once(ctx, rate, warmup, send); err != nil {
		return nil, err
	}
	found := &ProducerRuns{Wanted: rate}
	var latencies []Latency
	for i := range r.Runs {
		run, err := r.once(ctx, rate, time.Duration(r.Seconds)*time.Second, send)
		if err != nil {
			return nil, err
		}
		r.progress("unicast: %s run %d of %d: %.0f/s, p50 %.0f us, p99 %.0f us, p99.9 %.0f us, %d lost", name, i+1, r.Runs,
			run.Rate, run.Latency.P50, run.Latency.P99, run.Latency.P999, run.Lost)
		found.Runs = append(found.Runs, run)
		latencies = append(latencies, run.Latency)
	}
	found.Latency = medianLatency(latencies)
	return found, nil
}

// once is a single run.
func (r *unicastRunner) once(ctx context.Context, rate float64, length time.Duration, send producer) (UnicastRun, error) {
	if _, err := r.devices.ask(ctx, order{Op: opReset}); err != nil {
		return UnicastRun{}, err
	}
	load := unicastLoad{users: r.Devices, size: r.Size, burst: r.Burst, pace: newPace(time.Now(), rate, length)}
	if _, err := r.devices.ask(ctx, order{Op: opExpect, Units: int64(load.pace.total)}); err != nil {
		return UnicastRun{}, err
	}
	before, err := r.clocks(ctx)
	if err != nil {
		return UnicastRun{}, err
	}
	sent, err := send(ctx, load)
	if err != nil {
		return UnicastRun{}, err
	}
	arrived, err := r.collect(ctx)
	if err != nil {
		return UnicastRun{}, err
	}
	after, err := r.clocks(ctx)
	if err != nil {
		return UnicastRun{}, err
	}
	return unicastRun(sent, arrived, after.minus(before))
}

// clocks is the processor time of the three processes of a run.
type clocks struct{ server, sender, devices time.Duration }

func (c clocks) minus(before clocks) clocks {
	return clocks{c.server - before.server, c.sender - before.sender, c.devices - before.devices}
}

func (r *unicastRunner) clocks(ctx context.Context) (clocks, error) {
	server, err := r.server.usage(ctx)
	if err != nil {
		return clocks{}, err
	}
	sender, err := processUsage(os.Getpid())
	if errors.Is(err, errors.ErrUnsupported) {
		return clocks{server: server.CPU}, nil
	}
	if err != nil {
		return clocks{}, err
	}
	devices, err := processUsage(r.devices.pid())
	return clocks{server.CPU, sender.CPU, devices.CPU}, err
}

// collect waits for stragglers and asks what has arrived.
func (r *unicastRunner) collect(ctx context.Context) (event, error) {
	patience, cancel := context.WithTimeout(ctx, straggling)
	defer cancel()
	_, err := r.devices.await(patience, opReached)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return event{}, err
	}
	return r.devices.ask(ctx, order{Op: opReport})
}

// unicastRun puts the two ends of a run together.
func unicastRun(sent sentLoad, arrived event, busy clocks) (UnicastRun, error) {
	delays, err := hdrhistogram.Decode(arrived.Histogram)
	if err != nil {
		return UnicastRun{}, fmt.Errorf("decode the delays: %w", err)
	}
	return UnicastRun{
		Latency: latencyOf(delays), Sent: sent.Sent, Replies: sent.Replies, Received: arrived.Distinct,
		Lost: max(sent.Replies.OK-arrived.Distinct, 0), Duplicates: arrived.Duplicates, Ended: arrived.Ended,
		Rate:       float64(sent.Sent) / sent.Elapsed.Seconds(),
		ServerCPU:  busy.server.Seconds() / sent.Elapsed.Seconds(),
		SenderCPU:  busy.sender.Seconds() / sent.Elapsed.Seconds(),
		DevicesCPU: busy.devices.Seconds() / sent.Elapsed.Seconds(),
		CPUPerPush: float64(busy.server.Microseconds()) / float64(max(sent.Sent, 1)),
	}, nil
}

func (r *UnicastReport) table(w io.Writer) {
	for _, producer := range []struct {
		name string
		runs *ProducerRuns
	}{{"the gateway port", r.Gateway}, {"HTTP", r.API}} {
		if producer.runs == nil {
			continue
		}
		fmt.Fprintf(w, "unicast of %d bytes over %d devices, %.0f/s wanted, through %s\n", r.Size, r.Devices, producer.runs.Wanted, producer.name)
		producer.runs.table(w)
	}
}

func (p *ProducerRuns) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "run\tsent/s\tp50 us\tp90 us\tp99 us\tp99.9 us\tmax us\trefused\tlost\ttwice\tserver cores\tus a push\tsender cores\tdevice cores\t")
	for i, run := range p.Runs {
		l := run.Latency
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%d\t%d\t%.2f\t%.1f\t%.2f\t%.2f\t\n", i+1, run.Rate, l.P50, l.P90, l.P99, l.P999, l.Max,
			run.Replies.total()-run.Replies.OK, run.Lost, run.Duplicates, run.ServerCPU, run.CPUPerPush, run.SenderCPU, run.DevicesCPU)
	}
	l := p.Latency
	fmt.Fprintf(t, "median\t\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t\t\t\t\t\t\t\t\n", l.P50, l.P90, l.P99, l.P999, l.Max)
	t.Flush()
	fmt.Fprintln(w)
}
