//go:build linux

package watch

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// sender is an MPush back end with a connection to the gateway of a node.
type sender struct {
	conn net.Conn
	work sync.WaitGroup

	mu   sync.Mutex
	last int32 // number of a push
}

func newSender(t *testing.T, gateway string) *sender {
	t.Helper()
	conn, err := net.DialTimeout("tcp", gateway, patience)
	if err != nil {
		t.Fatal(err)
	}
	b := &sender{conn: conn}
	t.Cleanup(b.stop)
	return b
}

// stop closes the connection and waits.
func (b *sender) stop() {
	_ = b.conn.Close() // more than once, perhaps
	b.work.Wait()
}

// push sends one message; what went wrong shows in the books of the node.
func (b *sender) push(user string, ack protocol.AckMode, timeout time.Duration) {
	push := protocol.GatewayPush{UserID: user, ClientType: protocol.ClientMobile, Timeout: int32(timeout.Milliseconds()), Content: []byte("message")}
	body, err := push.AppendBinary(nil)
	if err != nil {
		return // too long a name
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	_, _ = b.conn.Write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdGatewayPush, Flags: ack.Flags(), SessionID: b.last, Body: body}))
}

// answers calls f for each answer, until the connection ends.
func (b *sender) answers(f func()) {
	b.work.Go(func() {
		var decoder protocol.Decoder
		buf := make([]byte, 32<<10)
		for {
			n, err := b.conn.Read(buf)
			if err != nil {
				return
			}
			for rest := buf[:n]; len(rest) > 0; {
				var ok bool
				if _, rest, ok, err = decoder.Next(rest, len(buf)); err != nil {
					return
				}
				if ok {
					f()
				}
			}
		}
	})
}

// always has n pushes to a user under way all the time.
func (b *sender) always(n int, user string) {
	send := func() { b.push(user, protocol.AckNone, patience) }
	b.answers(send)
	for range n {
		send()
	}
}

// steadily pushes to users in turn, with a pause after each, and wants acks of them.
func (b *sender) steadily(users []string, pause, timeout time.Duration) (stop func()) {
	b.answers(func() {})
	i := 0
	return repeatedly(pause, func() {
		b.push(users[i%len(users)], protocol.AckBiz, timeout)
		i++
	})
}

// listening connects devices to a node that call f with each message. They acknowledge what
// f does.
func (s *stack) listening(t *testing.T, n *node, users []string, f func(*client.Message)) {
	t.Helper()
	var work sync.WaitGroup
	t.Cleanup(work.Wait)
	for _, user := range users {
		d, err := client.NewDevice(client.DeviceOptions{Address: n.device, PublicKey: s.publicKey(t), User: user, DeviceID: user, OSName: "android", OnPush: f})
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() { _ = d.Run(t.Context()) }) // until the test ends
		eventually(t, user+" is connected", func() string { return unless(d.State() == client.StateBound, "%v", d.State()) })
	}
}
