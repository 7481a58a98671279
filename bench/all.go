package bench

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"
)

// All runs the scenarios of the project's speed targets with their parameters,
// each against a server of its own.
type All struct {
	Common
	Scale int `default:"1" help:"Divide the counts of devices by this, for a quick look."`
	Runs  int `default:"3" help:"Unicast runs with each producer."`
	Pairs int `default:"9" help:"Pairs of broadcast samples."`
}

// AllReport is the summary.
type AllReport struct {
	Machine   Machine          `json:"machine"`
	Idle      *IdleReport      `json:"idle"`
	Unicast   *UnicastReport   `json:"unicast"`
	Broadcast *BroadcastReport `json:"broadcast"`
}

// Machine says where the figures come from.
type Machine struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Processors int    `json:"processors"`
	Go         string `json:"go"`
	OpenFiles  uint64 `json:"open_files"`
	// Load is how many threads wanted to run in the last minute, 0 if unknown. More
	// than the processors, less the few that a scenario needs, and others disturb it.
	Load float64 `json:"load_average"`
}

// The parameters of the targets.
const (
	idleDevices, idleFrom = 15_000, 2_000
	unicastDevices        = 5_000
	unicastRate, apiRate  = 20_000, 2_000
	unicastSeconds        = 10
	broadcastDevices      = 15_000
	broadcastRounds       = 20
	contentBytes          = 100
	settleTime            = 60 * time.Second
	roundPatience         = 30 * time.Second
)

// Run measures and prints.
func (a *All) Run(ctx context.Context) error {
	return a.run(ctx, func(ctx context.Context) (report, error) { return a.measure(ctx) })
}

func (a *All) measure(ctx context.Context) (found *AllReport, err error) {
	if a.Scale < 1 || a.Scale > 100 {
		return nil, fmt.Errorf("--scale=%d: want 1 to 100", a.Scale)
	}
	found = &AllReport{Machine: Machine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), openFileLimit(), loadAverage()}}
	if found.Idle, err = a.idle().measure(ctx); err != nil {
		return nil, fmt.Errorf("idle: %w", err)
	}
	if found.Unicast, err = a.unicast().measure(ctx); err != nil {
		return nil, fmt.Errorf("unicast: %w", err)
	}
	if found.Broadcast, err = a.broadcast().measure(ctx); err != nil {
		return nil, fmt.Errorf("broadcast: %w", err)
	}
	return found, nil
}

func (a *All) idle() *Idle {
	return &Idle{Common: a.Common, Devices: idleDevices / a.Scale, From: idleFrom / a.Scale, Settle: settleTime}
}

func (a *All) unicast() *Unicast {
	return &Unicast{
		Common: a.Common, Devices: unicastDevices / a.Scale, Rate: unicastRate, APIRate: apiRate, Seconds: unicastSeconds,
		Runs: a.Runs, Size: contentBytes, Producer: "both", Burst: 64, Workers: 16,
	}
}

func (a *All) broadcast() *Broadcast {
	return &Broadcast{
		Common: a.Common, Devices: broadcastDevices / a.Scale, Size: contentBytes, Pairs: a.Pairs, Rounds: broadcastRounds, Patient: roundPatience,
	}
}

func (r *AllReport) table(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "%s/%s, %d processors, %s, %d open files a process, load average %.1f before; server and clients share the processors\n\n",
		m.OS, m.Arch, m.Processors, m.Go, m.OpenFiles, m.Load)
	r.Idle.table(w)
	r.Unicast.table(w)
	r.Broadcast.table(w)
	latency := r.Unicast.Gateway.Latency
	fmt.Fprintf(w, "summary: %.0f B a device; p50 %.0f us, p99 %.0f us, p99.9 %.0f us; broadcast %.2f times the bare loop\n",
		r.Idle.BytesPerDevice, latency.P50, latency.P99, latency.P999, r.Broadcast.Ratio.Median)
}
