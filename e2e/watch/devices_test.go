//go:build linux

package watch

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

const (
	population   = 24                    // devices, each with a user of its own
	trafficPause = 50 * time.Millisecond // between two pushes of one sender
)

// devices are connected all the while, to whatever node the allocators name.
type devices struct {
	all []*client.Device
}

func (s *stack) publicKey(t testing.TB) *protocol.PublicKey {
	t.Helper()
	key, err := protocol.ParsePublicKey([]byte(s.secret(t, "fanfare/public.pem")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// connectDevices has all devices connect and waits until they are.
func connectDevices(t *testing.T, s *stack) *devices {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &devices{}
	var work sync.WaitGroup
	t.Cleanup(func() { cancel(); work.Wait() })
	for i := range population {
		c, err := client.NewDevice(client.DeviceOptions{
			Allocator: "http://" + s.allocators[i%allocators].address + "/", PublicKey: s.publicKey(t),
			User: user(i), DeviceID: "device-of-" + user(i), OSName: "android",
			SessionStore: new(client.MemorySessions), AfterKick: client.KickReconnect,
			Backoff: client.Backoff{Min: 200 * time.Millisecond, Max: time.Second},
		})
		if err != nil {
			t.Fatal(err)
		}
		d.all = append(d.all, c)
		work.Go(func() { _ = c.Run(ctx) }) // whether it is connected is looked at below
	}
	eventually(t, "all devices are connected", d.missing)
	return d
}

func user(i int) string { return fmt.Sprintf("user-%02d", i) }

// missing tells who is not connected.
func (d *devices) missing() string {
	n := 0
	for _, c := range d.all {
		if c.State() == client.StateBound {
			n++
		}
	}
	return unless(n == len(d.all), "%d of %d are", n, len(d.all))
}

// traffic pushes to all devices, some that do not exist and everybody, until the function
// that it returns is called.
func (s *stack) traffic(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, a := range s.allocators {
		p, err := client.NewPusher(client.PusherOptions{URL: "http://" + a.address, Token: s.secret(t, "fanfare/api-tokens")})
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			defer p.Close()
			for i := 0; ctx.Err() == nil; i++ {
				q := client.PushRequest{User: user(i % population), Content: []byte("traffic"), Ack: protocol.AckAuto}
				switch {
				case i%50 == 10:
					q = client.PushRequest{Broadcast: true, Content: q.Content}
				case i%50 == 20:
					q.User = "nobody"
				case i%50 == 30:
					q.User, q.TTL = "later", time.Hour
				}
				_, _ = p.Push(ctx, q) // what becomes of it is what the books say
				select {
				case <-ctx.Done():
				case <-time.After(trafficPause):
				}
			}
		})
	}
	for _, n := range s.nodes {
		work.Go(func() { backEnd(ctx, n.gateway) })
	}
	work.Go(func() { s.comeAndGo(ctx, t) })
	return sync.OnceFunc(func() { cancel(); work.Wait() })
}

// comeAndGo is a device that connects, with the handshake of a new one, and leaves soon.
func (s *stack) comeAndGo(ctx context.Context, t *testing.T) {
	for i := 0; ctx.Err() == nil; i++ {
		c, err := client.NewDevice(client.DeviceOptions{
			Allocator: "http://" + s.allocators[i%allocators].address + "/", PublicKey: s.publicKey(t),
			User: "passer-by", DeviceID: "device-of-passer-by", OSName: "ios",
		})
		if err != nil {
			t.Error(err)
			return
		}
		stay, leave := context.WithTimeout(ctx, 10*trafficPause)
		_ = c.Run(stay) // it ends with the time
		leave()
	}
}

// backEnd pushes over a node's gateway as an MPush back end does, until the context ends.
// It does not read what becomes of it.
func backEnd(ctx context.Context, gateway string) {
	conn, err := net.Dial("tcp", gateway)
	if err != nil {
		return
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
	for i := int32(1); ctx.Err() == nil; i++ {
		push := protocol.GatewayPush{UserID: user(int(i) % population), ClientType: protocol.ClientMobile, Timeout: 5000, Content: []byte("traffic")}
		body, err := push.AppendBinary(nil)
		if err != nil {
			return
		}
		frame := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdGatewayPush, Flags: protocol.AckAuto.Flags(), SessionID: i, Body: body})
		if _, err := conn.Write(frame); err != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(trafficPause):
		}
	}
}
