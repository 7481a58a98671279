package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// next receives the next packet of a device.
func next(t *testing.T, c *client.Conn) protocol.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p, err := c.Receive(ctx)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return p
}

func TestPushWithEachAckMode(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	c := n.Dial(t, "dev-1", "alice")
	for _, test := range []struct {
		ack   protocol.AckMode
		flags protocol.Flags
		want  protocol.Outcome
	}{
		{protocol.AckNone, 0, protocol.OutcomeSent},
		{protocol.AckAuto, protocol.FlagAutoAck, protocol.OutcomeAcked},
		{protocol.AckBiz, protocol.FlagBizAck, protocol.OutcomeAcked},
	} {
		done := n.Send(t, cluster.Push{Content: []byte("hello"), Ack: test.ack}, "alice")
		p := next(t, c)
		if p.Command != protocol.CmdPush || string(p.Body) != "hello" || p.Flags&(protocol.FlagAutoAck|protocol.FlagBizAck) != test.flags {
			t.Fatalf("ack %s: device got %s %q with flags %d", test.ack, p.Command, p.Body, p.Flags)
		}
		if test.ack != protocol.AckNone {
			if err := c.Ack(p.SessionID); err != nil {
				t.Fatal(err)
			}
		}
		r := servertest.Outcome(t, done)
		if r.Outcome != test.want || r.Node != "node-1" || r.Deliveries[test.want] != 1 {
			t.Errorf("ack %s: %+v, want %s", test.ack, r, test.want)
		}
		if r.Stages[protocol.StageQueued].IsZero() || r.Stages[protocol.StageWritten].IsZero() {
			t.Errorf("ack %s: stages %v", test.ack, r.Stages)
		}
		if acked := !r.Stages[protocol.StageAcked].IsZero(); acked != (test.ack != protocol.AckNone) {
			t.Errorf("ack %s: acked stage is %v", test.ack, r.Stages[protocol.StageAcked])
		}
	}
}
