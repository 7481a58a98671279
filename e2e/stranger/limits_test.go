package stranger

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSession checks what a handshake promises, with one RSA block and with more.
func TestSession(t *testing.T) {
	p := startProduct(t, "limits.min_heartbeat=10s", "limits.session_ttl=1h")
	for _, version := range []string{"6.0", strings.Repeat("a long version ", 20)} {
		d := dial(t, p, "dev-1")
		d.OSVersion = version
		s, err := d.Handshake(soon(t))
		must(t, err)
		if len(s.ID) != 32 || strings.Trim(s.ID, "0123456789abcdef") != "" {
			t.Errorf("session id %q", s.ID)
		}
		if left := time.Until(s.Expires); left > time.Hour+time.Second || left < time.Hour-patience {
			t.Errorf("the session lasts %v", left)
		}
		if d.Heartbeats != 3*time.Minute {
			t.Errorf("heartbeat %v: more than the server's most was asked for", d.Heartbeats)
		}
	}
}

// TestRefusedButOpen gets refusals after which the connection has to be good for more.
func TestRefusedButOpen(t *testing.T) {
	p := startProduct(t)
	d := dial(t, p, "dev-1")
	session, err := d.Handshake(soon(t))
	must(t, err)
	_, err = d.Handshake(soon(t))
	wantRefusal(t, err, Refusal{Cmd: cmdHandshake, Code: 102, Reason: "repeat handshake"})
	must(t, d.Bind(soon(t), "alice", ""))

	thief := dial(t, p, "dev-2")
	wantRefusal(t, thief.FastConnect(soon(t), session), Refusal{Cmd: cmdFastConnect, Code: 104, Reason: "invalid device"})
	session.ID = strings.Repeat("0", 32)
	wantRefusal(t, thief.FastConnect(soon(t), session), Refusal{Cmd: cmdFastConnect, Code: 103, Reason: "session expired"})
	_, err = thief.Handshake(soon(t))
	must(t, err)
	must(t, thief.Bind(soon(t), "bob", ""))

	js := page(t, p, "page")
	wantRefusal(t, js.Handshake(soon(t)), Refusal{Cmd: cmdHandshake, Code: 102, Reason: "repeat handshake"})
	must(t, js.Bind(soon(t), "carol", ""))
}

// TestRefusedAndClosed gets refusals that end the connection.
func TestRefusedAndClosed(t *testing.T) {
	p := startProduct(t)
	for _, c := range []struct {
		name string
		ask  func(d *Device) error
		want Refusal
	}{
		{"bind first", func(d *Device) error { return d.Bind(soon(t), "u", "") }, Refusal{cmdBind, 0, "not handshake"}},
		{"unknown command", func(d *Device) error { _, err := d.ask(frame{cmd: 99}, 99); return err }, Refusal{99, 101, "unsupported command"}},
		{"nonsense", func(d *Device) error {
			_, err := d.ask(frame{cmd: cmdHandshake, flags: flagCrypto, body: make([]byte, 128)}, cmdHandshake)
			return err
		}, Refusal{cmdHandshake, 100, "handle message error"}},
		{"no device id", func(d *Device) error { d.id = ""; _, err := d.Handshake(soon(t)); return err }, Refusal{cmdHandshake, 0, "Param invalid"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dial(t, p, "dev-1")
			wantRefusal(t, c.ask(d), c.want)
			must(t, d.conn.SetReadDeadline(time.Now().Add(patience)))
			if _, err := d.read(); !errors.Is(err, io.EOF) {
				t.Errorf("the connection goes on: %v", err)
			}
		})
	}
	t.Run("no user", func(t *testing.T) {
		d := phone(t, p, "dev-1")
		wantRefusal(t, d.Bind(soon(t), "", ""), Refusal{cmdBind, 0, "invalid param"})
	})
	t.Run("websocket", func(t *testing.T) {
		d := page(t, p, "page")
		_, err := d.ask(cmdFastConnect, flagJSON, nil, cmdFastConnect)
		wantRefusal(t, err, Refusal{cmdFastConnect, 101, "unsupported command"})
		var closed errClosed
		if _, err := d.read(); !errors.As(err, &closed) || closed.code != 1000 {
			t.Errorf("the connection goes on, or ends otherwise: %v", err)
		}
	})
}

// drip is a connection that sends every byte alone.
type drip struct{ net.Conn }

func (d drip) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestSegments splits frames into single bytes, and sends many in one piece.
func TestSegments(t *testing.T) {
	p := startProduct(t)
	d := dial(t, p, "dev-1")
	d.conn = drip{d.conn}
	_, err := d.Handshake(soon(t))
	must(t, err)
	must(t, d.Bind(soon(t), "alice", ""))
	sent := p.pushing(t, request{"user": "alice", "content": "still here", "wait": "20s"})
	receive(t, d, "still here", false)
	outcome(t, sent, "sent")

	raw := dial(t, p, "dev-2")
	defer guard(soon(t), raw.conn)()
	pieces := []byte{heartbeatByte, heartbeatByte, heartbeatByte}
	pieces = append(pieces, frame{cmd: cmdPush, flags: flagAutoAck, session: 5, body: []byte("hello")}.encode()...)
	pieces = append(pieces, frame{cmd: cmdHeartbeat, session: 6}.encode()...)
	_, err = raw.conn.Write(pieces)
	must(t, err)
	for _, want := range []byte{cmdHeartbeat, cmdHeartbeat, cmdHeartbeat, cmdAck, cmdHeartbeat} {
		f, err := raw.read()
		must(t, err)
		if f.cmd != want || f.cmd == cmdAck && f.session != 5 {
			t.Errorf("command %d, session %d, want command %d", f.cmd, f.session, want)
		}
	}
}

// TestSizes sends the longest body that is allowed and one more, and fills the header's unused
// fields.
func TestSizes(t *testing.T) {
	p := startProduct(t)
	d := dial(t, p, "dev-1")
	defer guard(soon(t), d.conn)()
	longest := frame{cmd: cmdPush, flags: flagAutoAck, session: 1, body: make([]byte, 10_240)}
	wire := longest.encode()
	wire[5], wire[6], wire[12] = 4, 210, 55
	_, err := d.conn.Write(wire)
	must(t, err)
	_, err = d.await(cmdAck, 1)
	must(t, err)

	longest.body = append(longest.body, 0)
	_, err = d.conn.Write(longest.encode())
	must(t, err)
	f, err := d.read()
	if refusal := new(Refusal); err == nil || errors.As(err, &refusal) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one byte too many: %+v, %v", f, err)
	}
}

// TestGzip sends a body that is compressed as the devices of another maker do.
func TestGzip(t *testing.T) {
	p := startProduct(t)
	d := phone(t, p, "dev-1")
	defer guard(soon(t), d.conn)()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(appendField(appendField(appendField(nil, "user"), ""), ""))
	must(t, err)
	must(t, w.Close())
	f, err := d.seal(frame{cmd: cmdBind, flags: flagCompress, body: packed.Bytes()})
	must(t, err)
	_, err = d.ask(f, cmdOK)
	must(t, err)
}
