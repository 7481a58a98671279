//go:build unix

package backing

import (
	"strings"
	"testing"
	"time"
)

func TestRedisLosesOrKeepsItsDataAsArgsSay(t *testing.T) {
	for name, args := range map[string][]string{"": nil, "kept": {"--appendonly", "yes", "--appendfsync", "always"}} {
		r := StartRedis(t, args...)
		r.Do("SET", "k", "kept")
		pid := r.Pid()
		r.Kill()
		if _, err := roundTrip(r.Addr, "PING"); err == nil {
			t.Error("a killed server answers")
		}
		r.Restart()
		got, _ := r.Do("GET", "k").(string)
		if got != name || r.Pid() == pid {
			t.Errorf("%v: %q after the restart, pid %d then %d", args, got, pid, r.Pid())
		}
	}
}

func TestPausedRedisSaysNothing(t *testing.T) {
	r := StartRedis(t)
	r.Pause()
	answered := make(chan error, 1)
	go func() {
		_, err := roundTrip(r.Addr, "PING")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("answered while paused: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	r.Resume()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestRedisThatCannotStartSaysWhy(t *testing.T) {
	r := newRedis(t, require(t, "redis", "redis-server", "redis-server"), []string{"--no-such-option", "1"})
	r.start()
	err := r.await(r.answers)
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Error(err)
	}
}

func TestRedisCluster(t *testing.T) {
	nodes := StartRedisCluster(t, 3)
	for _, node := range nodes {
		if slots, ok := node.Do("CLUSTER", "SLOTS").([]any); !ok || len(slots) != 3 {
			t.Errorf("%s: %v", node.Addr, slots)
		}
	}
}

func TestSentinelFailsOver(t *testing.T) {
	sentinels, _, nodes := StartSentinel(t)
	if len(sentinels) != 3 {
		t.Fatal(sentinels)
	}
	nodes[0].Kill()
	until(t, "the replica becomes master", func() bool {
		return strings.Contains(nodes[1].Text("INFO", "replication"), "role:master")
	})
}

func TestFreePortsDiffer(t *testing.T) {
	seen := make(map[int]bool)
	for range 100 {
		port := FreePort(t)
		if seen[port] {
			t.Fatalf("%d twice", port)
		}
		seen[port] = true
	}
}
