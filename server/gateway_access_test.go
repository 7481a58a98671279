package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/store"
)

func TestWhoMayPush(t *testing.T) {
	t.Parallel()
	allow := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("198.51.100.7/32")}
	for address, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.10": true, "::1": true, "::ffff:127.0.0.1": true,
		"10.1.2.3": true, "172.16.0.1": true, "172.31.255.255": true, "192.168.1.1": true, "::ffff:10.0.0.1": true, "fd00::1": true,
		"172.32.0.1": false, "192.169.0.1": false, "11.0.0.1": false, "8.8.8.8": false, "0.0.0.0": false, "100.64.0.1": false,
		"169.254.1.1": false, "fe80::1": false, "fe80::1%eth0": false, "2001:db8::1": false, "::ffff:8.8.8.8": false, "::": false,
		"203.0.113.200": true, "::ffff:203.0.113.200": true, "203.0.114.1": false, "198.51.100.7": true, "198.51.100.8": false,
		"2001:db8:1::5": true, "2001:db8:1::5%eth0": true, "2001:db8:2::5": false,
	} {
		if got := trusted(netip.MustParseAddr(address), allow); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
	if o := (&Options{}); o.trusts(&net.UnixAddr{}) || !o.trusts(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}) {
		t.Error("addresses of other kinds")
	}
}

// fromAfar is a connection that seems to come from a public address.
type fromAfar struct{ *net.TCPConn }

func (fromAfar) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4711} }

// afar is a node whose gateway is reached from a public address.
type afar struct {
	*Node
	t       *testing.T
	metrics *exporter.Metrics
	door    net.Listener
	wg      sync.WaitGroup
}

func startAfar(t *testing.T, change func(*Options)) *afar {
	t.Helper()
	key, err := protocol.DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := &afar{t: t, metrics: exporter.New(prometheus.NewRegistry())}
	o := DefaultOptions()
	o.ID, o.Key, o.Store, o.Metrics, o.Logger = "node-1", key, sessions, a.metrics, slog.New(slog.DiscardHandler)
	o.Ledger = ledger.New(ledger.Options{Metrics: a.metrics})
	o.Listen = Endpoints{Device: "127.0.0.1:0", Gateway: "127.0.0.1:0"}
	change(&o)
	if a.Node, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if a.door, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	a.wg.Go(func() {
		for {
			nc, err := a.door.Accept()
			if err != nil {
				return
			}
			a.gateways.accept(a.Node, fromAfar{nc.(*net.TCPConn)})
		}
	})
	t.Cleanup(func() {
		_ = a.door.Close()
		a.wg.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(a.Stop(ctx), sessions.Close()); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *afar) dial() net.Conn {
	a.t.Helper()
	nc, err := net.Dial("tcp", a.door.Addr().String())
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		a.t.Fatal(err)
	}
	return nc
}

// wantClosed expects that nothing is said before the end.
func (a *afar) wantClosed(nc net.Conn) {
	a.t.Helper()
	b, err := io.ReadAll(nc)
	if len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		a.t.Errorf("the node said %x, %v, want the end of the connection", b, err)
	}
}

func (a *afar) refused(reason exporter.GatewayRefusal, want int) {
	a.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		got := int(testutil.ToFloat64(a.metrics.GatewayRefused(reason)))
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("%d refusals for %v were counted, want %d", got, reason, want)
		}
	}
}

// gatewayPush is one to a user who is not there.
func gatewayPush(t *testing.T) []byte {
	body, err := (&protocol.GatewayPush{UserID: "nobody", ClientType: 1, Content: []byte("x")}).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdGatewayPush, SessionID: 1, Body: body})
}

