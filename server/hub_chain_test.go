package server

import (
	"runtime"
	"sync"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
)

// A device that loses its user may bind another one at once. The user's other device
// stays where pushes find it.
func TestEvictedDeviceBindsAnother(t *testing.T) {
	onStage(t, func(*Options) {}, func(s *stage) {
		c, pc := s.join("bob", "android"), s.join("alice", "windows")
		for range 2000 {
			c.mu.Lock()
			s.hub.unbind("bob", c)
			c.user, c.evicted = "alice", protocol.CloseUnknown
			s.hub.bind("alice", c.device.class(), c)
			s.metrics.Bound(c.device.class()).Inc()
			c.mu.Unlock()
			var both sync.WaitGroup
			both.Go(func() { c.evict("alice", protocol.CloseReplaced) })
			both.Go(func() { // as enter does
				for {
					c.mu.Lock()
					if c.user == "" {
						c.user = "bob"
						s.hub.bind("bob", c.device.class(), c)
						c.mu.Unlock()
						return
					}
					c.mu.Unlock()
					runtime.Gosched()
				}
			})
			both.Wait()
			if s.Node.bound("alice", pc.name()) != pc {
				t.Error("the other device of the user is not found any more")
				return
			}
		}
	})
}
