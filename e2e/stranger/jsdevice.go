package stranger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// packet is one text message from a device.
type packet struct {
	Cmd       byte            `json:"cmd"`
	Flags     byte            `json:"flags"`
	SessionID int32           `json:"sessionId"`
	Body      json.RawMessage `json:"body,omitempty"`
}

// answer is one from the server, with the members that section 2.13 names and no others.
type answer struct {
	packet
	BodyLength int `json:"bodyLength"`
}

// JSDevice is one connection of a web page: JSON over a WebSocket. It has no session to resume.
// Its methods must not be called at the same time.
type JSDevice struct {
	arrivals

	// OSName tells the server the class of the device.
	OSName string

	id     string
	socket *socket
	last   int32
	pongs  int
}

// ConnectJS opens a WebSocket at the path "/" of addr. Handshake comes next.
func ConnectJS(ctx context.Context, addr, deviceID string) (*JSDevice, error) {
	s, err := dialSocket(ctx, addr, "/")
	if err != nil {
		return nil, err
	}
	return &JSDevice{OSName: "web", id: deviceID, socket: s}, nil
}

// Handshake introduces the device.
func (d *JSDevice) Handshake(ctx context.Context) error {
	defer guard(ctx, d.socket.conn)()
	p, err := d.ask(cmdHandshake, flagJSON, map[string]string{
		"deviceId": d.id, "osName": d.OSName, "osVersion": "1", "clientVersion": "1.0",
	}, cmdHandshake)
	if err == nil && p.Body != nil {
		return fmt.Errorf("handshake reply has a body: %s", p.Body)
	}
	return err
}

// Bind tells the server who uses the page, and waits until it has taken effect.
func (d *JSDevice) Bind(ctx context.Context, user, tags string) error {
	return d.bindOr(ctx, cmdBind, "bind success", user, tags)
}

// Unbind undoes Bind.
func (d *JSDevice) Unbind(ctx context.Context, user string) error {
	return d.bindOr(ctx, cmdUnbind, "unbind success", user, "")
}

func (d *JSDevice) bindOr(ctx context.Context, cmd byte, want, user, tags string) error {
	defer guard(ctx, d.socket.conn)()
	p, err := d.ask(cmd, flagJSON, map[string]string{"userId": user, "tags": tags, "data": ""}, cmdOK)
	for ; err == nil; p, err = d.await(cmdOK, p.SessionID) {
		var ok struct {
			Cmd  byte   `json:"cmd"`
			Data string `json:"data"`
		}
		if err := decode(p.Body, &ok); err != nil || ok.Cmd != cmd {
			return fmt.Errorf("OK with body %s: %v", p.Body, err)
		}
		if ok.Data == want {
			return nil
		}
		if cmd != cmdBind || ok.Data != "unbind success" { // the user before is unbound first
			return fmt.Errorf("OK says %q", ok.Data)
		}
	}
	return err
}

// Heartbeat pings the server and waits for the pong; the JSON protocol has no heartbeat of its
// own. What the server sent before is known afterwards.
func (d *JSDevice) Heartbeat(ctx context.Context) error {
	defer guard(ctx, d.socket.conn)()
	if err := d.socket.write(opPing, []byte(d.id)); err != nil {
		return err
	}
	for before := d.pongs; d.pongs == before; {
		if err := d.expectNothing(); err != nil {
			return err
		}
	}
	return nil
}

// NextPush waits for a push.
func (d *JSDevice) NextPush(ctx context.Context) (Push, error) {
	defer guard(ctx, d.socket.conn)()
	return first(&d.pushes, d.expectNothing)
}

// NextKick waits until the page is told that another one has taken its place.
func (d *JSDevice) NextKick(ctx context.Context) (Kick, error) {
	defer guard(ctx, d.socket.conn)()
	return first(&d.kicks, d.expectNothing)
}

