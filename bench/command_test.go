package bench

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestRefusedFlags(t *testing.T) {
	for _, tt := range []struct{ flags, says string }{
		{"idle --devices=0", "--devices=0"},
		{"idle --devices=10 --from=10", "--from=10"},
		{"idle --devices=10 --from=5 --target=192.0.2.1:3000", "--yes-remote"},
		{"unicast --rate=0", "--rate=0"},
		{"unicast --rate=1e9", "--rate=1e+09"},
		{"unicast --seconds=0", "--seconds=0"},
		{"unicast --seconds=100000000", "--seconds=100000000"},
		{"unicast --size=5", "--size=5"},
		{"unicast --runs=0", "--runs=0"},
		{"unicast --producer=pigeon", "--producer"},
		{"unicast --devices=5 --target=127.0.0.1:1 --target-gateway=192.0.2.1:1", "--yes-remote"},
		{"broadcast --pairs=0", "--pairs=0"},
		{"broadcast --size=9000", "--size=9000"},
		{"broadcast --devices=2000000", "--devices=2000000"},
		{"books --messages=0", "--messages=0"},
		{"books --frozen=60 --vanish=60", "--frozen=60"},
		{"books --ack-time=2h", "--ack-time=2h"},
		{"all --scale=0", "--scale=0"},
		{"devices", "--address"},
		{"devices --address=127.0.0.1:1 --mode=nap", "--mode"},
		{"devices --address=127.0.0.1:1 --parallel=0", "--parallel=0"},
		{"bare-server --listen=0.0.0.0:0", "--yes-remote"},
	} {
		err := command(patience(t), strings.Fields(tt.flags)...)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("bench %s: %v, want something about %s", tt.flags, err, tt.says)
		}
	}
}

func TestCommonBoundsTheTime(t *testing.T) {
	c := Common{Timeout: time.Millisecond}
	err := c.run(t.Context(), func(ctx context.Context) (report, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	if err == nil || !strings.Contains(err.Error(), "--timeout=1ms") {
		t.Errorf("a scenario that hangs: %v", err)
	}
}

// sampleAll is a report with a figure in every place.
func sampleAll() *AllReport {
	run := UnicastRun{Latency: Latency{P50: 30, P90: 60, P99: 900, P999: 2000, Max: 3000, N: 10}, Sent: 10, Replies: Replies{OK: 9, Offline: 1}, Received: 9, Rate: 20_000, ServerCPU: 0.5, CPUPerPush: 25}
	runs := &ProducerRuns{Wanted: 20_000, Latency: run.Latency, Runs: []UnicastRun{run}}
	found := compareIdle(IdleSample{Devices: 2000, RSS: 30e6, Heap: 7e6, Stack: 4e6, Goroutines: 2026}, IdleSample{Devices: 15_000, RSS: 95e6, Heap: 40e6, Stack: 31e6, Goroutines: 15_026})
	broadcast := &Broadcast{Devices: 15_000, Size: 100, Rounds: 1}
	return &AllReport{
		Machine: Machine{OS: "linux", Processors: 2}, Idle: found, Unicast: &UnicastReport{Devices: 5000, Size: 100, Gateway: runs, API: runs},
		Broadcast: broadcast.compare(
			[]roundSample{{90 * time.Millisecond, time.Second, 15_000}, {75 * time.Millisecond, time.Second, 15_000}},
			[]roundSample{{60 * time.Millisecond, time.Second, 15_000}, {0, time.Second, 15_000}}),
	}
}

func TestAllReport(t *testing.T) {
	found := sampleAll()
	if got := found.Idle; got.BytesPerDevice != 5000 || got.Goroutines != 1 {
		t.Errorf("slopes %+v, want 5000 bytes and 1 goroutine", got)
	}
	if got := found.Broadcast; got.Ratio != (Spread{1.5, 1.5, 1.5, 1}) || got.ServerPerWrite.Median != 5.5 || got.Deliveries.Median != 15_000 {
		t.Errorf("comparison %+v: want the ratio 1.5 of the one pair that can be compared", got)
	}
	var table bytes.Buffer
	found.table(&table)
	for _, want := range []string{
		"idle devices", "5000 B", "through the gateway port", "through HTTP", "bare loop, us a write",
		"summary: 5000 B a device; p50 30 us, p99 900 us, p99.9 2000 us; broadcast 1.50 times the bare loop",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &table)
		}
	}
}

func TestAllUsesTheParametersOfTheTargets(t *testing.T) {
	a := &All{Scale: 1, Runs: 3, Pairs: 9}
	if i := a.idle(); i.Devices != 15_000 || i.From != 2000 {
		t.Errorf("idle %+v", i)
	}
	if u := a.unicast(); u.Devices != 5000 || u.Rate != 20_000 || u.check() != nil {
		t.Errorf("unicast %+v: %v", u, u.check())
	}
	if b := a.broadcast(); b.Devices != 15_000 || b.Size != 100 || b.Pairs < 7 {
		t.Errorf("broadcast %+v", b)
	}
}

func TestSteadyMemory(t *testing.T) {
	broken := errors.New("broken")
	if _, err := steadyMemory(patience(t), time.Minute, func() (int64, error) { return 0, broken }); err != broken {
		t.Errorf("an unreadable memory: %v", err)
	}
	growing := int64(1000)
	got, err := steadyMemory(patience(t), 600*time.Millisecond, func() (int64, error) { growing *= 2; return growing, nil })
	if err != nil || got != growing {
		t.Errorf("memory that never rests: %d, %v; want the last value %d", got, err, growing)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := steadyMemory(ended, time.Minute, func() (int64, error) { return 1, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}
