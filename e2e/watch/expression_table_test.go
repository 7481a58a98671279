//go:build linux

package watch

import (
	"strings"
	"testing"
	"time"
)

// TestExpressionsLapse renders expressions as the shipped rules have them.
func TestExpressionsLapse(t *testing.T) {
	l := lapse{15}
	for _, c := range []struct{ from, to string }{
		{`up == 0`, `up == 0`},
		{`rate(fanfare_messages_total[5m])`, `rate(fanfare_messages_total[20s])`},
		{`rate(x[1m])`, `rate(x[4s])`},
		{`rate(x[30s]) > 30`, `rate(x[4s]) > 30`}, // four scrapes stay
		{`rate(x[2s])`, `rate(x[2s])`},
		{`x offset 1h`, `x offset 4m`},
		{`max_over_time(x[1h:15s])`, `max_over_time(x[4m:1s])`},
		{`max_over_time(x[1h:])`, `max_over_time(x[4m:])`},
		{`x[1h30m:5m] offset 1d`, `x[6m:20s] offset 1h36m`},
		{`x offset -5m`, `x offset -20s`},
		{`sum_over_time(global:x:rate5m[3d])`, `sum_over_time(global:x:rate5m[4h48m])`},
		{`x{window="5m",le="0.99"} > 5`, `x{window="5m",le="0.99"} > 5`},
		{`x{a=~"1h|[5m]"}`, `x{a=~"1h|[5m]"}`},
		{"x{a='\\'5m'} > `5m`", "x{a='\\'5m'} > `5m`"},
		{`node_load1 / count by (instance) (cpu5m) > 1e3`, `node_load1 / count by (instance) (cpu5m) > 1e3`},
		{"time() - x > 120 # seconds\n and y > 120", "time() - x > 8 # seconds\n and y > 120"},
		{"y > 120 # in a minute\nand time() - x > 90 # 90 seconds late", "y > 120 # in a minute\nand time() - x > 6 # 90 seconds late"},
		{`x < 0.05 # sekonds`, `x < 0.05 # sekonds`},
		{`a - -3 >= bool .5`, `a - -3 >= bool .5`},
		{`x @ end()`, `x @ end()`},
		{`x[90m]`, `x[6m]`},
		{`x > 0x1F`, `x > 0x1F`},
		{`x % 2 ^ 3 != 1`, `x % 2 ^ 3 != 1`},
	} {
		got, err := l.expression(c.from, time.Second, false)
		if err != nil || got != c.to {
			t.Errorf("%s: got %s, %v, want %s", c.from, got, err, c.to)
		}
		same, err := lapse{1}.expression(c.from, 15*time.Second, false)
		if err != nil || formatted(same) != formatted(c.from) {
			t.Errorf("%s in real time: got %s, %v", c.from, same, err)
		}
	}
	if got, err := l.expression("time() - x > 300", time.Second, true); err != nil || got != "time() - x > 20" {
		t.Errorf("with a comment outside: %s, %v", got, err)
	}
	for _, bad := range []string{`x{a="`, "x > `", "x ? y"} {
		if got, err := l.expression(bad, time.Second, false); err == nil {
			t.Errorf("%s: no error, but %s", bad, got)
		}
	}
}

// formatted has durations as Prometheus formats them, for those that do not change.
func formatted(expr string) string {
	return strings.NewReplacer("90m", "1h30m", "-5m", "-5m").Replace(expr)
}

// TestDurationsLapse has the bounds of each kind.
func TestDurationsLapse(t *testing.T) {
	l := lapse{15}
	for _, c := range []struct{ got, want time.Duration }{
		{l.of(0), 0},
		{l.of(30 * time.Second), 2 * time.Second},
		{l.of(10 * time.Second), 667 * time.Millisecond},
		{l.of(5 * time.Millisecond), time.Millisecond},
		{l.interval(15 * time.Second), time.Second},
		{l.interval(5 * time.Second), time.Second},
		{l.interval(500 * time.Millisecond), 500 * time.Millisecond},
		{l.interval(time.Minute), 4 * time.Second},
		{l.span(time.Minute, time.Second), 4 * time.Second},
		{l.span(15*time.Second, time.Second), 4 * time.Second},
		{l.span(2*time.Second, time.Second), 2 * time.Second},
		{lapse{1}.of(time.Hour), time.Hour},
		{lapse{1}.span(time.Minute, 15*time.Second), time.Minute},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}
