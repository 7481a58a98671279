package client

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// node plays a push server: every connection to it runs the script, which gets
// the number of the connection, from 0. It listens on loopback, or in a synctest
// bubble hands out pipes.
type node struct {
	t        *testing.T
	key      *protocol.PrivateKey
	script   func(n int, p *peer)
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func demoKey(t testing.TB) *protocol.PrivateKey {
	t.Helper()
	key, err := protocol.DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newNode serves pipes through [node.dial] until the test ends.
func newNode(t *testing.T, script func(n int, p *peer)) *node {
	n := &node{t: t, key: demoKey(t), script: script}
	t.Cleanup(func() { // the devices have closed: the scripts end by themselves, or are stuck
		stuck := time.AfterFunc(10*time.Second, func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			for _, nc := range n.conns {
				nc.Close()
			}
		})
		n.wg.Wait()
		stuck.Stop()
	})
	return n
}

// listen serves real sockets.
func listen(t *testing.T, script func(n int, p *peer)) *node {
	n := newNode(t, script)
	var err error
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.listener.Close() })
	n.wg.Go(func() {
		for {
			nc, err := n.listener.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(30 * time.Second))
			n.serve(nc)
		}
	})
	return n
}

func (n *node) addr() string { return n.listener.Addr().String() }

// options are those of a device of this node.
func (n *node) options() DeviceOptions {
	o := DeviceOptions{Address: "pipe:1", DemoKey: true, DeviceID: "dev-1", OSName: "android", OSVersion: "6.0", ClientVersion: "1.0"}
	if n.listener != nil {
		o.Address = n.addr()
	} else {
		o.Dialer = n.dial
	}
	return o
}

// dial is a Dialer.
func (n *node) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	n.serve(ours)
	return theirs, nil
}

func (n *node) serve(nc net.Conn) {
	p := &peer{nc: nc, key: n.key, buf: make([]byte, 4096)}
	n.mu.Lock()
	number := len(n.conns)
	n.conns = append(n.conns, nc)
	n.mu.Unlock()
	n.wg.Go(func() {
		defer nc.Close()
		defer func() {
			failure := recover()
			if told, ok := failure.(peerFailure); ok {
				n.t.Errorf("node, connection %d: %v", number, told.error)
			} else if failure != nil {
				panic(failure)
			}
		}()
		n.script(number, p)
	})
}

// peer is the node's end of one connection. What goes wrong fails the test and
// ends the script.
type peer struct {
	nc      net.Conn
	key     *protocol.PrivateKey
	decoder protocol.Decoder
	buf     []byte
	unread  []byte
	cipher  *protocol.Cipher
	session Session
	offered protocol.SessionKey // what the device asked to be answered with
}

type peerFailure struct{ error }

func (p *peer) failf(format string, args ...any) { panic(peerFailure{fmt.Errorf(format, args...)}) }

// next returns the next packet, its body in clear, or the end.
func (p *peer) next() (protocol.Packet, error) {
	for {
		packet, rest, ok, err := p.decoder.Next(p.unread, 1<<20)
		p.unread = rest
		if err != nil {
			return packet, err
		}
		if ok && packet.Command == protocol.CmdHandshake && packet.Flags&protocol.FlagCrypto != 0 {
			if packet.Body, err = p.key.AppendDecrypt(nil, packet.Body); err != nil {
				return packet, err
			}
			var m protocol.Handshake
			if err = packet.Unmarshal(&m); err == nil {
				p.offered = protocol.SessionKey{Key: [16]byte(m.ClientKey), IV: [16]byte(m.IV)}
			}
			return packet, err
		}
		if ok {
			body, err := protocol.Open(nil, &packet, p.cipher, 1<<20)
			packet.Body = bytes.Clone(body)
			return packet, err
		}
		n, err := p.nc.Read(p.buf)
		if err != nil {
			return packet, err
		}
		p.unread = p.buf[:n]
	}
}

// read skips heartbeats and wants a packet of this command.
func (p *peer) read(want protocol.Command) protocol.Packet {
	for {
		packet, err := p.next()
		if err != nil {
			p.failf("waiting for %v: %w", want, err)
		}
		if packet.Command == protocol.CmdHeartbeat && want != protocol.CmdHeartbeat {
			continue
		}
		if packet.Command != want {
			p.failf("got %v, want %v", packet.Command, want)
		}
		return packet
	}
}

// gone answers heartbeats until the device closes.
func (p *peer) gone() {
	for {
		packet, err := p.next()
		if err != nil {
			return
		}
		if packet.Command != protocol.CmdHeartbeat {
			p.failf("got %v, want the end", packet.Command)
		}
		p.nc.Write([]byte{protocol.HeartbeatByte}) // a device that is gone does not matter
	}
}

func (p *peer) write(frame []byte) {
	if _, err := p.nc.Write(frame); err != nil {
		p.failf("writing: %w", err)
	}
}

func (p *peer) writeHex(text string) {
	frame, err := hex.DecodeString(text)
	if err != nil {
		p.failf("bad hex in the test: %w", err)
	}
	p.write(frame)
}

