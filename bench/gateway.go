package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

const (
	// mostOutstanding bounds the pushes that wait for their reply on a connection.
	mostOutstanding = 20_000
	// replyLimit bounds a reply of the gateway.
	replyLimit = 64 << 10
	// pushTimeout is how long a push lets the node wait for an ack.
	pushTimeout = 10 * time.Second
)

// Replies is what the senders were told.
type Replies struct {
	OK      int64 `json:"ok"`
	Offline int64 `json:"offline"`
	Failed  int64 `json:"failed"`
	Other   int64 `json:"other"`
}

// total is the number of replies.
func (r Replies) total() int64 { return r.OK + r.Offline + r.Failed + r.Other }

// minus is what came after before.
func (r Replies) minus(before Replies) Replies {
	return Replies{
		OK: r.OK - before.OK, Offline: r.Offline - before.Offline,
		Failed: r.Failed - before.Failed, Other: r.Other - before.Other,
	}
}

// gateway is a connection to the port of back ends. Pushes are pipelined on it.
// One goroutine may send; counting the replies is its own business.
type gateway struct {
	conn   net.Conn
	wait   time.Duration // for acks
	sent   int64
	frames []byte // reused by send
	body   []byte

	answered atomic.Int64
	notify   chan struct{} // a reply was counted
	ended    chan struct{} // reading has ended; err says why

	mu      sync.Mutex
	replies Replies
	err     error
}

// dialGateway connects and starts to read replies.
func dialGateway(ctx context.Context, address string) (*gateway, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the gateway port: %w", err)
	}
	g := &gateway{conn: conn, wait: pushTimeout, notify: make(chan struct{}, 1), ended: make(chan struct{})}
	go g.read()
	return g, nil
}

// queue appends a push to what the next flush sends. user "" is a broadcast.
func (g *gateway) queue(user string, ack protocol.AckMode, content []byte) error {
	push := protocol.GatewayPush{
		UserID: user, ClientType: protocol.ClientMobile, Timeout: int32(g.wait.Milliseconds()), Content: content,
	}
	body, err := push.AppendBinary(g.body[:0])
	if err != nil {
		return fmt.Errorf("encode a push: %w", err)
	}
	g.body = body
	g.sent++
	g.frames = protocol.AppendPacket(g.frames, protocol.Packet{
		Command: protocol.CmdGatewayPush, Flags: ack.Flags(), SessionID: int32(g.sent), Body: body,
	})
	return nil
}

// flush writes what was queued, once fewer than [mostOutstanding] replies are due.
func (g *gateway) flush(ctx context.Context) error {
	if err := g.settle(ctx, mostOutstanding); err != nil {
		return err
	}
	_, err := g.conn.Write(g.frames)
	g.frames = g.frames[:0]
	if err != nil {
		return fmt.Errorf("write to the gateway port: %w", err)
	}
	return nil
}

// settle waits until at most most replies are due.
func (g *gateway) settle(ctx context.Context, most int64) error {
	for g.sent-g.answered.Load() > most {
		select {
		case <-g.notify:
		case <-g.ended:
			return g.failure()
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d replies of the gateway: %w", g.sent-g.answered.Load(), context.Cause(ctx))
		}
	}
	return nil
}

func (g *gateway) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// read counts replies until the connection ends.
func (g *gateway) read() {
	defer close(g.ended)
	var decoder protocol.Decoder
	buf := make([]byte, 64<<10)
	for {
		n, err := g.conn.Read(buf)
		if err == nil {
			err = g.count(&decoder, buf[:n])
		}
		if err != nil {
			g.mu.Lock()
			g.err = fmt.Errorf("read from the gateway port: %w", err)
			g.mu.Unlock()
			return
		}
	}
}

var errReply = errors.New("unexpected reply")

// count takes the replies out of data.
func (g *gateway) count(decoder *protocol.Decoder, data []byte) error {
	for {
		packet, rest, ok, err := decoder.Next(data, replyLimit)
		if err != nil || !ok {
			return err
		}
		data = rest
		if err := g.tally(packet); err != nil {
			return err
		}
		g.answered.Add(1)
		select {
		case g.notify <- struct{}{}:
		default:
		}
	}
}

func (g *gateway) tally(packet protocol.Packet) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if packet.Command == protocol.CmdOK {
		g.replies.OK++
		return nil
	}
	var refusal protocol.Error
	if packet.Command != protocol.CmdError {
		return fmt.Errorf("%w %v", errReply, packet.Command)
	}
	if err := packet.Unmarshal(&refusal); err != nil {
		return fmt.Errorf("read a refusal: %w", err)
	}
	switch refusal.Code {
	case protocol.CodeOffline:
		g.replies.Offline++
	case protocol.CodePushFailure:
		g.replies.Failed++
	default:
		g.replies.Other++
	}
	return nil
}

// counted is what the replies said so far.
func (g *gateway) counted() Replies {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.replies
}

// close ends the connection and waits for its reader.
func (g *gateway) close() {
	g.conn.Close()
	<-g.ended
}

// broadcast sends content to everybody and waits for the reply.
func (g *gateway) broadcast(ctx context.Context, content []byte) error {
	before := g.counted().OK
	if err := g.queue("", protocol.AckNone, content); err != nil {
		return err
	}
	if err := g.flush(ctx); err != nil {
		return err
	}
	if err := g.settle(ctx, 0); err != nil {
		return err
	}
	if g.counted().OK == before {
		return fmt.Errorf("broadcast: the gateway refused it: %+v", g.counted())
	}
	return nil
}
