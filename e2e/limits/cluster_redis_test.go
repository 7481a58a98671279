//go:build linux

package limits

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

const (
	storeDevices = 20              // that try to log in without end
	storeLoad    = 5 * time.Second // for how long
	storeLines   = 6               // that may be logged about it by a process in that time
)

// TestRedisRefuses runs a node and an allocator on a Redis that they may not use or
// that takes nothing, with devices that try to log in and pushes to them. The log says
// once which setting to look at, every push has an outcome, and once Redis is mended
// everything works without a start anew.
func TestRedisRefuses(t *testing.T) {
	t.Parallel()
	zookeeper := backing.StartZooKeeper(t).Addr
	user := []string{"store.redis.username=fanfare", "store.redis.password=the-password"}
	for name, c := range map[string]struct {
		settings []string
		spoil    func(*backing.Redis)
		mend     func(*backing.Redis)
		want     []string // in one line of the log, and on /-/ready
	}{
		"wrong password": {
			settings: user,
			spoil:    func(r *backing.Redis) { allow(t, r, "another-password") },
			mend:     func(r *backing.Redis) { allow(t, r, "the-password") },
			want:     []string{"store.redis.username", "store.redis.password", "WRONGPASS"},
		},
		"no permission": {
			settings: user,
			spoil:    func(r *backing.Redis) { r.Do("ACL", "SETUSER", "fanfare", "on", ">the-password", "~other:*", "+@all") },
			mend:     func(r *backing.Redis) { r.Do("ACL", "SETUSER", "fanfare", "reset"); allow(t, r, "the-password") },
			want:     []string{"store.redis.username needs", "mp:*", "/mpush/*", "NOPERM"},
		},
		"read-only replica": {
			spoil: func(r *backing.Redis) {
				host, port, _ := strings.Cut(backing.StartRedis(t).Addr, ":")
				r.Do("REPLICAOF", host, port)
			},
			mend: func(r *backing.Redis) { r.Do("REPLICAOF", "NO", "ONE") },
			want: []string{"takes no writes", "store.redis.addresses", "READONLY"},
		},
		"out of memory": {
			spoil: func(r *backing.Redis) { r.Do("CONFIG", "SET", "maxmemory", "1") },
			mend:  func(r *backing.Redis) { r.Do("CONFIG", "SET", "maxmemory", "0") },
			want:  []string{"takes no writes", "maxmemory", "OOM"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis := backing.StartRedis(t)
			c.spoil(redis)
			here := surroundings{redis.Addr, zookeeper, strings.ReplaceAll(name, " ", "-")}
			settings := append([]string{"limits.min_heartbeat=10s"}, c.settings...)
			n, a := here.startNode(t, "node-1", settings...), here.startAllocator(t, c.settings...)
			for _, p := range []*part{n, a} {
				p.isNotReady(t, append([]string{"store"}, c.want[1:]...)...)
			}
			crowd := n.crowd(t)
			pushWhile(t, a, storeLoad)
			for _, p := range []*part{n, a} {
				p.complains(t, storeLines, append([]string{"level=ERROR"}, c.want...)...)
				if log := p.stderr.String(); strings.Contains(log, "the-password") || strings.Contains(log, "the store is away: the store") {
					t.Errorf("log:\n%s", log)
				}
			}
			if failed := sumOf(n.metrics(t), "fanfare_store_duration_seconds_count", `result="error"`); failed == 0 {
				t.Error("no failure was counted")
			}
			if bound := crowd.bound(t); bound != 0 {
				t.Errorf("%d devices were logged in without a store", bound)
			}
			c.mend(redis)
			n.becomesReady(t)
			a.becomesReady(t)
			eventually(t, "all devices are logged in", func() bool { return crowd.bound(t) == storeDevices })
			reached(t, a)
			if n.logged("level=INFO", "the store is back") != 1 {
				t.Error("the log does not say that it is over")
			}
		})
	}
}

// allow gives the user of Redis the rights that docs/OPERATIONS.md names.
func allow(t *testing.T, r *backing.Redis, password string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "OPERATIONS.md"))
	must(t, err)
	line := regexp.MustCompile(`(?m)^ +(ACL SETUSER fanfare on >PASSWORD .*)$`).FindSubmatch(text)
	if line == nil {
		t.Fatal("docs/OPERATIONS.md has no list of rights")
	}
	r.Do(strings.Fields(strings.ReplaceAll(string(line[1]), "PASSWORD", password))...)
}

// crowd is devices that connect, and connect again, until the test ends.
type crowd struct {
	mu    sync.Mutex
	there map[string]bool
	ended []error
}

func userOf(i int) string { return fmt.Sprint("user-", i) }

func (p *part) crowd(t *testing.T) *crowd {
	t.Helper()
	key, err := os.ReadFile("../../cmd/fanfare/config/testdata/keys/public.pem")
	must(t, err)
	public, err := protocol.ParsePublicKey(key)
	must(t, err)
	c := &crowd{there: make(map[string]bool)}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	for i := range storeDevices {
		user := userOf(i)
		d, err := client.NewDevice(client.DeviceOptions{
			Address: p.device, PublicKey: public, DeviceID: "device-of-" + user, OSName: "android", User: user,
			SessionStore: new(client.MemorySessions),
			Backoff:      client.Backoff{Min: 100 * time.Millisecond, Max: 300 * time.Millisecond},
			OnState: func(s client.State, _ error) {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.there[user] = s == client.StateBound
			},
		})
		must(t, err)
		all.Go(func() {
			if err := d.Run(ctx); ctx.Err() == nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.ended = append(c.ended, err)
			}
		})
	}
	return c
}

// bound counts the devices that are logged in. None may have given up.
func (c *crowd) bound(t *testing.T) (count int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ended) > 0 {
		t.Fatalf("%d devices gave up: %v", len(c.ended), c.ended[0])
	}
	for _, there := range c.there {
		if there {
			count++
		}
	}
	return count
}

// pushWhile pushes to the users for some time; each push has to have an outcome.
func pushWhile(t *testing.T, a *part, long time.Duration) {
	t.Helper()
	pusher := a.pusher(t)
	outcomes := make(map[protocol.Outcome]int)
	for i, end := 0, time.Now().Add(long); time.Now().Before(end); i++ {
		result, err := pusher.Push(t.Context(), client.PushRequest{User: userOf(i % storeDevices), Content: []byte("x"), Wait: 5 * time.Second})
		if err != nil {
			t.Fatalf("push %d: %v", i, err)
		}
		outcomes[result.Outcome]++
		time.Sleep(20 * time.Millisecond) // the rate
	}
	t.Logf("the pushes ended as %v", outcomes)
	if outcomes[protocol.OutcomeFailed]+outcomes[protocol.OutcomeOffline] == 0 || len(outcomes) > 2 {
		t.Errorf("the pushes ended as %v", outcomes)
	}
}

// reached has every device acknowledge a push.
func reached(t *testing.T, a *part) {
	t.Helper()
	pusher := a.pusher(t)
	for i := range storeDevices {
		result, err := pusher.Push(t.Context(), client.PushRequest{
			User: userOf(i), Content: []byte("x"), Ack: protocol.AckAuto, Wait: 20 * time.Second})
		if err != nil || result.Outcome != protocol.OutcomeAcked {
			t.Errorf("%s: %s, %v", userOf(i), result.Outcome, err)
		}
	}
}

// sumOf adds up the series of a metric with that label.
func sumOf(series map[string]float64, metric, label string) (total float64) {
	for name, value := range series {
		if strings.HasPrefix(name, metric+"{") && strings.Contains(name, label) {
			total += value
		}
	}
	return total
}
