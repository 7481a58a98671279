//go:build linux

package cluster

import (
	"os"
	"testing"
	"time"
)

// atHome picks pushes that came to the gateway of the node where the user was: nobody
// else is needed for them.
func atHome(w *world) func(*failure, *sent) bool {
	return func(f *failure, m *sent) bool { return m.entry == viaGateway && f.on(w.nodes[m.via], m.user) }
}

// TestRedisFails: it is killed, loses everything, or says nothing.
func TestRedisFails(t *testing.T) {
	w := startWorld(t)
	for _, sc := range []scenario{
		{name: "killed and started with its data", fail: func(t *testing.T, w *world, f *failure) {
			w.redis.Kill()
			f.blind(t, "store", "registry", w.processes()...)
			f.lasts(time.Second)
			w.redis.Restart()
		}},
		{name: "killed and started without its data", fail: func(t *testing.T, w *world, f *failure) {
			dir := w.redis.Do("CONFIG", "GET", "dir").([]any)[1].(string)
			w.redis.Kill()
			if err := os.RemoveAll(dir + "/appendonlydir"); err != nil {
				t.Fatal(err)
			}
			f.blind(t, "store", "registry", w.processes()...)
			f.lasts(time.Second)
			w.redis.Restart()
		}},
		{name: "silent for 10 s", fail: func(t *testing.T, w *world, f *failure) {
			w.redis.Pause()
			f.blind(t, "store", "registry", w.processes()...)
			f.lasts(time.Until(f.began.Add(10 * time.Second)))
			w.redis.Resume()
		}},
	} {
		sc.intact, sc.goesOn, sc.losses = true, atHome(w), []string{"failed", "offline"}
		t.Run(sc.name, func(t *testing.T) { sc.run(t, w) })
	}
}
