package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// heartbeat is what devices ask for; they send none, so that an idle connection
// is really idle.
const heartbeat = time.Hour

// dialer returns how a device of the mode connects.
func (d *Devices) dialer() (func(context.Context, int) (receiver, error), error) {
	if d.Mode == "plain" {
		return func(ctx context.Context, i int) (receiver, error) {
			conn, err := dialFrom(ctx, i, d.Address)
			if err != nil {
				return nil, err
			}
			return &byteReceiver{conn: conn, socket: conn}, nil
		}, nil
	}
	pair, err := protocol.DemoKeyPair()
	if err != nil {
		return nil, fmt.Errorf("the published key: %w", err)
	}
	return func(ctx context.Context, i int) (receiver, error) {
		return d.login(ctx, i, pair.Public())
	}, nil
}

// dialFrom connects from the source address of device i.
func dialFrom(ctx context.Context, i int, address string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: sourceOf(i), KeepAlive: -1}
	return dialer.DialContext(ctx, "tcp", address)
}

// login makes a full handshake and binds the user of device i.
func (d *Devices) login(ctx context.Context, i int, key *protocol.PublicKey) (receiver, error) {
	var socket net.Conn
	conn, err := client.Dial(ctx, client.DeviceOptions{
		Address: d.Address, PublicKey: key, DeviceID: fmt.Sprintf("bench-device-%d", i),
		OSName: "android", OSVersion: "15", ClientVersion: "1.0.0",
		MinHeartbeat: heartbeat, MaxHeartbeat: heartbeat, ManualHeartbeat: true,
		ConnectTimeout: loginPatience, RequestTimeout: loginPatience, ReadBuffer: 256,
		Dialer: func(ctx context.Context, _, address string) (net.Conn, error) {
			var err error
			socket, err = dialFrom(ctx, i, address)
			return socket, err
		},
	})
	if err != nil {
		return nil, err
	}
	// The end of ctx must not touch the socket later, when it is read directly;
	// the reply has a time limit of its own.
	if err := conn.Bind(context.WithoutCancel(ctx), userOf(i), "", ""); err != nil {
		conn.Close()
		return nil, err
	}
	if d.Mode == "bytes" {
		return &byteReceiver{conn: conn, socket: socket}, nil
	}
	return &pushReceiver{conn}, nil
}

// loginPatience bounds each step of a login; on a busy machine thousands of key
// exchanges may be waiting.
const loginPatience = time.Minute

// pushReceiver decodes pushes and acknowledges those that want it.
type pushReceiver struct{ conn *client.Conn }

func (p *pushReceiver) receive(m *meter) error {
	packet, err := p.conn.Receive(context.Background())
	if err != nil {
		return err
	}
	if packet.Command != protocol.CmdPush {
		return nil
	}
	m.message(packet.Body, time.Now())
	if protocol.AckModeOf(packet.Flags) != protocol.AckNone {
		return p.conn.Ack(packet.SessionID)
	}
	return nil
}

func (p *pushReceiver) close() { p.conn.Close() }

// byteReceiver counts what arrives without looking at it.
type byteReceiver struct {
	conn   interface{ Close() error } // the connection or the device around it
	socket net.Conn
	buf    [512]byte
}

func (b *byteReceiver) receive(m *meter) error {
	n, err := b.socket.Read(b.buf[:])
	m.add(int64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) { // of the login, late
		return b.socket.SetReadDeadline(time.Time{})
	}
	return err
}

func (b *byteReceiver) close() { b.conn.Close() }
