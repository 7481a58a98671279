//go:build linux

package watch

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fanfare-push/fanfare/client"
)

// clusterFaults are about what nodes and allocators know of each other, and what room
// they have.
func clusterFaults() []scenario {
	return []scenario{
		restartingFault(), strangeNamespaceFault(), unseenFault(), shrunkFault(), descriptorsFault(),
		{
			name: "an allocator has little memory left", how: "at the scrape", alerts: []string{"FanfareMemoryLow"},
			labels: map[string]string{"instance": "alloc-1:9999"}, names: []string{"alloc-1"},
			inject: func(_ *testing.T, s *stack) {
				limit, used := setValue("fanfare_memory_limit_bytes", 1e9), setValue("process_resident_memory_bytes", 0.95e9)
				s.allocators[0].scrape.fault("memory", trouble{path: "/metrics", lines: func(line string) string { return limit(used(line)) }})
			},
			repair: func(_ *testing.T, s *stack) { s.allocators[0].scrape.heal("memory") },
		},
		{
			name: "the clock of a node is five seconds fast", how: "at the scrape", alerts: []string{"FanfareClockSkew"},
			labels: map[string]string{"node": "node-2"}, names: []string{"node-2"},
			inject: func(_ *testing.T, s *stack) {
				s.allocators[0].scrape.fault("clock", trouble{path: "/metrics", lines: setValue(`fanfare_cluster_node_clock_skew_seconds{node="node-2"}`, 5)})
			},
			repair: func(_ *testing.T, s *stack) { s.allocators[0].scrape.heal("clock") },
		},
		{
			name: "an upgrade stopped half way", how: "at the scrape", alerts: []string{"FanfareVersionSpread"},
			inject: func(_ *testing.T, s *stack) {
				s.allocators[0].scrape.fault("versions", trouble{path: "/metrics", lines: setValue("fanfare_cluster_versions", 2)})
			},
			repair: func(_ *testing.T, s *stack) { s.allocators[0].scrape.heal("versions") },
		},
	}
}

// restartingFault has a node that dies again and again and is started each time.
func restartingFault() scenario {
	return scenario{
		name: "a push node dies again and again", how: "SIGKILL three times", alerts: []string{"FanfareNodeRestarting"},
		labels: map[string]string{"node": "node-3"}, names: []string{"node-3"}, needs: []string{"node-3"},
		also:   []string{"FanfareNodeDown", "ProbeFailed"}, // on a busy machine it is away for longer than it is there
		window: 15 * time.Minute,
		inject: func(t *testing.T, s *stack) {
			n := s.nodes[2]
			for range 3 {
				n.kill(t)
				n.start(t)
				s.awaitNode(t, n)
				s.awaitScrape(t, n)
			}
		},
		repair: func(*testing.T, *stack) {}, // it is left alone
	}
}

// awaitScrape waits until Prometheus has seen the present process of a node.
func (s *stack) awaitScrape(t *testing.T, n *node) {
	t.Helper()
	since := time.Now()
	eventually(t, n.id+" is scraped", func() string {
		seen := s.follower1.query(t, fmt.Sprintf(`timestamp(process_start_time_seconds{job="fanfare-node",node=%q})`, n.id))
		return unless(len(seen) == 1 && seen[0].value() > float64(since.UnixMilli())/1000, "last: %v", seen)
	})
}

// strangeNamespaceFault has an allocator that looks for the nodes where none are.
func strangeNamespaceFault() scenario {
	again := func(t *testing.T, a *allocator) {
		a.terminate(t)
		a.start(t)
		eventually(t, a.id+" serves", func() string { return ready(a.address) })
	}
	var usual []string
	return scenario{
		name: "an allocator looks for the nodes in another namespace", how: "registry.zookeeper.namespace", alerts: []string{"FanfareAllocatorNoNodes"},
		names: []string{"alloc-2"}, needs: []string{"alloc-2"},
		inject: func(t *testing.T, s *stack) {
			a := s.allocators[1]
			usual = a.args
			a.args = append(usual[:len(usual):len(usual)], "--set", "registry.zookeeper.namespace=elsewhere")
			again(t, a)
		},
		repair: func(t *testing.T, s *stack) { s.allocators[1].args = usual; again(t, s.allocators[1]) },
	}
}

