package bench

import (
	"encoding/json"
	"testing"
	"time"
)

// TestLoginRunTooShortToMeasure: a system that counts processor time in hundredths of a
// second sees none in a short run, which is no reason to lose the report.
func TestLoginRunTooShortToMeasure(t *testing.T) {
	for _, c := range []struct {
		busy time.Duration
		want LoginRun
	}{
		{20 * time.Millisecond, LoginRun{Logins: 50, Seconds: 0.5, PerSecond: 100, PerCore: 2500, MicrosecondsEach: 400}},
		{0, LoginRun{Logins: 50, Seconds: 0.5, PerSecond: 100}},
	} {
		got := loginRun(50, 500*time.Millisecond, c.busy)
		if got != c.want {
			t.Errorf("%v of the processor: got %+v, want %+v", c.busy, got, c.want)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%v of the processor: %v", c.busy, err)
		}
	}
}
