//go:build linux

package limits

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// webSocket is the client's end of one, frame by frame.
type webSocket struct {
	conn net.Conn
	r    *bufio.Reader
}

// upgrade opens a WebSocket.
func (p *product) upgrade(t *testing.T) *webSocket {
	t.Helper()
	w := &webSocket{conn: dial(t, p.websocket)}
	w.r = bufio.NewReader(w.conn)
	_, err := io.WriteString(w.conn, "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	must(t, err)
	answer, err := http.ReadResponse(w.r, nil)
	must(t, err)
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the upgrade is answered with %s", answer.Status)
	}
	return w
}

// openWebSocket opens a WebSocket and makes MPush's handshake on it.
func (p *product) openWebSocket(t *testing.T) *webSocket {
	t.Helper()
	w := p.upgrade(t)
	w.send(t, opText, []byte(`{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":"d","osName":"web","osVersion":"1","clientVersion":"1"}}`))
	if opcode, payload := w.next(t); opcode != opText {
		t.Fatalf("the handshake is answered with frame %d %q", opcode, payload)
	}
	return w
}

// send sends a whole message; the mask is zero, which changes nothing.
func (w *webSocket) send(t *testing.T, opcode byte, payload []byte) {
	t.Helper()
	frame := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n <= 0xFFFF:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	_, err := w.conn.Write(append(append(frame, 0, 0, 0, 0), payload...))
	must(t, err)
}

// next reads a frame of the server; opcode 0 is the end of the connection.
func (w *webSocket) next(t *testing.T) (opcode byte, payload []byte) {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(w.r, head[:]); err == io.EOF {
		return 0, nil
	} else if err != nil {
		t.Fatal(err)
	}
	length := int(head[1])
	if length >= 126 {
		var long [2]byte
		_, err := io.ReadFull(w.r, long[:])
		must(t, err)
		length = int(binary.BigEndian.Uint16(long[:]))
	}
	payload = make([]byte, length)
	_, err := io.ReadFull(w.r, payload)
	must(t, err)
	return head[0] & 0x0F, payload
}