// unseenFault cuts the way to the metrics of a node that serves.
func unseenFault() scenario {
	return scenario{
		name: "the port for metrics of a node is cut off", how: "its connections are closed", alone: true,
		// Two things that are true: nobody sees the node, and devices are sent there.
		alerts: []string{"FanfareAllocatorAnswersDeadNodes", "FanfareNodeDown"},
		labels: map[string]string{"node": "node-1"}, names: []string{"node-1"},
		inject: func(_ *testing.T, s *stack) { s.nodes[0].scrape.fault("unseen", trouble{drop: true}) },
		repair: func(_ *testing.T, s *stack) { s.nodes[0].scrape.heal("unseen") },
		during: func(t *testing.T, s *stack, began time.Time) {
			s.only(t, began, "FanfareAllocatorAnswersDeadNodes", "FanfareNodeDown")
		},
	}
}

// shrunkFault has two nodes of three leave in good order.
func shrunkFault() scenario {
	return scenario{
		name: "two of three nodes are drained", how: "drained", alerts: []string{"FanfareClusterShrunk"}, alone: true,
		// Ports that closed are still probed until discovery tells; that takes Prometheus up
		// to 5 s, however time is lapsed.
		also: []string{"ProbeFailed"},
		inject: func(t *testing.T, s *stack) {
			p, err := client.NewPusher(client.PusherOptions{URL: "http://" + s.allocators[0].address, Token: s.secret(t, "fanfare/api-tokens")})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for _, n := range s.nodes[1:] {
				if err := p.Drain(t.Context(), n.id, 0); err != nil {
					t.Fatal(err)
				}
			}
		},
		repair: func(t *testing.T, s *stack) { s.restart(t, s.nodes[1]); s.restart(t, s.nodes[2]) },
		during: func(t *testing.T, s *stack, began time.Time) { s.only(t, began, "FanfareClusterShrunk", "ProbeFailed") },
	}
}

// descriptorsFault has so many idle connections to an allocator that they take nearly all
// files that it may open. They are many so that those that come and go beside them, such
// as scrapes, do not matter.
func descriptorsFault() scenario {
	const (
		idle = 300
		room = 25 // files that can still be opened
	)
	var usual unix.Rlimit
	var conns []net.Conn
	stop := func() {}
	return scenario{
		name: "an allocator may hardly open more files", how: "300 idle connections, and prlimit", alerts: []string{"FanfareFileDescriptorsLow"},
		names: []string{"alloc-1"}, labels: map[string]string{"instance": "alloc-1:9999"}, needs: []string{"alloc-1"},
		inject: func(t *testing.T, s *stack) {
			a := s.allocators[0]
			before := openFiles(t, a.process)
			for range idle {
				conn, err := net.DialTimeout("tcp", a.address, patience)
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, conn)
			}
			stop = repeatedly(20*time.Second, func() { // so that none is idle for too long
				for _, conn := range conns {
					if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+a.address+"\r\n\r\n"); err != nil {
						t.Errorf("an idle connection to %s: %v", a.id, err)
						return
					}
				}
			})
			eventually(t, a.id+" has them all", func() string {
				open := openFiles(t, a.process)
				return unless(open >= before+idle*9/10, "%d files are open, before it were %d", open, before)
			})
			pid := a.command.Process.Pid
			if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &usual); err != nil {
				t.Fatal(err)
			}
			if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(openFiles(t, a.process) + room), Max: usual.Max}, nil); err != nil {
				t.Fatal(err)
			}
		},
		repair: func(t *testing.T, s *stack) {
			stop()
			for _, conn := range conns {
				_ = conn.Close() // always nil
			}
			if usual.Cur == 0 {
				return // not lowered
			}
			if err := unix.Prlimit(s.allocators[0].command.Process.Pid, unix.RLIMIT_NOFILE, &usual, nil); err != nil {
				t.Error(err)
			}
		},
	}
}

// openFiles is how many a process has open.
func openFiles(t *testing.T, p *process) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
