//go:build linux

package limits

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// device is an ordinary device that acknowledges what it gets.
type device struct {
	conn   *client.Conn
	got    chan string
	cancel context.CancelFunc
	ended  chan error
}

// connect logs a device in, binds it to the user and receives until the test ends.
func (p *product) connect(t *testing.T, user string) *device {
	t.Helper()
	dialing, done := context.WithTimeout(t.Context(), patience)
	defer done()
	conn, err := client.Dial(dialing, client.DeviceOptions{
		Address: p.device, DemoKey: true, DeviceID: "device-of-" + user, OSName: "android", ConnectTimeout: patience,
		RequestTimeout: patience, ManualHeartbeat: true})
	if err != nil {
		p.alive(t)
		t.Fatalf("a device cannot connect: %v", err)
	}
	must(t, conn.Bind(dialing, user, "", ""))
	ctx, cancel := context.WithCancel(context.Background())
	d := &device{conn: conn, got: make(chan string, 16), cancel: cancel, ended: make(chan error, 1)}
	go d.receive(ctx)
	t.Cleanup(d.leave)
	return d
}

func (d *device) receive(ctx context.Context) {
	for {
		p, err := d.conn.Receive(ctx)
		if err == nil && p.Flags&protocol.FlagAutoAck != 0 {
			err = d.conn.Ack(p.SessionID)
		}
		if err != nil {
			d.ended <- err
			close(d.ended)
			return
		}
		d.got <- string(p.Body)
	}
}

func (d *device) leave() {
	d.cancel()
	_ = d.conn.Close() // always nil
	for range d.ended {
	}
}

// pusher is a back end that keeps its connection.
func (p *product) pusher(t *testing.T) *client.Pusher {
	t.Helper()
	pusher, err := client.NewPusher(client.PusherOptions{URL: "http://" + p.alloc, MaxRetries: -1})
	must(t, err)
	t.Cleanup(pusher.Close)
	return pusher
}

// reaches pushes to the user's device, which has to acknowledge.
func (d *device) reaches(t *testing.T, pusher *client.Pusher, user, content string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	result, err := pusher.Push(ctx, client.PushRequest{
		User: user, Content: []byte(content), Ack: protocol.AckAuto, Wait: 20 * time.Second})
	if err != nil || result.Outcome != protocol.OutcomeAcked {
		t.Fatalf("the push ended as %s, %v", result.Outcome, err)
	}
	select {
	case got := <-d.got:
		if got != content {
			t.Fatalf("the device got %q, want %q", got, content)
		}
	case err := <-d.ended:
		t.Fatalf("the device lost its connection: %v", err)
	case <-ctx.Done():
		t.Fatal("the device got nothing")
	}
}

// works has a new device get a push from a new back end.
func (p *product) works(t *testing.T) {
	t.Helper()
	p.alive(t)
	d := p.connect(t, "afterwards")
	d.reaches(t, p.pusher(t), "afterwards", "still here")
	d.leave()
}

// flood is many connections that say nothing. They are bare sockets: thousands of
// them cost little.
type flood struct {
	sockets []int
	once    sync.Once
}

// floodOf opens count connections to an address; the end of the test closes them.
func floodOf(t *testing.T, address string, count int) *flood {
	t.Helper()
	to, err := net.ResolveTCPAddr("tcp4", address)
	must(t, err)
	f := &flood{}
	t.Cleanup(f.end)
	for range count {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		must(t, err)
		f.sockets = append(f.sockets, fd)
		limit := syscall.NsecToTimeval(patience.Nanoseconds()) // bounds connect
		must(t, syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &limit))
		must(t, connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}))
	}
	return f
}

func connect(fd int, to syscall.Sockaddr) error {
	for {
		// The scheduler's signals interrupt; asking again waits on, and then it is done.
		switch err := syscall.Connect(fd, to); err {
		case syscall.EINTR, syscall.EALREADY:
		case syscall.EISCONN:
			return nil
		default:
			return err
		}
	}
}

// closed counts the connections that the product has closed.
func (f *flood) closed() (count int) {
	var buf [1]byte
	for _, fd := range f.sockets {
		n, _, err := syscall.Recvfrom(fd, buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err == syscall.ECONNRESET || err == nil && n == 0 {
			count++
		}
	}
	return count
}

// end closes every connection.
func (f *flood) end() {
	f.once.Do(func() {
		for _, fd := range f.sockets {
			_ = syscall.Close(fd)
		}
	})
}
