//go:build unix

package backing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// StartSentinel runs a Redis master, a replica of it and three sentinels that watch
// them and take the replica a second after the master is gone. It returns the
// addresses of the sentinels, the name under which they know the master, and the two
// servers, the first master first. args go to both servers.
func StartSentinel(t testing.TB, args ...string) (sentinels []string, master string, nodes []*Redis) {
	t.Helper()
	const name = "fanfare"
	first := StartRedis(t, args...)
	host, port, _ := strings.Cut(first.Addr, ":")
	replica := StartRedis(t, append([]string{"--replicaof", host + " " + port, "--repl-diskless-sync-delay", "0"}, args...)...)
	until(t, "the replica follows its master", func() bool {
		return strings.Contains(replica.Text("INFO", "replication"), "master_link_status:up")
	})
	var watchers []*Redis
	for range 3 {
		watchers = append(watchers, startSentinel(t, name, host, port))
	}
	for _, w := range watchers {
		sentinels = append(sentinels, w.Addr)
		until(t, "the sentinels know each other and the replica", func() bool {
			info := w.Text("INFO", "sentinel")
			return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=1,sentinels=3")
		})
	}
	return sentinels, name, []*Redis{first, replica}
}

func startSentinel(t testing.TB, name, host, port string) *Redis {
	t.Helper()
	config := strings.Join([]string{
		"sentinel monitor " + name + " " + host + " " + port + " 2",
		"sentinel down-after-milliseconds " + name + " 1000",
		"sentinel failover-timeout " + name + " 3000", "",
	}, "\n")
	path := require(t, "redis", "redis-server", "redis-server")
	r := newRedis(t, path, nil)
	file := filepath.Join(r.dir, "sentinel.conf") // sentinels keep their state in it
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, own, _ := strings.Cut(r.Addr, ":")
	r.args = []string{file, "--sentinel", "--port", own, "--bind", "127.0.0.1", "--dir", r.dir, "--protected-mode", "no"}
	r.start()
	if err := r.await(r.answers); err != nil {
		t.Fatal(err)
	}
	return r
}
