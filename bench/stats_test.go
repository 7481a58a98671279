package bench

import (
	"math"
	"slices"
	"testing"
	"testing/quick"
	"time"
)

func TestSpreadOf(t *testing.T) {
	for _, tt := range []struct {
		samples []float64
		want    Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{2, 1}, Spread{1.25, 1.5, 1.75, 2}},
		{[]float64{5, 1, 4, 2, 3}, Spread{2, 3, 4, 5}},
		{[]float64{1, 1, 1, 100}, Spread{1, 1, 25.75, 4}},
	} {
		before := slices.Clone(tt.samples)
		if got := spreadOf(tt.samples); got != tt.want {
			t.Errorf("spreadOf(%v) = %+v, want %+v", tt.samples, got, tt.want)
		}
		if !slices.Equal(before, tt.samples) {
			t.Errorf("spreadOf changed its samples from %v to %v", before, tt.samples)
		}
	}
}

func TestSpreadIsOrdered(t *testing.T) {
	ordered := func(samples []float64) bool {
		for i, s := range samples { // half the range, so that differences stay finite
			samples[i] = math.Mod(s, 1e300)
		}
		s := spreadOf(samples)
		return s.Q1 <= s.Median && s.Median <= s.Q3 && s.N == len(samples)
	}
	if err := quick.Check(ordered, nil); err != nil {
		t.Error(err)
	}
}

func TestSlope(t *testing.T) {
	for _, tt := range []struct {
		low, high     int
		atLow, atHigh float64
		want          float64
	}{
		{2000, 15000, 20e6, 72e6, 4000},
		{1, 2, 5, 5, 0},
		{7, 7, 1, 9, 0},
		{10, 20, 100, 50, -5},
	} {
		if got := slope(tt.low, tt.high, tt.atLow, tt.atHigh); got != tt.want {
			t.Errorf("slope(%d, %d, %v, %v) = %v, want %v", tt.low, tt.high, tt.atLow, tt.atHigh, got, tt.want)
		}
	}
}

func TestLatencyOf(t *testing.T) {
	h := newHistogram()
	for i := range 1000 {
		record(h, time.Duration(i+1)*time.Microsecond)
	}
	got := latencyOf(h)
	for _, tt := range []struct {
		name      string
		got, want float64
	}{
		{"p50", got.P50, 500}, {"p90", got.P90, 900}, {"p99", got.P99, 990}, {"p999", got.P999, 999}, {"max", got.Max, 1000},
	} {
		if math.Abs(tt.got-tt.want) > tt.want/500 {
			t.Errorf("%s = %v us, want %v within 0.2 %%", tt.name, tt.got, tt.want)
		}
	}
	if got.N != 1000 {
		t.Errorf("n = %d, want 1000", got.N)
	}
}

func TestRecordTakesAnything(t *testing.T) {
	h := newHistogram()
	for _, d := range []time.Duration{-time.Hour, 0, 1, longestLatency, longestLatency + 1, math.MaxInt64, math.MinInt64} {
		record(h, d)
	}
	if got := h.TotalCount(); got != 7 {
		t.Errorf("%d values were counted, want 7", got)
	}
}

func TestMedianLatency(t *testing.T) {
	got := medianLatency([]Latency{
		{P50: 1, P90: 20, P99: 3, P999: 40, Max: 5, N: 10},
		{P50: 3, P90: 10, P99: 2, P999: 60, Max: 9, N: 20},
		{P50: 2, P90: 30, P99: 1, P999: 50, Max: 7, N: 30},
	})
	if want := (Latency{P50: 2, P90: 20, P99: 2, P999: 50, Max: 7, N: 60}); got != want {
		t.Errorf("medianLatency = %+v, want %+v", got, want)
	}
}
