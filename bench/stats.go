package bench

import (
	"math"
	"slices"
)

// Spread is a sample of a measurement in three numbers.
type Spread struct {
	// Q1 is the lower quartile: a quarter of the samples are below it.
	Q1 float64 `json:"q1"`
	// Median is the middle of the samples.
	Median float64 `json:"median"`
	// Q3 is the upper quartile: a quarter of the samples are above it.
	Q3 float64 `json:"q3"`
	// N is the number of samples.
	N int `json:"n"`
}

// spreadOf summarises the samples, which it does not change. No samples give zeros.
func spreadOf(samples []float64) Spread {
	sorted := slices.Sorted(slices.Values(samples))
	return Spread{
		Q1:     quantile(sorted, 0.25),
		Median: quantile(sorted, 0.5),
		Q3:     quantile(sorted, 0.75),
		N:      len(sorted),
	}
}

// quantile interpolates between the two sorted samples next to rank q*(n-1).
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := q * float64(len(sorted)-1)
	low := int(math.Floor(rank))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (sorted[high]-sorted[low])*(rank-float64(low))
}

// slope is what each further device costs: the difference of a measurement at two
// counts of devices, so that the fixed cost of the process drops out.
func slope(low, high int, atLow, atHigh float64) float64 {
	if high == low {
		return 0
	}
	return (atHigh - atLow) / float64(high-low)
}
