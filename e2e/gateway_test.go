package e2e

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
)

// backEnd pushes over the gateway port as an MPush back end does: pipelined, answers
// in any order.
type backEnd struct {
	nc   net.Conn
	w    *bufio.Writer
	next int32
	wg   sync.WaitGroup

	mu      sync.Mutex
	answers map[protocol.Code]int // CodeNone is OK
}

func dialGateway(t *testing.T, address string) *backEnd {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	b := &backEnd{nc: nc, w: bufio.NewWriterSize(nc, 64<<10), answers: make(map[protocol.Code]int)}
	b.wg.Go(b.read)
	t.Cleanup(func() { _ = nc.Close(); b.wg.Wait() })
	return b
}

func (b *backEnd) read() {
	var dec protocol.Decoder
	buf := make([]byte, 64<<10)
	for {
		n, err := b.nc.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			p, rest, ok, err := dec.Next(data, 1<<20)
			if err != nil || !ok {
				break
			}
			b.count(&p)
			data = rest
		}
		if err != nil {
			return
		}
	}
}

func (b *backEnd) count(p *protocol.Packet) {
	code := protocol.CodeNone
	var m protocol.Error
	if p.Command == protocol.CmdError && p.Unmarshal(&m) == nil {
		code = m.Code
	}
	b.mu.Lock()
	b.answers[code]++
	b.mu.Unlock()
}

func (b *backEnd) push(m protocol.GatewayPush, ack protocol.AckMode) error {
	b.next++
	body, err := m.AppendBinary(nil)
	if err != nil {
		return err
	}
	frame := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdGatewayPush, Flags: ack.Flags(), SessionID: b.next, Body: body})
	if _, err := b.w.Write(frame); err != nil {
		return fmt.Errorf("gateway push: %w", err)
	}
	return nil
}

func (b *backEnd) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprint(b.answers)
}
