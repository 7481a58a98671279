package client

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestBackoffCeiling(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 10 * time.Second}
	for n, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if got := b.ceiling(n); got != want*time.Second {
			t.Errorf("ceiling(%d) = %v, want %v", n, got, want*time.Second)
		}
	}
	for _, huge := range []Backoff{{Min: time.Second, Max: math.MaxInt64}, {Min: math.MaxInt64, Max: math.MaxInt64}} {
		if got := huge.ceiling(1000); got != math.MaxInt64 {
			t.Errorf("ceiling(1000) of %+v = %v: overflow", huge, got)
		}
	}
}

func TestBackoffWaitIsSpreadOverTheWholeRange(t *testing.T) {
	b := Backoff{Min: time.Second, Max: 4 * time.Second}
	const rounds = 2000
	low, high := time.Duration(math.MaxInt64), time.Duration(0)
	for range rounds {
		w := b.wait(1)
		low, high = min(low, w), max(high, w)
	}
	if low <= 0 || high > 2*time.Second {
		t.Errorf("waits from %v to %v, want within (0, 2s]", low, high)
	}
	if low > 200*time.Millisecond || high < 1800*time.Millisecond {
		t.Errorf("waits from %v to %v are no full jitter", low, high)
	}
}

func TestBackoffDefaultsAndChecks(t *testing.T) {
	if got, want := (Backoff{}).filled(), (Backoff{DefaultBackoffMin, DefaultBackoffMax, DefaultBackoffStable}); got != want {
		t.Errorf("zero value fills to %+v", got)
	}
	if got := (Backoff{Min: time.Hour}).filled(); got.Max != time.Hour {
		t.Errorf("a long Min leaves Max at %v", got.Max)
	}
	for _, bad := range []Backoff{{Min: -1}, {Max: -1}, {Stable: -1}, {Min: 2, Max: 1}} {
		var option *OptionError
		if err := bad.check(); !errors.As(err, &option) || option.Option != "Backoff" {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
}
