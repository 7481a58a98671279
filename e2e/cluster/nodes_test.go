//go:build linux

package cluster

import (
	"testing"
	"time"

	"syscall"
)

// others picks pushes over the API to users who were not on the node that fails.
func others(f *failure, m *sent) bool {
	return m.entry == viaAPI && m.user != "" && !f.on(f.victim, m.user)
}

// TestNodesFail: processes of nodes are killed, stopped and started anew.
func TestNodesFail(t *testing.T) {
	w := startWorld(t)
	for i, sc := range []scenario{
		{name: "killed", goesOn: others, fail: func(t *testing.T, w *world, f *failure) {
			f.victim.kill(t)
			eventually(t, "all devices are on the other nodes", w.crowd.missing)
			f.victim.start(t)
		}},
		{name: "stopped for longer than its session", goesOn: others, fail: func(t *testing.T, w *world, f *failure) {
			f.victim.signal(t, syscall.SIGSTOP)
			f.lasts(10 * time.Second)
			f.victim.signal(t, syscall.SIGCONT)
		}},
		{name: "all started anew one after the other", goesOn: others, fail: func(t *testing.T, w *world, f *failure) {
			for _, n := range w.nodes {
				n.terminate(t)
				n.start(t)
				eventually(t, "the cluster is whole", w.incomplete)
				eventually(t, "all devices are connected", w.crowd.missing)
			}
		}},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, w, w.nodes[i%nodes]) })
	}
}
