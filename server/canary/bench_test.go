package canary_test

import (
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// BenchmarkCanary is one push to the own device of another node, all parts in this
// process: the entry point, Redis's client, both ends of the link, the node, the device.
func BenchmarkCanary(b *testing.B) {
	c := servertest.StartCluster(b, 2, withCanary)
	servertest.Eventually(b, "the canary is bound", func() bool { return len(c.Members[1].Node.Node.Devices("$canary.node-2")) == 1 })
	done := make(chan cluster.Result, 1)
	b.ReportAllocs()
	for b.Loop() {
		p := &cluster.Push{ID: "bench", Content: []byte("canary"), Ack: protocol.AckAuto, AckTimeout: timeout, Accepted: time.Now()}
		c.Members[0].Router.Push(p, protocol.CanaryUser("node-2"), result(done))
		if r := <-done; r.Outcome != protocol.OutcomeAcked {
			b.Fatalf("%+v", r)
		}
	}
}

// result is a tracker that passes the end on.
type result chan cluster.Result

func (r result) Reached(protocol.Stage, string, time.Time) {}
func (r result) Progress(cluster.Result)                   {}
func (r result) Done(res cluster.Result)                   { r <- res }
