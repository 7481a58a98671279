// Package stranger is an MPush device by somebody who knows nothing of this project but the
// description of the protocol: it shares no code with the product and uses the standard library
// only. Its tests run the product as a process and check that such a device gets its pushes and
// that its acks count.
package stranger

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// heartbeatWanted is the interval in milliseconds that a device asks for, as MPush's own does.
const heartbeatWanted = 240_000

// compressAbove is the size of a body, in bytes, over which a device compresses it.
const compressAbove = 1024

// Session is what a device remembers between connections.
type Session struct {
	// ID is the session's name for FastConnect.
	ID string
	// Expires is when the server forgets it.
	Expires time.Time

	key, iv []byte
}

// Device is one connection of a device over TCP. Its methods must not be called at the same time.
type Device struct {
	arrivals

	// OSName tells the server the class of the device: android, ios, windows, web.
	OSName string
	// OSVersion is told in the handshake; a long one makes it longer than one RSA block.
	OSVersion string
	// Heartbeats is the interval that the server granted.
	Heartbeats time.Duration

	id     string
	conn   net.Conn
	r      *bufio.Reader
	cipher *sealer
	last   int32
}

// Connect opens a connection. Handshake or FastConnect comes next.
func Connect(ctx context.Context, addr, deviceID string) (*Device, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Device{OSName: "android", OSVersion: "6.0", id: deviceID, conn: conn, r: bufio.NewReader(conn)}, nil
}

// Handshake agrees with the server on a session and its key. The server may answer with a *Refusal.
func (d *Device) Handshake(ctx context.Context) (Session, error) {
	defer guard(ctx, d.conn)()
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return Session{}, err
	}
	iv, clientKey := secret[:16], secret[16:]
	body, err := rsaSeal(DemoPublicKey, d.handshakeBody(iv, clientKey, time.Now().UnixMilli()))
	if err != nil {
		return Session{}, err
	}
	before := d.cipher
	d.cipher = &sealer{clientKey, iv}
	f, err := d.ask(frame{cmd: cmdHandshake, flags: flagCrypto, body: body}, cmdHandshake)
	if err != nil {
		d.cipher = before
		return Session{}, err
	}
	reply := fields{rest: f.body}
	serverKey, heartbeat, id, expires := reply.bytes(), reply.int32(), reply.string(), reply.int64()
	if reply.err != nil || len(serverKey) != len(clientKey) {
		return Session{}, fmt.Errorf("handshake reply % x: %v", f.body, reply.err)
	}
	d.Heartbeats = time.Duration(heartbeat) * time.Millisecond
	d.cipher = &sealer{mix(clientKey, serverKey), iv}
	return Session{ID: id, Expires: time.UnixMilli(expires), key: d.cipher.key, iv: iv}, nil
}

func (d *Device) handshakeBody(iv, clientKey []byte, now int64) []byte {
	var b []byte
	for _, s := range []string{d.id, d.OSName, d.OSVersion, "1.0"} {
		b = appendField(b, s)
	}
	b = appendField(appendField(b, iv), clientKey)
	b = binary.BigEndian.AppendUint32(b, 10_000)
	b = binary.BigEndian.AppendUint32(b, heartbeatWanted)
	return binary.BigEndian.AppendUint64(b, uint64(now))
}

// FastConnect resumes a session on a new connection. After a *Refusal the connection is still
// good for a Handshake.
func (d *Device) FastConnect(ctx context.Context, s Session) error {
	defer guard(ctx, d.conn)()
	f, err := d.ask(frame{cmd: cmdFastConnect, body: fastConnectBody(s.ID, d.id, heartbeatWanted)}, cmdFastConnect)
	if err != nil {
		return err
	}
	reply := fields{rest: f.body}
	d.Heartbeats = time.Duration(reply.int32()) * time.Millisecond
	d.cipher = &sealer{s.key, s.iv}
	return reply.err
}

func fastConnectBody(session, device string, shortest uint32) []byte {
	b := appendField(appendField(nil, session), device)
	b = binary.BigEndian.AppendUint32(b, shortest)
	return binary.BigEndian.AppendUint32(b, heartbeatWanted)
}

// Bind tells the server who uses the device, and waits until it has taken effect.
func (d *Device) Bind(ctx context.Context, user, tags string) error {
	return d.bindOr(ctx, cmdBind, "bind success", user, tags)
}

// Unbind undoes Bind.
func (d *Device) Unbind(ctx context.Context, user string) error {
	return d.bindOr(ctx, cmdUnbind, "unbind success", user, "")
}