// Ack acknowledges a push. There is no answer to it.
func (d *JSDevice) Ack(ctx context.Context, p Push) error {
	defer guard(ctx, d.socket.conn)()
	return d.send(packet{Cmd: cmdAck, Flags: flagJSON, SessionID: p.ID})
}

// ClientPush sends content to the server and waits for its ack.
func (d *JSDevice) ClientPush(ctx context.Context, content []byte) error {
	defer guard(ctx, d.socket.conn)()
	_, err := d.ask(cmdPush, flagJSON|flagAutoAck, map[string]string{"content": string(content)}, cmdAck)
	return err
}

// Close ends the connection as a page does that is left.
func (d *JSDevice) Close() error {
	_ = d.socket.write(opClose, []byte{0x03, 0xE9})
	return d.socket.conn.Close()
}

func (d *JSDevice) send(p packet) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return d.socket.write(opText, text)
}

// ask sends a request under a number of its own and waits for the reply to it.
func (d *JSDevice) ask(cmd, flags byte, body any, reply byte) (packet, error) {
	d.last++
	text, err := json.Marshal(body)
	if err != nil {
		return packet{}, err
	}
	if err := d.send(packet{Cmd: cmd, Flags: flags, SessionID: d.last, Body: text}); err != nil {
		return packet{}, err
	}
	return d.await(reply, d.last)
}

// await reads until the reply comes.
func (d *JSDevice) await(cmd byte, session int32) (packet, error) {
	for {
		p, err := d.read()
		if err != nil {
			return packet{}, err
		}
		if p.Cmd == cmd && p.SessionID == session {
			return p, nil
		}
		if p.Cmd != cmdPush && p.Cmd != cmdKick && p.Cmd != cmdHeartbeat {
			return packet{}, fmt.Errorf("command %d, session %d, while waiting for %d, %d", p.Cmd, p.SessionID, cmd, session)
		}
	}
}

// expectNothing reads one message, which must not be a reply.
func (d *JSDevice) expectNothing() error {
	p, err := d.read()
	if err == nil && p.Cmd != cmdPush && p.Cmd != cmdKick && p.Cmd != cmdHeartbeat {
		err = fmt.Errorf("command %d, session %d, without a request", p.Cmd, p.SessionID)
	}
	return err
}

// read reads one message, files pushes and kicks, and makes an error of an ERROR. A pong is
// returned as a heartbeat.
func (d *JSDevice) read() (packet, error) {
	opcode, text, err := d.socket.read()
	if err != nil {
		return packet{}, err
	}
	if opcode == opPong {
		d.pongs++
		return packet{Cmd: cmdHeartbeat}, nil
	}
	var a answer
	if err := decode(text, &a); err != nil {
		return packet{}, fmt.Errorf("message %s: %w", text, err)
	}
	var members map[string]any
	if err := json.Unmarshal(a.Body, &members); a.Body != nil && err != nil {
		return packet{}, fmt.Errorf("message %s: %w", text, err)
	}
	if a.Flags&flagJSON == 0 || a.BodyLength != len(members) {
		return packet{}, fmt.Errorf("flags or bodyLength of %s", text)
	}
	return a.packet, d.file(a.packet)
}

func (d *JSDevice) file(p packet) error {
	switch p.Cmd {
	case cmdPush:
		var body struct {
			Content string `json:"content"`
		}
		if err := decode(p.Body, &body); err != nil {
			return err
		}
		d.pushes = append(d.pushes, pushOf(p.SessionID, p.Flags, []byte(body.Content)))
	case cmdKick:
		var kick Kick
		if err := decode(p.Body, &kick); err != nil {
			return err
		}
		d.kicks = append(d.kicks, kick)
	case cmdError:
		refusal := new(Refusal)
		if err := json.Unmarshal(p.Body, refusal); err != nil {
			return err
		}
		return refusal
	}
	return nil
}

// decode reads JSON that has no members but those of into.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
