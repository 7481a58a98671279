//go:build unix

package backing

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const clusterSlots = 16384

// StartRedisCluster runs n masters that share the slots of a Redis Cluster evenly,
// in the order of the result, and waits until each of them knows that.
func StartRedisCluster(t testing.TB, n int, args ...string) []*Redis {
	t.Helper()
	nodes := make([]*Redis, n)
	buses := make([]string, n)
	for i := range nodes {
		buses[i] = strconv.Itoa(FreePort(t))
		nodes[i] = StartRedis(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", buses[i], "--cluster-node-timeout", "2000",
			"--cluster-config-file", "nodes.conf",
		}, args...)...)
		from, to := i*clusterSlots/n, (i+1)*clusterSlots/n-1
		nodes[i].Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to))
		nodes[i].Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for i, node := range nodes[1:] {
		host, port, _ := strings.Cut(node.Addr, ":")
		nodes[0].Do("CLUSTER", "MEET", host, port, buses[i+1])
	}
	for _, node := range nodes {
		until(t, "the Redis cluster forms", func() bool {
			info := node.Text("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_size:%d\r", n))
		})
	}
	return nodes
}

// until polls for a condition of something that has just been started.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
	}
}