func TestStrangersMayNotConnect(t *testing.T) {
	t.Parallel()
	a := startAfar(t, func(*Options) {})
	a.wantClosed(a.dial())
	a.wantClosed(a.dial())
	a.refused(exporter.GatewayRefusedAddress, 2)
	listed := startAfar(t, func(o *Options) { o.GatewayAllow = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
	nc := listed.dial()
	if _, err := nc.Write(gatewayPush(t)); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, protocol.HeaderSize)
	if _, err := io.ReadFull(nc, reply); err != nil || protocol.Command(reply[4]) != protocol.CmdError {
		t.Errorf("the node said %x, %v, want that nobody is offline", reply, err)
	}
	listed.refused(exporter.GatewayRefusedAddress, 0)
}

const clusterSecret = "a secret of the cluster"

// TestStrangersMustProveTheSecret: nothing else that they say is listened to.
func TestStrangersMustProveTheSecret(t *testing.T) {
	t.Parallel()
	a := startAfar(t, func(o *Options) { o.GatewaySecret = clusterSecret })
	long := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdLinkHello, Body: make([]byte, strangerBytes+1)})
	for i, said := range [][]byte{
		gatewayPush(t), {protocol.HeartbeatByte}, long, []byte("GET / HTTP/1.1\r\n\r\n"),
		protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdLinkPush, Body: []byte("x")}),
		protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdHandshake, Body: []byte("x")}),
	} {
		nc := a.dial()
		if _, err := nc.Write(said); err != nil {
			t.Fatal(err)
		}
		a.wantClosed(nc)
		a.refused(exporter.GatewayRefusedSecret, i+1)
	}
	if books := a.opt.Ledger.Books(); books.Accepted != 0 {
		t.Errorf("a push was accepted: %+v", books)
	}
	own, err := net.Dial("tcp", a.Info().Gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if _, err := own.Write(gatewayPush(t)); err != nil { // from this machine all is as before
		t.Fatal(err)
	}
	if _, err := io.ReadFull(own, make([]byte, protocol.HeaderSize)); err != nil {
		t.Error(err)
	}
}

func TestStrangersHaveLittleTime(t *testing.T) {
	t.Parallel()
	a := startAfar(t, func(o *Options) {
		o.GatewaySecret, o.Limits.HandshakeTimeout = clusterSecret, 30*time.Millisecond
	})
	a.wantClosed(a.dial())
	a.refused(exporter.GatewayRefusedSecret, 1)
}

func TestStrangersAreFew(t *testing.T) {
	t.Parallel()
	a := startAfar(t, func(o *Options) { o.GatewaySecret = clusterSecret })
	for range maxStrangers {
		a.dial()
	}
	last := a.dial()
	a.wantClosed(last)
	a.refused(exporter.GatewayRefusedFull, 1)
	a.refused(exporter.GatewayRefusedSecret, 0)
}

// ended gets the result of a push over a link.
type ended chan cluster.Result

func (ended) Reached(protocol.Stage, string, time.Time) {}
func (ended) Progress(cluster.Result)                   {}
func (e ended) Done(r cluster.Result)                   { e <- r }

// TestNodesProveTheSecretFromAfar: they are linked, and those with another secret are not.
func TestNodesProveTheSecretFromAfar(t *testing.T) {
	t.Parallel()
	a := startAfar(t, func(o *Options) { o.GatewaySecret = clusterSecret })
	for secret, want := range map[string]protocol.Outcome{clusterSecret: protocol.OutcomeOffline, "another secret of 16": protocol.OutcomeNodeLost} {
		l := cluster.NewLink(cluster.Peer{ID: "node-1", Gateway: a.door.Addr().String(), Link: cluster.LinkVersion, State: cluster.Serving}, cluster.LinkOptions{
			Self: "node-2", Secret: secret, Timeout: 3 * time.Second, Metrics: a.metrics, Logger: slog.New(slog.DiscardHandler)})
		done := make(ended, 1)
		l.Push(&cluster.Push{ID: "m", Content: []byte("x"), Accepted: time.Now()}, "nobody", done)
		if r := <-done; r.Outcome != want {
			t.Errorf("with %q: %+v, want %v", secret, r, want)
		}
		l.Close()
	}
	a.gateways.mu.Lock()
	defer a.gateways.mu.Unlock()
	if a.gateways.strangers != 0 {
		t.Errorf("%d strangers are left", a.gateways.strangers)
	}
}

// TestFramesThatAreNotCompleteAreBounded: over all connections.
func TestFramesThatAreNotCompleteAreBounded(t *testing.T) {
	t.Parallel()
	a := startAfar(t, func(o *Options) { o.GatewayAllow = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
	a.gateways.bytes.Add(gatewayInbound - 1000)
	part := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdGatewayPush, Body: make([]byte, 5000)})[:4000]
	nc := a.dial()
	if _, err := nc.Write(part); err != nil {
		t.Fatal(err)
	}
	a.wantClosed(nc)
	push := gatewayPush(t)
	a.gateways.bytes.Store(gatewayInbound)
	nc = a.dial()
	if _, err := nc.Write(push); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, protocol.HeaderSize+2)
	if _, err := io.ReadFull(nc, reply); err != nil || protocol.Code(reply[protocol.HeaderSize+1]) != protocol.CodePushFailure {
		t.Errorf("the node said %x, %v, want a push failure", reply, err)
	}
	if got := a.gateways.bytes.Load(); got != gatewayInbound {
		t.Errorf("%d bytes are on the books", got)
	}
}
