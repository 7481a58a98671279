//go:build linux

package cluster

import (
	"syscall"
	"testing"
	"time"
)

// others picks pushes over the API to users who were not on the node that fails.
func others(f *failure, m *sent) bool {
	return m.entry == viaAPI && m.user != "" && !f.on(f.victim, m.user)
}

// broken is what may become of messages to a node that dies: its gateway says nothing
// more, a link has no answer, a device is away until it finds another node.
var broken = []string{"node_lost", "failed", "offline", "ack_timeout", "cut off", "no answer"}

// TestNodesFail: processes of nodes are killed, stopped and started anew.
func TestNodesFail(t *testing.T) {
	w := startWorld(t)
	for _, sc := range []scenario{
		{name: "killed", goesOn: others, losses: broken, fail: func(t *testing.T, w *world, f *failure) {
			f.victim.kill(t)
			f.lasts(3 * time.Second)
			checkGone(t, w, f.gone) // others do that: their node is not there to do it
			f.victim.start(t)
		}},
		{name: "stopped for longer than its session", goesOn: others, losses: broken, fail: func(t *testing.T, w *world, f *failure) {
			f.victim.signal(t, syscall.SIGSTOP)
			f.lasts(10 * time.Second)
			f.victim.signal(t, syscall.SIGCONT)
		}},
		{name: "all started anew one after the other", goesOn: others, losses: []string{"offline", "gateway: failed", "gateway: cut off"}, fail: func(t *testing.T, w *world, f *failure) {
			for _, n := range w.nodes {
				n.terminate(t)
				n.start(t)
				eventually(t, "the cluster is whole", w.incomplete)
				eventually(t, "all devices are connected", w.crowd.missing)
			}
		}},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, w) })
	}
}
