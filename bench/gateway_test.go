package bench

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// reply is a frame as a gateway sends it.
func reply(t *testing.T, cmd protocol.Command, m protocol.Message) []byte {
	t.Helper()
	body := must(m.AppendBinary(nil))(t)
	return protocol.AppendPacket(nil, protocol.Packet{Command: cmd, SessionID: 1, Body: body})
}

// connectedGateway is a gateway connection and the other end of it.
func connectedGateway(t *testing.T) (*gateway, net.Conn) {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	g := must(dialGateway(patience(t), l.Addr().String()))(t)
	t.Cleanup(g.close)
	peer := must(l.Accept())(t)
	t.Cleanup(func() { peer.Close() })
	return g, peer
}

func TestGatewayCountsReplies(t *testing.T) {
	g, peer := connectedGateway(t)
	for range 5 {
		if err := g.queue("u", protocol.AckNone, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.flush(patience(t)); err != nil {
		t.Fatal(err)
	}
	answers := reply(t, protocol.CmdOK, &protocol.OK{Command: protocol.CmdGatewayPush})
	for _, code := range []protocol.Code{protocol.CodeOffline, protocol.CodePushFailure, protocol.CodeRouterChange, protocol.CodeOffline} {
		answers = append(answers, reply(t, protocol.CmdError, &protocol.Error{Command: protocol.CmdGatewayPush, Code: code})...)
	}
	for _, piece := range [][]byte{answers[:7], answers[7:40], answers[40:]} {
		must(peer.Write(piece))(t)
	}
	if err := g.settle(patience(t), 0); err != nil {
		t.Fatal(err)
	}
	want := Replies{OK: 1, Offline: 2, Failed: 1, Other: 1}
	if got := g.counted(); got != want || got.total() != 5 {
		t.Errorf("replies %+v, want %+v", got, want)
	}
}

func TestGatewaySendsPushes(t *testing.T) {
	g, peer := connectedGateway(t)
	check(t, g.queue("bench-7", protocol.AckBiz, []byte("hello")))
	check(t, g.flush(patience(t)))
	buf := make([]byte, 4096)
	n := must(peer.Read(buf))(t)
	var decoder protocol.Decoder
	packet, rest, ok, err := decoder.Next(buf[:n], len(buf))
	if err != nil || !ok || len(rest) != 0 {
		t.Fatalf("no whole packet: %v", err)
	}
	var push protocol.GatewayPush
	check(t, packet.Unmarshal(&push))
	if packet.Command != protocol.CmdGatewayPush || packet.Flags != protocol.FlagBizAck || packet.SessionID != 1 {
		t.Errorf("packet %+v", packet)
	}
	if push.UserID != "bench-7" || string(push.Content) != "hello" || push.ClientType != protocol.ClientMobile {
		t.Errorf("push %+v", push)
	}
}

func TestGatewayBoundsWhatIsOutstanding(t *testing.T) {
	g, _ := connectedGateway(t)
	g.sent = mostOutstanding + 1
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a flush with too many outstanding: %v", err)
	}
}

func TestGatewayFailures(t *testing.T) {
	t.Run("closed by the server", func(t *testing.T) {
		g, peer := connectedGateway(t)
		g.sent = 1
		peer.Close()
		if err := g.settle(patience(t), 0); err == nil {
			t.Error("replies of a closed connection are not missed")
		}
	})
	t.Run("unexpected reply", func(t *testing.T) {
		g, peer := connectedGateway(t)
		g.sent = 1
		must(peer.Write(reply(t, protocol.CmdKick, &protocol.Kick{})))(t)
		if err := g.settle(patience(t), 0); !errors.Is(err, errReply) {
			t.Errorf("a KICK as a reply: %v", err)
		}
	})
	t.Run("refused broadcast", func(t *testing.T) {
		g, peer := connectedGateway(t)
		go peer.Write(reply(t, protocol.CmdError, &protocol.Error{Command: protocol.CmdGatewayPush, Code: protocol.CodePushFailure}))
		if err := g.broadcast(patience(t), []byte("x")); err == nil {
			t.Error("a refused broadcast passes")
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		if _, err := dialGateway(patience(t), must(freePorts(1))(t)[0]); err == nil {
			t.Error("connected to nobody")
		}
	})
}
