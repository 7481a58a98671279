package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// certificate is a self-signed one for loopback and the client configuration that
// trusts it.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

// withTLS turns TLS on, on the device and the WebSocket port.
func withTLS(o *server.Options) {
	c, _ := certificate()
	o.TLS = &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}
}

func trusting(version uint16) *tls.Config {
	_, pool := certificate()
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: version, MaxVersion: version}
}

// overTLS makes the SDK's device speak TLS and take packets of any length.
func overTLS(version uint16) func(*client.DeviceOptions) {
	return func(o *client.DeviceOptions) { o.TLS, o.MaxPacket = trusting(version), 4<<20 }
}

// dialTLS opens a connection that speaks bytes under TLS.
func dialTLS(t *testing.T, address string, version uint16) *tls.Conn {
	t.Helper()
	c := tls.Client(dialRaw(t, address), trusting(version))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// securePageTo is pageTo over wss.
func securePageTo(t testing.TB, n *servertest.Node) *page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	transport := &http.Transport{TLSClientConfig: trusting(tls.VersionTLS13)}
	t.Cleanup(transport.CloseIdleConnections)
	ws, _, err := websocket.Dial(ctx, n.WebSocketURL(), &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &page{t, ctx, ws}
}

// wantTransports compares what is open, what was opened and what was closed, for a
// reason each or more than one.
func wantTransports(t *testing.T, n *servertest.Node, open map[protocol.Transport]int) {
	t.Helper()
	servertest.Eventually(t, "transports are counted", func() bool {
		for _, tr := range []protocol.Transport{protocol.TCP, protocol.TLS, protocol.WS, protocol.WSS} {
			if int(testutil.ToFloat64(n.Metrics.Connections(tr))) != open[tr] {
				return false
			}
		}
		return true
	})
	for _, tr := range []protocol.Transport{protocol.TCP, protocol.TLS, protocol.WS, protocol.WSS} {
		closed := 0.0
		for r := protocol.ClosePeer; r <= protocol.CloseInternal; r++ {
			closed += testutil.ToFloat64(n.Metrics.Closed(tr, r))
		}
		if opened := testutil.ToFloat64(n.Metrics.Opened(tr)); opened != closed+float64(open[tr]) {
			t.Errorf("%s: %v opened, %v closed, %d open", tr, opened, closed, open[tr])
		}
	}
}

func stopNode(t *testing.T, n *servertest.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// One port each serves devices with and without TLS.
func TestTLSOnTheSamePorts(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, withTLS)
	devices := map[string]*client.Conn{
		"tcp":   n.Dial(t, "dev-1", "tcp"),
		"tls12": n.Dial(t, "dev-2", "tls12", overTLS(tls.VersionTLS12)),
		"tls13": n.Dial(t, "dev-3", "tls13", overTLS(tls.VersionTLS13)),
	}
	for user, c := range devices {
		for _, ack := range []protocol.AckMode{protocol.AckNone, protocol.AckAuto, protocol.AckBiz} {
			done := n.Send(t, cluster.Push{Content: []byte("hello " + user), Ack: ack}, user)
			p := next(t, c)
			if p.Command != protocol.CmdPush || string(p.Body) != "hello "+user {
				t.Fatalf("%s got %s %q", user, p.Command, p.Body)
			}
			want := protocol.OutcomeSent
			if ack != protocol.AckNone {
				want = protocol.OutcomeAcked
				if err := c.Ack(p.SessionID); err != nil {
					t.Fatal(err)
				}
			}
			if r := servertest.Outcome(t, done); r.Outcome != want {
				t.Errorf("%s, ack %s: %s, want %s", user, ack, r.Outcome, want)
			}
		}
		if err := c.Heartbeat(); err != nil {
			t.Errorf("%s: heartbeat: %v", user, err)
		}
	}
	p := securePageTo(t, n)
	p.login("web-1", "alice")
	p.push(n, protocol.AckAuto, 24)
	p.push(n, protocol.AckNone, 16)
	if d := n.Devices("alice"); len(d) != 1 || d[0].Transport != "wss" {
		t.Errorf("alice has %+v", d)
	}
	if d := n.Devices("tls12"); len(d) != 1 || d[0].Transport != "tls" {
		t.Errorf("tls12 has %+v", d)
	}
	wantTransports(t, n, map[protocol.Transport]int{protocol.TCP: 1, protocol.TLS: 2, protocol.WSS: 1})
	stopNode(t, n)
	wantTransports(t, n, nil)
}

// A frame longer than the bound of waiting bytes is let through an empty queue, as
// it is without TLS, where it is one write and not a record for each kilobyte.
func TestTLSLongContent(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, withTLS)
	content := make([]byte, 1<<20)
	_, _ = rand.Read(content) // or it would be compressed to nothing
	for version, user := range map[uint16]string{tls.VersionTLS12: "tls12", tls.VersionTLS13: "tls13"} {
		c := n.Dial(t, "dev-"+user, user, overTLS(version))
		for range 3 {
			done := n.Send(t, cluster.Push{Content: content, Ack: protocol.AckAuto}, user)
			p := next(t, c)
			if p.Command != protocol.CmdPush || !bytes.Equal(p.Body, content) {
				t.Fatalf("%s got %s with %d bytes", user, p.Command, len(p.Body))
			}
			if err := c.Ack(p.SessionID); err != nil {
				t.Fatal(err)
			}
			if r := servertest.Outcome(t, done); r.Outcome != protocol.OutcomeAcked {
				t.Errorf("%s: %s", user, r.Outcome)
			}
		}
	}
}

