package cluster_test

import (
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// TestLinkComparesClocks: ours goes wrong by 90 seconds in either direction.
func TestLinkComparesClocks(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for _, wrong := range []time.Duration{-90 * time.Second, 90 * time.Second} {
		l := dial(t, peerOf(n, n.GatewayAddress()), func(o *cluster.LinkOptions) {
			o.Now = func() time.Time { return time.Now().Add(wrong) }
		})
		servertest.Eventually(t, "the clock is known", func() bool { return l.Info().SkewKnown })
		if skew := l.Info().Skew; skew < -wrong-45*time.Second || skew > -wrong+45*time.Second {
			t.Errorf("our clock is wrong by %v: skew %v", wrong, skew)
		}
		l.Lost()
		if l.Info().SkewKnown {
			t.Error("the clock of a lost node is known")
		}
	}
}

// TestNodeWithoutAClock: a node of an earlier version tells none, and its info is good.
func TestNodeWithoutAClock(t *testing.T) {
	t.Parallel()
	l := dial(t, script(t, cluster.LinkVersion, func(c *scriptedConn) {
		if !c.greet(protocol.LinkReady{Window: 1}) {
			return
		}
		_, _ = c.Write(protocol.AppendPacket(nil, protocol.Packet{
			Command: protocol.CmdLinkInfo, Body: []byte(`{"id":"scripted","connections":7,"later":{}}`)}))
		for {
			if _, ok := c.next(); !ok {
				return
			}
		}
	}))
	servertest.Eventually(t, "the info has come", func() bool { return l.Info().Connections == 7 })
	if info := l.Info(); info.SkewKnown || info.Skew != 0 {
		t.Errorf("info %+v", info)
	}
}
