//go:build linux

package cluster

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// beyondSession is long enough for a session in ZooKeeper to end.
const beyondSession = 6 * time.Second

// unicast picks everything that goes to single users.
func unicast(_ *failure, m *sent) bool { return m.user != "" }

// frozen waits and sees that nobody forgets a node meanwhile.
func frozen(t *testing.T, w *world, f *failure) {
	t.Helper()
	f.blind(t, "registry", "store", w.processes()...)
	for time.Since(f.began) < beyondSession {
		for _, a := range w.allocators {
			for _, path := range []string{"/", "/sd/prometheus"} {
				code, list, err := a.get(path)
				for _, n := range w.nodes {
					address := map[string]string{"/": n.device, "/sd/prometheus": n.http}[path]
					if err != nil || code != http.StatusOK || !strings.Contains(list, address) {
						t.Fatalf("%s%s answers %d, %s, %v", a.name, path, code, list, err)
					}
				}
			}
		}
		f.lasts(200 * time.Millisecond)
	}
}

// TestZooKeeperFails: it says nothing for longer than sessions last, or is killed.
func TestZooKeeperFails(t *testing.T) {
	w := startWorld(t)
	for _, sc := range []scenario{
		{name: "silent for longer than sessions last", fail: func(t *testing.T, w *world, f *failure) {
			w.zookeeper.Pause()
			frozen(t, w, f)
			w.zookeeper.Resume()
		}},
		{name: "killed and started again", fail: func(t *testing.T, w *world, f *failure) {
			w.zookeeper.Kill()
			frozen(t, w, f)
			w.zookeeper.Restart()
		}},
	} {
		sc.intact, sc.goesOn = true, unicast
		t.Run(sc.name, func(t *testing.T) { sc.run(t, w) })
	}
}

// TestNodeIsCut: one node cannot reach one part of the rest.
func TestNodeIsCut(t *testing.T) {
	w := startWorld(t)
	for _, sc := range []scenario{
		{name: "from ZooKeeper", goesOn: others, losses: []string{"offline", "node_lost", "failed"}, fail: func(t *testing.T, _ *world, f *failure) {
			f.victim.zookeeper.Cut()
			f.blind(t, "registry", "store", f.victim.process)
			f.lasts(time.Until(f.began.Add(beyondSession)))
			f.victim.zookeeper.Heal()
		}},
		{name: "from Redis", goesOn: others, losses: []string{"failed"}, fail: func(t *testing.T, _ *world, f *failure) {
			f.victim.redis.Cut()
			f.blind(t, "store", "registry", f.victim.process)
			f.lasts(time.Until(f.began.Add(beyondSession)))
			f.victim.redis.Heal()
		}},
		{name: "from its peers", goesOn: others, losses: []string{"node_lost", "failed"}, fail: func(_ *testing.T, w *world, f *failure) {
			w.cutPeers(f.victim)
			f.lasts(beyondSession)
			w.healPeers(f.victim)
		}},
	} {
		sc.intact = true
		t.Run(sc.name, func(t *testing.T) { sc.run(t, w) })
	}
}
