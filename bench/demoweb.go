package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// The opcodes of WebSocket frames (RFC 6455, section 5.2) that a device meets.
const (
	wsText  = 1
	wsClose = 8
	wsPing  = 9
	wsPong  = 10
)

const (
	webLongest = 1 << 20          // bytes of a frame that is read
	webLogin   = 10 * time.Second // for connecting, handshake and bind together
)

// webDevice is a browser: JSON over a WebSocket, without compression and fragments,
// which the server does not use unasked.
type webDevice struct {
	conn net.Conn
	r    *bufio.Reader
}

// connectWeb is a browser's visit.
func (d *demo) connectWeb(life context.Context, device demoDevice) error {
	address, err := d.webAddress(life)
	if err != nil {
		return err
	}
	w, err := d.dialWeb(life, address)
	if err != nil {
		return err
	}
	defer w.conn.Close()
	defer context.AfterFunc(life, func() { w.leave() })()
	if err := w.login(device); err != nil {
		return fmt.Errorf("logging in: %w", err)
	}
	var bound atomic.Bool
	d.present(&bound, true)
	defer d.present(&bound, false)
	for {
		if err := d.receiveWeb(life, w, device); err != nil {
			return err
		}
	}
}

// webAddress picks one of the nodes that serve browsers.
func (d *demo) webAddress(ctx context.Context) (string, error) {
	nodes, err := d.pushers[rand.N(len(d.pushers))].Nodes(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the nodes: %w", err)
	}
	var addresses []string
	for _, n := range nodes {
		if u, err := url.Parse(n.WebSocket); err == nil && u.Scheme == "ws" && n.State == "serving" {
			addresses = append(addresses, u.Host)
		}
	}
	if len(addresses) == 0 {
		return "", errors.New("no node serves browsers without TLS")
	}
	return addresses[rand.N(len(addresses))], nil
}

func (d *demo) dialWeb(ctx context.Context, address string) (*webDevice, error) {
	ctx, cancel := context.WithTimeout(ctx, webLogin)
	defer cancel()
	conn, err := d.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	w := &webDevice{conn: conn, r: bufio.NewReader(conn)}
	if err := errors.Join(conn.SetDeadline(time.Now().Add(webLogin)), w.upgrade(address)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("opening a WebSocket to %s: %w", address, err)
	}
	return w, nil
}

// upgrade need not check the server's proof: it is our own, and nothing is between us.
func (w *webDevice) upgrade(host string) error {
	_, err := fmt.Fprintf(w.conn, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: ZmFuZmFyZS1iZW5jaC1kZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", host)
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(answer.Status)
	}
	return nil
}

// login introduces the device and binds its user.
func (w *webDevice) login(device demoDevice) error {
	hello := &protocol.Handshake{DeviceID: fmt.Sprintf("demo-device-%d", device.number), OSName: device.os, OSVersion: "1", ClientVersion: device.version}
	if err := w.ask(protocol.CmdHandshake, 1, hello, protocol.CmdHandshake); err != nil {
		return err
	}
	if err := w.ask(protocol.CmdBind, 2, &protocol.Bind{UserID: device.user, Tags: device.tags}, protocol.CmdOK); err != nil {
		return err
	}
	return w.conn.SetDeadline(time.Time{})
}

// ask sends a request and waits for the reply to it.
func (w *webDevice) ask(command protocol.Command, session int32, body protocol.Message, reply protocol.Command) error {
	if err := w.write(wsText, protocol.AppendJSONPacket(nil, command, 0, session, body)); err != nil {
		return err
	}
	for {
		p, err := w.next()
		if err != nil {
			return err
		}
		if p.SessionID == session && p.Command == reply {
			return nil
		}
		if p.Command == protocol.CmdError {
			return fmt.Errorf("refused: %s", p.Body)
		}
	}
}

// receiveWeb takes one packet and acknowledges it if that is wanted.
func (d *demo) receiveWeb(life context.Context, w *webDevice, device demoDevice) error {
	p, err := w.next()
	if err != nil {
		return err
	}
	if p.Command != protocol.CmdPush {
		return nil
	}
	d.received.Add(1)
	if device.slow {
		pause(life, slowLeast+rand.N(slowMost-slowLeast))
	}
	if protocol.AckModeOf(p.Flags) == protocol.AckNone {
		return nil
	}
	return w.write(wsText, protocol.AppendJSONPacket(nil, protocol.CmdAck, 0, p.SessionID, nil))
}

// next reads until there is a packet, answering pings.
func (w *webDevice) next() (protocol.Packet, error) {
	for {
		opcode, payload, err := w.read()
		switch {
		case err != nil:
			return protocol.Packet{}, err
		case opcode == wsText:
			return protocol.ParseJSONPacket(payload)
		case opcode == wsPing:
			if err := w.write(wsPong, payload); err != nil {
				return protocol.Packet{}, err
			}
		case opcode == wsClose:
			return protocol.Packet{}, fmt.Errorf("closed by the server: %s", strings.ToValidUTF8(string(payload[min(2, len(payload)):]), "?"))
		}
	}
}

// read reads one frame.
func (w *webDevice) read() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return 0, nil, err
	}
	length := uint64(head[1] & 0x7f)
	if wide := map[uint64]int{126: 2, 127: 8}[length]; wide > 0 {
		var long [8]byte
		if _, err := io.ReadFull(w.r, long[8-wide:]); err != nil {
			return 0, nil, err
		}
		length = binary.BigEndian.Uint64(long[:])
	}
	if head[0]&0x80 == 0 || head[1]&0x80 != 0 || length > webLongest {
		return 0, nil, fmt.Errorf("a frame that was not expected: %x, %d bytes", head, length)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(w.r, payload)
	return head[0] & 0x0f, payload, err
}

// write sends one frame, masked with zeros: a client must mask, and nothing is hidden
// from anybody here.
func (w *webDevice) write(opcode byte, payload []byte) error {
	const masked = 0x80
	frame := []byte{0x80 | opcode}
	if n := len(payload); n < 126 {
		frame = append(frame, masked|byte(n))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, masked|126), uint16(n))
	}
	frame = append(append(frame, 0, 0, 0, 0), payload...)
	_, err := w.conn.Write(frame)
	return err
}

// leave says good-bye and ends the reading.
func (w *webDevice) leave() {
	_ = w.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_ = w.write(wsClose, []byte{0x03, 0xE9}) // 1001, going away
	w.conn.Close()
}
