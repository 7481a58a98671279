package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// buildServer compiles the program that the scenarios measure.
func buildServer(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "fanfare")
	if runtime.GOOS == "windows" {
		exe += ".exe"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", exe, "../cmd/fanfare")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, said)
	}
	return exe
}

// common are the flags of a small scenario; its report goes to the buffer.
func common(exe string, out *bytes.Buffer) Common {
	return Common{
		Server: Server{ServerBinary: exe}, JSON: true, Timeout: 2 * time.Minute, Parallel: 8, Out: out, Log: new(bytes.Buffer),
	}
}

// ran runs a scenario and decodes its report.
func ran[R any](t *testing.T, out *bytes.Buffer, run func(context.Context) error) (found R) {
	t.Helper()
	if err := run(patience(t)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatalf("the report %s: %v", out, err)
	}
	return found
}

func TestScenarios(t *testing.T) {
	exe := buildServer(t)
	t.Run("idle", func(t *testing.T) {
		var out bytes.Buffer
		idle := &Idle{Common: common(exe, &out), Devices: 60, From: 20, Settle: time.Second}
		got := ran[IdleReport](t, &out, idle.Run)
		if len(got.Samples) != 2 || got.Samples[0].Devices != 20 || got.Samples[1].Devices != 60 || got.LoginsPerSecond <= 0 {
			t.Errorf("%+v", got)
		}
		if s := got.Scrape; s.Milliseconds.N != scrapes || s.Milliseconds.Median <= 0 || s.Series < 100 || s.Sent <= 0 || s.Bytes < s.Sent {
			t.Errorf("scrape %+v", s)
		}
		for _, s := range got.Samples {
			if s.RSS < 1<<20 || s.Heap <= 0 || s.Goroutines <= 0 {
				t.Errorf("sample %+v", s)
			}
		}
	})
	t.Run("unicast", func(t *testing.T) {
		var out bytes.Buffer
		unicast := &Unicast{
			Common: common(exe, &out), Devices: 20, Rate: 500, APIRate: 200, Seconds: 1, Runs: 2, Size: 100,
			Producer: "both", Burst: 8, Workers: 4,
		}
		got := ran[UnicastReport](t, &out, unicast.Run)
		checkRuns(t, "gateway", got.Gateway, 500)
		checkRuns(t, "api", got.API, 200)
	})
	t.Run("broadcast", func(t *testing.T) {
		var out bytes.Buffer
		broadcast := &Broadcast{Common: common(exe, &out), Devices: 30, Size: 100, Pairs: 3, Rounds: 4, Patient: time.Minute}
		if runtime.GOOS != "linux" {
			if err := broadcast.Run(patience(t)); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("on a system without /proc: %v", err)
			}
			return
		}
		got := ran[BroadcastReport](t, &out, broadcast.Run)
		if got.ServerPerWrite.N != 3 || got.Deliveries.Median <= 0 || got.BareWrites.Median <= 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("cluster", func(t *testing.T) {
		var out bytes.Buffer
		cluster := &Cluster{
			Common: common(exe, &out), Redis: backing.StartRedis(t).Addr, ZooKeeper: backing.StartZooKeeper(t).Addr, Scenario: "all",
			Rate: 200, Devices: 20, Seconds: 1, Runs: 2, Logins: 50, Crowd: 40, Others: 10,
		}
		got := ran[ClusterReport](t, &out, cluster.Run)
		checkRuns(t, "another node", got.Remote, 200)
		if l := got.Logins; l == nil || l.Full.PerSecond <= 0 || l.Resume.PerSecond <= 0 || l.Full.Logins != 50 {
			t.Errorf("logins %+v", l)
		}
		if f := got.Failover; f == nil || f.Failed != 0 || f.All < f.Half || f.All <= 0 || f.Served == 0 {
			t.Errorf("failover %+v", f)
		}
	})
	t.Run("books", func(t *testing.T) {
		var out bytes.Buffer
		books := &Books{
			Common: common(exe, &out), Devices: 50, Messages: 1000, Frozen: 2, Vanish: 6, Rate: 5000,
			AckTime: time.Second, Settle: 30 * time.Second, Seed: 7,
		}
		got := ran[BooksReport](t, &out, books.Run)
		if !got.Balanced || got.Sent != 1000 || got.Accepted != 1000 || got.ended() != 1000 || got.Received == 0 {
			t.Errorf("%+v", got)
		}
		if got.Outcomes["acked"] == 0 || got.Outcomes["sent"] == 0 || got.Outcomes["offline"] == 0 || got.Outcomes["ack_timeout"] == 0 {
			t.Errorf("the mixture lacks an outcome: %v", got.Outcomes)
		}
	})
	t.Run("running server", func(t *testing.T) { testRunningServer(t, exe) })
}

func checkRuns(t *testing.T, name string, got *ProducerRuns, sent int64) {
	t.Helper()
	if got == nil || len(got.Runs) != 2 || got.Wanted != float64(sent) {
		t.Fatalf("%s: %+v", name, got)
	}
	for _, run := range got.Runs {
		if run.Sent != sent || run.Replies.OK != sent || run.Received != sent || run.Lost != 0 || run.Duplicates != 0 || run.Ended != 0 {
			t.Errorf("%s: %+v", name, run)
		}
		if run.Latency.N != sent || run.Latency.P50 <= 0 || run.Latency.P50 > run.Latency.P999 {
			t.Errorf("%s: latency %+v", name, run.Latency)
		}
	}
}

// testRunningServer measures a server that somebody else runs.
func testRunningServer(t *testing.T, exe string) {
	running := must((&Server{ServerBinary: exe}).open(patience(t)))(t)
	defer running.close()
	var out bytes.Buffer
	flags := common("", &out)
	flags.Server = Server{Target: running.device, TargetGateway: running.gateway, TargetOps: running.ops, TargetAPI: running.api}
	unicast := &Unicast{
		Common: flags, Devices: 5, Rate: 100, APIRate: 100, Seconds: 1, Runs: 2, Size: 64, Producer: "api", Burst: 1, Workers: 2,
	}
	got := ran[UnicastReport](t, &out, unicast.Run)
	if got.Gateway != nil {
		t.Errorf("an unwanted producer ran: %+v", got.Gateway)
	}
	checkRuns(t, "api", got.API, 100)
	select {
	case <-running.process.exited:
		t.Error("a server that was not ours was ended")
	default:
	}
}

func TestServerThatCannotStart(t *testing.T) {
	exe := buildServer(t)
	_, err := (&Server{ServerBinary: exe, ServerSet: []string{"no.such_setting=1"}}).open(patience(t))
	if err == nil || !strings.Contains(err.Error(), "no.such_setting") {
		t.Errorf("a setting that does not exist: %v", err)
	}
	if _, err := (&Server{ServerBinary: filepath.Join(t.TempDir(), "none")}).open(patience(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that does not exist: %v", err)
	}
}
