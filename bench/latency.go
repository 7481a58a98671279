package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longestLatency is the top of the histogram; what takes longer counts as this.
const longestLatency = time.Minute

// Latency is a distribution of delays in microseconds.
type Latency struct {
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
	N    int64   `json:"n"`
}

// newHistogram counts nanoseconds up to [longestLatency], to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(longestLatency), 3)
}

// record counts d. Clocks of two processes can disagree by a hair, so what would
// be negative is the smallest value, and what is off the scale is the largest.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	clamped := min(max(d, 1), longestLatency)
	if err := h.RecordValue(int64(clamped)); err != nil {
		panic(fmt.Sprintf("bench: %v cannot be off the scale: %v", clamped, err))
	}
}

// latencyOf summarises a histogram of nanoseconds.
func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(percent float64) float64 { return float64(h.ValueAtPercentile(percent)) / 1000 }
	return Latency{
		P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: float64(h.Max()) / 1000, N: h.TotalCount(),
	}
}

// medianLatency takes the median of each figure over several runs.
func medianLatency(runs []Latency) Latency {
	of := func(figure func(Latency) float64) float64 {
		samples := make([]float64, len(runs))
		for i, run := range runs {
			samples[i] = figure(run)
		}
		return spreadOf(samples).Median
	}
	median := Latency{
		P50:  of(func(l Latency) float64 { return l.P50 }),
		P90:  of(func(l Latency) float64 { return l.P90 }),
		P99:  of(func(l Latency) float64 { return l.P99 }),
		P999: of(func(l Latency) float64 { return l.P999 }),
		Max:  of(func(l Latency) float64 { return l.Max }),
	}
	for _, run := range runs {
		median.N += run.N
	}
	return median
}
