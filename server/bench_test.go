package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

func receiveAll(c *client.Conn) {
	for {
		p, err := c.Receive(context.Background())
		if err != nil {
			return
		}
		if protocol.AckModeOf(p.Flags) != protocol.AckNone {
			_ = c.Ack(p.SessionID)
		}
	}
}

// BenchmarkPush is one push of 100 bytes to one of a hundred devices, from the node's
// method to the end of the message.
func BenchmarkPush(b *testing.B) {
	for ack := range protocol.AckMode(protocol.NumAckModes - 1) {
		b.Run("ack="+ack.String(), func(b *testing.B) {
			const devices = 100
			n := servertest.Start(b)
			conns := make([]*client.Conn, devices)
			users := make([]string, devices)
			var wg sync.WaitGroup
			for i := range conns {
				users[i] = fmt.Sprintf("user-%d", i)
				conns[i] = n.Dial(b, fmt.Sprintf("device-%d", i), users[i])
				wg.Go(func() { receiveAll(conns[i]) })
			}
			p := &cluster.Push{ID: "bench", Content: make([]byte, 100), Ack: ack, Accepted: time.Now()}
			tokens := make(chan struct{}, 512)
			t := &tokenTracker{tokens}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				tokens <- struct{}{}
				n.Push(p, users[i%devices], t)
			}
			for range cap(tokens) {
				tokens <- struct{}{}
			}
			b.StopTimer()
			for _, c := range conns {
				_ = c.Close()
			}
			wg.Wait()
		})
	}
}

// tokenTracker gives a token back for each message that ended.
type tokenTracker struct{ tokens chan struct{} }

func (t *tokenTracker) Reached(protocol.Stage, string, time.Time) {}
func (t *tokenTracker) Progress(cluster.Result)                   {}
func (t *tokenTracker) Done(cluster.Result)                       { <-t.tokens }

// BenchmarkBroadcast is one broadcast of 100 bytes to 500 devices; the time is for
// each delivery.
func BenchmarkBroadcast(b *testing.B) {
	const devices = 500
	n := servertest.Start(b)
	conns := make([]*client.Conn, devices)
	var wg sync.WaitGroup
	for i := range conns {
		conns[i] = n.Dial(b, fmt.Sprintf("device-%d", i), fmt.Sprintf("user-%d", i))
		wg.Go(func() { receiveAll(conns[i]) })
	}
	p := &cluster.Push{ID: "bench", Content: make([]byte, 100), Accepted: time.Now()}
	tokens := make(chan struct{}, 1)
	t := &tokenTracker{tokens}
	b.ReportAllocs()
	b.ResetTimer()
	for range (b.N + devices - 1) / devices {
		tokens <- struct{}{}
		n.Broadcast(p, t)
	}
	tokens <- struct{}{}
	b.StopTimer()
	for _, c := range conns {
		_ = c.Close()
	}
	wg.Wait()
}
