package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// BareServer is the hidden child that a broadcast is compared with: it accepts
// sockets and, when told, writes one frame to each of them, one write after the
// other from one goroutine. It knows no protocol and reads nothing.
type BareServer struct {
	Listen string `default:"127.0.0.1:0" help:"Loopback address to listen on."`
	Size   int    `default:"100" help:"Content bytes of the frame; its header comes on top."`
}

// Run takes orders from standard input until it ends.
func (b *BareServer) Run(ctx context.Context) error {
	return b.serve(ctx, os.Stdin, os.Stdout)
}

func (b *BareServer) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	if err := checkLoopback(b.Listen); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", b.Listen)
	if err != nil {
		return fmt.Errorf("listen for the bare write loop: %w", err)
	}
	room := newBareRoom(listener.(*net.TCPListener))
	defer room.close()
	tell := newTeller(out)
	if err := tell(event{Op: opListening, Address: listener.Addr().String()}); err != nil {
		return err
	}
	frame := bareFrame(b.Size)
	return obey(ctx, in, tell, func(ctx context.Context, o order) (event, error) {
		switch o.Op {
		case opAccepted:
			return event{Devices: o.Devices}, room.fill(ctx, o.Devices)
		case opWrite:
			start := time.Now()
			err := room.write(frame)
			return event{Devices: len(room.sockets), Seconds: time.Since(start).Seconds()}, err
		default:
			return event{}, fmt.Errorf("unknown order %q", o.Op)
		}
	})
}

// bareFrame is a push frame of the wire protocol in clear.
func bareFrame(size int) []byte {
	content := bytes.Repeat([]byte{'.'}, size)
	return protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdPush, SessionID: 1, Body: content})
}

// bareRoom holds the accepted sockets.
type bareRoom struct {
	listener *net.TCPListener
	sockets  []bareSocket
}

func newBareRoom(l *net.TCPListener) *bareRoom { return &bareRoom{listener: l} }

// fill accepts until there are count sockets.
func (r *bareRoom) fill(ctx context.Context, count int) error {
	stop := context.AfterFunc(ctx, func() { r.listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for len(r.sockets) < count {
		conn, err := r.listener.AcceptTCP()
		if err != nil {
			return fmt.Errorf("accept socket %d: %w", len(r.sockets)+1, err)
		}
		socket, err := newBareSocket(conn)
		if err != nil {
			conn.Close()
			return err
		}
		r.sockets = append(r.sockets, socket)
	}
	return nil
}

// write is the loop that the server is compared with.
func (r *bareRoom) write(frame []byte) error {
	for i := range r.sockets {
		if err := r.sockets[i].write(frame); err != nil {
			return fmt.Errorf("write to socket %d: %w", i+1, err)
		}
	}
	return nil
}

func (r *bareRoom) close() {
	r.listener.Close()
	for i := range r.sockets {
		r.sockets[i].close()
	}
}
