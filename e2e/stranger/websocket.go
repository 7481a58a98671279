package stranger

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// The opcodes of RFC 6455, section 5.2.
const (
	opContinue = 0
	opText     = 1
	opClose    = 8
	opPing     = 9
	opPong     = 10
)

const acceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// errClosed is what is left to read after the server's close frame.
type errClosed struct {
	code   uint16
	reason string
}

func (e errClosed) Error() string {
	return fmt.Sprintf("closed by the server: %d %q", e.code, e.reason)
}

// socket is the client's end of a WebSocket.
type socket struct {
	conn net.Conn
	r    *bufio.Reader
}

// dialSocket connects and upgrades to a WebSocket at path.
func dialSocket(ctx context.Context, addr, path string) (*socket, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer guard(ctx, conn)()
	s := &socket{conn: conn, r: bufio.NewReader(conn)}
	if err := s.upgrade(addr, path); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) upgrade(host, path string) error {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	key := base64.StdEncoding.EncodeToString(nonce)
	_, err := fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, host, key)
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade answered %s", answer.Status)
	}
	sum := sha1.Sum([]byte(key + acceptSuffix))
	if got := answer.Header.Get("Sec-WebSocket-Accept"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("upgrade accepted with %q", got)
	}
	return nil
}

// write sends one whole message or control frame, masked as a client must.
func (s *socket) write(opcode byte, payload []byte) error {
	out := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		out = append(out, 0x80|byte(n))
	case n <= 0xFFFF:
		out = binary.BigEndian.AppendUint16(append(out, 0x80|126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 0x80|127), uint64(n))
	}
	mask := make([]byte, 4)
	if _, err := rand.Read(mask); err != nil {
		return err
	}
	out = append(out, mask...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	_, err := s.conn.Write(out)
	return err
}

// read returns the next text message, with opcode opText, or the payload of the next pong. It
// answers pings and close frames; a close frame is then an errClosed.
func (s *socket) read() (opcode byte, payload []byte, err error) {
	var message []byte
	for inMessage := false; ; {
		final, opcode, payload, err := s.readFrame()
		if err != nil {
			return 0, nil, err
		}
		switch {
		case opcode == opPing:
			if err := s.write(opPong, payload); err != nil {
				return 0, nil, err
			}
		case opcode == opPong:
			return opPong, payload, nil
		case opcode == opClose:
			_ = s.write(opClose, payload)
			if len(payload) < 2 {
				return 0, nil, errClosed{code: 1005}
			}
			return 0, nil, errClosed{binary.BigEndian.Uint16(payload), string(payload[2:])}
		case opcode == opText && !inMessage, opcode == opContinue && inMessage:
			inMessage = true
			if message = append(message, payload...); final {
				return opText, message, nil
			}
		default:
			return 0, nil, fmt.Errorf("frame with opcode %d out of place", opcode)
		}
	}
}

func (s *socket) readFrame() (final bool, opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return false, 0, nil, err
	}
	if head[0]&0x70 != 0 || head[1]&0x80 != 0 {
		return false, 0, nil, errors.New("frame with reserved bits or a mask")
	}
	n := uint64(head[1])
	if n >= 126 {
		long := make([]byte, 2)
		if n == 127 {
			long = make([]byte, 8)
		}
		if _, err := io.ReadFull(s.r, long); err != nil {
			return false, 0, nil, err
		}
		n = 0
		for _, b := range long {
			n = n<<8 | uint64(b)
		}
	}
	if n > maxBody {
		return false, 0, nil, fmt.Errorf("frame of %d bytes", n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(s.r, payload)
	return head[0]&0x80 != 0, head[0] & 0x0F, payload, err
}