func (d *Device) bindOr(ctx context.Context, cmd byte, want, user, tags string) error {
	defer guard(ctx, d.conn)()
	f, err := d.seal(frame{cmd: cmd, body: appendField(appendField(appendField(nil, user), ""), tags)})
	if err != nil {
		return err
	}
	f, err = d.ask(f, cmdOK)
	for ; err == nil; f, err = d.await(cmdOK, f.session) {
		ok := fields{rest: f.body}
		about, code, data := ok.byte(), ok.byte(), ok.string()
		if ok.err != nil || about != cmd || code != 0 {
			return fmt.Errorf("OK with body % x", f.body)
		}
		if data == want {
			return nil
		}
		if cmd != cmdBind || data != "unbind success" { // the user before is unbound first
			return fmt.Errorf("OK says %q", data)
		}
	}
	return err
}

// Heartbeat asks the server for a sign of life and waits for it. What the server sent before is
// known afterwards.
func (d *Device) Heartbeat(ctx context.Context) error {
	defer guard(ctx, d.conn)()
	if _, err := d.conn.Write([]byte{heartbeatByte}); err != nil {
		return err
	}
	_, err := d.await(cmdHeartbeat, 0)
	return err
}

// NextPush waits for a push.
func (d *Device) NextPush(ctx context.Context) (Push, error) {
	defer guard(ctx, d.conn)()
	return first(&d.pushes, d.expectNothing)
}

// NextKick waits until the device is told that another one has taken its place.
func (d *Device) NextKick(ctx context.Context) (Kick, error) {
	defer guard(ctx, d.conn)()
	return first(&d.kicks, d.expectNothing)
}

// Ack acknowledges a push. There is no answer to it.
func (d *Device) Ack(ctx context.Context, p Push) error {
	defer guard(ctx, d.conn)()
	_, err := d.conn.Write(frame{cmd: cmdAck, session: p.ID}.encode())
	return err
}

// ClientPush sends content to the server and waits for its ack.
func (d *Device) ClientPush(ctx context.Context, content []byte) error {
	defer guard(ctx, d.conn)()
	f, err := d.seal(frame{cmd: cmdPush, flags: flagAutoAck, body: content})
	if err != nil {
		return err
	}
	_, err = d.ask(f, cmdAck)
	return err
}

// Close ends the connection; the protocol has no farewell.
func (d *Device) Close() error { return d.conn.Close() }

// seal compresses a long body and encrypts it with the session's key.
func (d *Device) seal(f frame) (frame, error) {
	var err error
	if len(f.body) > compressAbove {
		f.flags |= flagCompress
		if f.body, err = deflate(f.body); err != nil {
			return frame{}, err
		}
	}
	if len(f.body) > 0 && d.cipher != nil {
		f.flags |= flagCrypto
		f.body, err = d.cipher.seal(f.body)
	}
	return f, err
}

// ask sends a request under a number of its own and waits for the reply to it.
func (d *Device) ask(f frame, reply byte) (frame, error) {
	d.last++
	f.session = d.last
	if _, err := d.conn.Write(f.encode()); err != nil {
		return frame{}, err
	}
	return d.await(reply, f.session)
}

// await reads until the reply comes. The server's numbers of pushes may be the same as the
// device's of requests, so the command decides as well.
func (d *Device) await(cmd byte, session int32) (frame, error) {
	for {
		f, err := d.read()
		if err != nil {
			return frame{}, err
		}
		if f.cmd == cmd && f.session == session {
			return f, nil
		}
		if f.cmd != cmdPush && f.cmd != cmdKick {
			return frame{}, fmt.Errorf("command %d, session %d, while waiting for %d, %d", f.cmd, f.session, cmd, session)
		}
	}
}

// expectNothing reads one frame, which must not be a reply.
func (d *Device) expectNothing() error {
	f, err := d.read()
	if err == nil && f.cmd != cmdPush && f.cmd != cmdKick {
		err = fmt.Errorf("command %d, session %d, without a request", f.cmd, f.session)
	}
	return err
}

// read reads one frame, files pushes and kicks, and makes an error of an ERROR.
func (d *Device) read() (frame, error) {
	f, err := readFrame(d.r)
	if err != nil {
		return frame{}, err
	}
	if f.body, err = d.open(f); err != nil {
		return frame{}, fmt.Errorf("command %d, flags %d: %w", f.cmd, f.flags, err)
	}
	body := fields{rest: f.body}
	switch f.cmd {
	case cmdPush:
		d.pushes = append(d.pushes, pushOf(f.session, f.flags, f.body))
	case cmdKick:
		d.kicks = append(d.kicks, Kick{DeviceID: body.string(), UserID: body.string()})
	case cmdError:
		refusal := &Refusal{Cmd: body.byte(), Code: body.byte(), Reason: body.string()}
		if body.err == nil {
			return f, refusal
		}
	}
	return f, body.err
}

// open undoes what seal does, as the flags tell.
func (d *Device) open(f frame) (body []byte, err error) {
	body = f.body
	if len(body) > 0 && f.flags&flagCrypto != 0 && d.cipher != nil {
		if body, err = d.cipher.open(body); err != nil {
			return nil, err
		}
	}
	if len(body) > 0 && f.flags&flagCompress != 0 {
		return inflate(body)
	}
	return body, nil
}