func TestTLSSlowDeviceIsClosed(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, withTLS)
	_ = n.Dial(t, "dev-1", "frozen", overTLS(tls.VersionTLS13)) // never reads
	content := make([]byte, 60<<10)
	_, _ = rand.Read(content)
	var ends []<-chan cluster.Result
	for n.Info().Connections > 0 {
		ends = append(ends, n.Send(t, cluster.Push{Content: content}, "frozen"))
	}
	closedFor(t, n, protocol.TLS, protocol.CloseSlowBytes)
	slow := 0
	for _, end := range ends {
		switch r := servertest.Outcome(t, end); r.Outcome {
		case protocol.OutcomeSlow:
			slow++
		case protocol.OutcomeSent, protocol.OutcomeOffline:
		default:
			t.Errorf("a push ended as %s", r.Outcome)
		}
	}
	if slow < 2 {
		t.Errorf("%d of %d pushes ended as slow, want those that waited and the one too many", slow, len(ends))
	}
	wantTransports(t, n, nil)
}

func TestTLSHandshakesThatFail(t *testing.T) {
	t.Parallel()
	hello := clientHello(t)
	for name, test := range map[string]struct {
		bytes  []byte
		hangUp bool
		reason protocol.CloseReason
	}{
		"garbage after the hello":      {append(bytes.Clone(hello), bytes.Repeat([]byte("garbage"), 100)...), false, protocol.CloseTLS},
		"garbage for a hello":          {[]byte("\x16\x03\x01\x00\x05hello"), false, protocol.CloseTLS},
		"hung up after the hello":      {hello, true, protocol.CloseTLS},
		"hung up in the hello":         {hello[:20], true, protocol.CloseTLS},
		"never finishes its hello":     {hello[:20], false, protocol.CloseHandshakeTimeout},
		"never goes on from the hello": {hello, false, protocol.CloseHandshakeTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := servertest.Start(t, withTLS, func(o *server.Options) { o.Limits.HandshakeTimeout = 2 * time.Second })
			for transport, address := range map[protocol.Transport]net.Addr{
				protocol.TLS: n.Addr("device"), protocol.WSS: n.Addr("websocket"),
			} {
				nc := dialRaw(t, address.String())
				if _, err := nc.Write(test.bytes); err != nil {
					t.Fatal(err)
				}
				if test.hangUp {
					_ = nc.(*net.TCPConn).CloseWrite()
				}
				readEnd(t, nc)
				closedFor(t, n, transport, test.reason)
			}
			wantTransports(t, n, nil)
		})
	}
}

// A device that made its TLS connection and says nothing more misses the deadline too.
func TestTLSWithoutADeviceBehindIt(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, withTLS, func(o *server.Options) { o.Limits.HandshakeTimeout = 2 * time.Second })
	readEnd(t, dialTLS(t, n.DeviceAddress(), tls.VersionTLS13))
	closedFor(t, n, protocol.TLS, protocol.CloseHandshakeTimeout)
	wantTransports(t, n, nil)
}

// clientHello is the first flight of a real client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(theirs, trusting(tls.VersionTLS13)).Handshake()
	}()
	hello := make([]byte, 16<<10)
	k, err := ours.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	<-done
	_ = theirs.Close()
	return hello[:k]
}

// tap keeps what a client reads off the wire.
type tap struct {
	net.Conn
	read bytes.Buffer
}

func (c *tap) Read(b []byte) (int, error) {
	k, err := c.Conn.Read(b)
	c.read.Write(b[:k])
	return k, err
}

// The last word of the node is followed by TLS's own, without which a peer has to
// take the end for an attack that cut the conversation short.
func TestTLSFarewell(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, withTLS)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		wire := &tap{Conn: dialRaw(t, n.DeviceAddress())}
		c := tls.Client(wire, trusting(version))
		if _, err := c.Write(frame(99, 0, nil)); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("%s: %v, want the node's last word and an orderly end", tls.VersionName(version), err)
		}
		checkLastWord(t, got, protocol.CodeUnsupportedCommand)
		if records := tlsRecords(wire.read.Bytes()); version == tls.VersionTLS12 && records[len(records)-1] != 21 {
			t.Errorf("records %v do not end with an alert", records)
		}
	}
	servertest.Eventually(t, "both closed", func() bool {
		return testutil.ToFloat64(n.Metrics.Closed(protocol.TLS, protocol.CloseUnsupported)) == 2
	})
}

// tlsRecords lists the types of the records in a stream.
func tlsRecords(stream []byte) (types []byte) {
	for len(stream) >= 5 {
		types = append(types, stream[0])
		stream = stream[min(len(stream), 5+int(stream[3])<<8+int(stream[4])):]
	}
	return types
}
