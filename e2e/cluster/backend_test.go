//go:build linux

package cluster

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// What a back end may find instead of an answer.
var (
	errCutOff = errors.New("the connection ended")
	errSilent = errors.New("no answer in time")
)

// answerTime is how long a back end waits for an answer. A node that waits in vain for
// an ack says nothing.
const answerTime = 12 * time.Second

// backEnd pushes over the gateway port of a node as an MPush back end does. It connects
// when it has something to say and is not connected.
type backEnd struct {
	node    int
	address string

	mu      sync.Mutex
	conn    net.Conn
	last    int32
	waiting map[int32]chan protocol.Packet
	readers sync.WaitGroup
}

func newBackEnd(node int, address string) *backEnd {
	return &backEnd{node: node, address: address, waiting: make(map[int32]chan protocol.Packet)}
}

// push sends a message and waits for the answer; false if it could not be sent.
func (b *backEnd) push(m *sent) bool {
	answer, ok := b.write(m)
	if !ok {
		return false
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case p, ok := <-answer:
		if m.ended = time.Now(); !ok {
			m.err = errCutOff
			return true
		}
		b.understand(m, &p)
	case <-timer.C:
		m.err = errSilent
	}
	return true
}

// understand reads an answer as MPush's SDK does.
func (b *backEnd) understand(m *sent, p *protocol.Packet) {
	var refused protocol.Error
	switch {
	case p.Command == protocol.CmdOK && m.ack:
		m.outcome = protocol.OutcomeAcked
	case p.Command == protocol.CmdOK:
		m.outcome = protocol.OutcomeSent
	case p.Command == protocol.CmdError && p.Unmarshal(&refused) == nil && refused.Code == protocol.CodeOffline:
		m.outcome = protocol.OutcomeOffline
	case p.Command == protocol.CmdError && refused.Code == protocol.CodePushFailure:
		m.outcome = protocol.OutcomeFailed
	default:
		m.err = errors.New("an answer that no back end understands: " + p.Command.String() + " " + refused.Reason)
	}
}

func (b *backEnd) write(m *sent) (answer chan protocol.Packet, ok bool) {
	ack := protocol.AckNone
	if m.ack {
		ack = protocol.AckAuto
	}
	push := protocol.GatewayPush{UserID: m.user, ClientType: protocol.ClientMobile, Timeout: 5000, Content: []byte(m.id)}
	body, err := push.AppendBinary(nil)
	if err != nil {
		m.err = err
		return nil, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil && !b.connectLocked() {
		return nil, false
	}
	b.last++
	answer = make(chan protocol.Packet, 1)
	b.waiting[b.last] = answer
	frame := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdGatewayPush, Flags: ack.Flags(), SessionID: b.last, Body: body})
	_ = b.conn.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := b.conn.Write(frame); err != nil {
		_ = b.conn.Close() // the reader tells those who wait
	}
	return answer, true
}

func (b *backEnd) connectLocked() bool {
	c, err := net.DialTimeout("tcp", b.address, 300*time.Millisecond)
	if err != nil {
		return false
	}
	b.conn = c
	b.readers.Go(func() { b.read(c) })
	return true
}

func (b *backEnd) read(c net.Conn) {
	var decoder protocol.Decoder
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			p, rest, ok, err := decoder.Next(data, 1<<20)
			if err != nil || !ok {
				break
			}
			p.Body = append([]byte(nil), p.Body...)
			b.answered(p)
			data = rest
		}
		if err != nil {
			b.lost()
			return
		}
	}
}

func (b *backEnd) answered(p protocol.Packet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if answer := b.waiting[p.SessionID]; answer != nil {
		answer <- p
		delete(b.waiting, p.SessionID)
	}
}

// lost tells all who wait that no answer will come.
func (b *backEnd) lost() {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.conn.Close()
	b.conn = nil
	for id, answer := range b.waiting {
		close(answer)
		delete(b.waiting, id)
	}
}

// close is called when nobody waits any more.
func (b *backEnd) close() {
	b.mu.Lock()
	if b.conn != nil {
		_ = b.conn.Close()
	}
	b.mu.Unlock()
	b.readers.Wait()
}