// send writes a message, sealed as a node would.
func (p *peer) send(cmd protocol.Command, flags protocol.Flags, id int32, m protocol.Message, c *protocol.Cipher) {
	body, err := m.AppendBinary(nil)
	if err != nil {
		p.failf("%w", err)
	}
	frame, err := protocol.AppendSealed(nil, cmd, flags, id, body, 10240, c)
	if err != nil {
		p.failf("%w", err)
	}
	p.write(frame)
}

// foreign has a key that is not the device's. What it seals ends, for the device, in
// padding that is wrong: by chance, one key of 256 gives it padding that is right.
func foreign(m protocol.Message, device protocol.SessionKey) *protocol.Cipher {
	body, err := m.AppendBinary(nil)
	if err != nil {
		panic(peerFailure{err})
	}
	for key := (protocol.SessionKey{}); ; key.Key[0]++ {
		c := protocol.NewCipher(key)
		if _, err := protocol.NewCipher(device).AppendDecrypt(nil, c.AppendEncrypt(nil, body)); err != nil {
			return c
		}
	}
}

// shake answers a HANDSHAKE.
func (p *peer) shake(sessionID string, heartbeatMillis int32) protocol.Handshake {
	packet := p.read(protocol.CmdHandshake)
	var m protocol.Handshake
	if err := packet.Unmarshal(&m); err != nil {
		p.failf("%w", err)
	}
	server := [16]byte{0: 0x0b, 7: 0xff, 15: 0x36}
	expires := time.Now().Add(24 * time.Hour).Truncate(time.Millisecond)
	reply := protocol.HandshakeOK{ServerKey: server[:], Heartbeat: heartbeatMillis, SessionID: sessionID, ExpireTime: expires.UnixMilli()}
	p.send(protocol.CmdHandshake, 0, packet.SessionID, &reply, protocol.NewCipher(p.offered))
	p.session = Session{ID: sessionID, Expires: expires, Key: protocol.SessionKey{Key: protocol.MixKey(p.offered.Key, server), IV: p.offered.IV}}
	p.cipher = protocol.NewCipher(p.session.Key)
	return m
}

// resume answers a FAST_CONNECT for a session.
func (p *peer) resume(s Session, heartbeatMillis int32) {
	packet := p.read(protocol.CmdFastConnect)
	var m protocol.FastConnect
	if err := packet.Unmarshal(&m); err != nil || m.SessionID != s.ID {
		p.failf("FAST_CONNECT for %q, want %q (%v)", m.SessionID, s.ID, err)
	}
	p.send(protocol.CmdFastConnect, 0, packet.SessionID, &protocol.FastConnectOK{Heartbeat: heartbeatMillis}, nil)
	p.session, p.cipher = s, protocol.NewCipher(s.Key)
}

func (p *peer) ok(id int32, cmd protocol.Command, data string) {
	p.send(protocol.CmdOK, 0, id, &protocol.OK{Command: cmd, Data: data}, nil)
}

func (p *peer) refuse(id int32, cmd protocol.Command, code protocol.Code, reason string) {
	p.send(protocol.CmdError, 0, id, &protocol.Error{Command: cmd, Code: code, Reason: reason}, nil)
}

// readBind wants a BIND or UNBIND and does not answer it.
func (p *peer) readBind(cmd protocol.Command) (int32, protocol.Bind) {
	packet := p.read(cmd)
	if packet.Flags&protocol.FlagCrypto == 0 {
		p.failf("%v in clear", cmd)
	}
	var m protocol.Bind
	if err := packet.Unmarshal(&m); err != nil {
		p.failf("%w", err)
	}
	return packet.SessionID, m
}

// bind accepts a BIND.
func (p *peer) bind() protocol.Bind {
	id, m := p.readBind(protocol.CmdBind)
	p.ok(id, protocol.CmdBind, protocol.DataBindSuccess)
	return m
}

func (p *peer) unbind() {
	id, _ := p.readBind(protocol.CmdUnbind)
	p.ok(id, protocol.CmdUnbind, protocol.DataUnbindSuccess)
}

func (p *peer) push(id int32, flags protocol.Flags, content string) {
	p.send(protocol.CmdPush, flags, id, &protocol.Push{Content: []byte(content)}, p.cipher)
}

// readAck wants the ACK of a push.
func (p *peer) readAck(id int32) {
	if packet := p.read(protocol.CmdAck); packet.SessionID != id || packet.Flags != 0 || len(packet.Body) != 0 {
		p.failf("ACK %d flags %d with %d bytes, want %d, 0, 0", packet.SessionID, packet.Flags, len(packet.Body), id)
	}
}

func (p *peer) kick(device, user string) {
	p.send(protocol.CmdKick, 0, 0, &protocol.Kick{DeviceID: device, UserID: user}, p.cipher)
}

// dialNode is Dial that must succeed; the connection is closed with the test.
func dialNode(t *testing.T, o DeviceOptions) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receivePush wants a PUSH.
func receivePush(t *testing.T, c *Conn) protocol.Packet {
	t.Helper()
	p, err := c.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.Command != protocol.CmdPush {
		t.Fatalf("received %v, want PUSH", p.Command)
	}
	return p
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}
