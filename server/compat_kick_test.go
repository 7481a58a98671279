package server_test

import (
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// Checks 32 and 33: a second device of the class kicks the first, which is told
// with its own device id and stays connected; other classes do not kick.
func TestCompatKick(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first, second string
		kicks         bool
	}{
		"android, ios":     {"android", "ios", true},
		"ios, ios":         {"ios", "ios", true},
		"windows, mac":     {"Windows 10", "mac", true},
		"web, h5":          {"web", "h5", true},
		"unknown, unknown": {"symbian", "brew", true},
		"android, windows": {"android", "windows", false},
		"android, web":     {"android", "web", false},
		"linux, h5":        {"linux", "h5", false},
		"ios, unknown":     {"ios", "symbian", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := servertest.Start(t)
			first := device(t, n, "dev-1", test.first, "alice")
			device(t, n, "dev-2", test.second, "alice")
			if test.kicks {
				if session := first.wantSealed(13, 1, join(short("dev-1"), short("alice"))); session != 0 {
					t.Errorf("KICK has session id %d, want 0", session)
				}
			}
			first.wantQuiet()
		})
	}
}

// What a kicked connection may still do. Nothing reaches it, neither a push nor a
// broadcast, and nothing that it does touches the device that took its place.
func TestCompatKickedConnection(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	victim := device(t, n, "dev-1", "android", "alice")
	winner := device(t, n, "dev-2", "ios", "alice")
	victim.wantSealed(13, 1, join(short("dev-1"), short("alice")))
	for _, user := range []string{"alice", ""} {
		r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("x")}, user))
		if r.Deliveries[protocol.OutcomeSent] != 1 {
			t.Errorf("push to %q: %v, want one delivery", user, r.Deliveries)
		}
		winner.wantSealed(15, 1, []byte("x"))
	}
	victim.wantQuiet()

	victim.send(raw(6, 0, 5, bindBody("alice", "", ""))) // what the Android service does
	victim.want(raw(11, 0, 5, okBody(6, "unbind success")))
	if r := onlyRoute(t, n, "alice"); !r.Online || r.DeviceID != "dev-2" {
		t.Errorf("after the victim's UNBIND the route is %+v", r)
	}
	_ = victim.nc.Close()
	servertest.Eventually(t, "the victim is gone", func() bool { return n.Info().Connections == 1 })
	n.Send(t, cluster.Push{Content: []byte("y")}, "alice")
	winner.wantSealed(15, 1, []byte("y"))
}

// A kicked device that binds again takes the user back.
func TestCompatKickBack(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	first := device(t, n, "dev-1", "android", "alice")
	second := device(t, n, "dev-2", "ios", "alice")
	first.wantSealed(13, 1, join(short("dev-1"), short("alice")))
	first.bind("alice", "")
	second.wantSealed(13, 1, join(short("dev-2"), short("alice")))
	if r := onlyRoute(t, n, "alice"); r.DeviceID != "dev-1" || !r.Online {
		t.Errorf("the route is %+v", r)
	}
}
