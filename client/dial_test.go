package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

func TestHandshakeAgreesOnASession(t *testing.T) {
	agreed := make(chan Session, 1)
	n := listen(t, func(_ int, p *peer) {
		m := p.shake("34b37ed163965735ab20c62bdb98ee53", 10000)
		if m.DeviceID != "dev-1" || m.OSName != "android" || m.OSVersion != "6.0" || m.ClientVersion != "1.0" ||
			m.MinHeartbeat != 10000 || m.MaxHeartbeat != 240000 || string(m.IV) == string(m.ClientKey) {
			p.failf("handshake %+v", m)
		}
		agreed <- p.session
		p.gone()
	})
	o := n.options()
	o.SessionStore = new(MemorySessions)
	c := dialNode(t, o)
	if want := <-agreed; c.Session() != want {
		t.Errorf("session %v, want %v", c.Session(), want)
	}
	if c.Resumed() || c.HeartbeatInterval() != 10*time.Second || c.RemoteAddr().String() != n.addr() || c.LocalAddr() == nil {
		t.Errorf("resumed %v, heartbeat %v, server %v", c.Resumed(), c.HeartbeatInterval(), c.RemoteAddr())
	}
	if s, ok, _ := o.SessionStore.LoadSession(); !ok || s != c.Session() {
		t.Error("the session was not stored")
	}
}

func TestLongIdentityTakesSeveralBlocks(t *testing.T) {
	long := strings.Repeat("v", 300)
	n := listen(t, func(_ int, p *peer) {
		if m := p.shake("s", 10000); m.OSVersion != long {
			p.failf("OSVersion %q", m.OSVersion)
		}
		p.gone()
	})
	o := n.options()
	o.OSVersion = long
	dialNode(t, o)
}

func TestResumeRefusals(t *testing.T) {
	for _, c := range []struct {
		name    string
		code    protocol.Code
		reason  string
		goesOn  bool
		forgets bool
	}{
		{"expired", protocol.CodeSessionExpired, protocol.ReasonSessionExpired, true, true},
		{"another device", protocol.CodeInvalidDevice, protocol.ReasonInvalidDevice, true, true},
		{"fault of the node", protocol.CodeDispatchError, protocol.ReasonDispatchError, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := listen(t, func(_ int, p *peer) {
				p.refuse(p.read(protocol.CmdFastConnect).SessionID, protocol.CmdFastConnect, c.code, c.reason)
				if c.goesOn {
					p.shake("new", 10000)
				}
				p.gone()
			})
			o := fastConnectOptions(n)
			conn, err := Dial(t.Context(), o)
			if c.goesOn {
				if err != nil || conn.Resumed() || conn.Session().ID != "new" {
					t.Fatalf("no fallback: %v", err)
				}
				conn.Close()
				return
			}
			var refused *ServerError
			if !errors.As(err, &refused) || refused.Code != c.code || refused.Fatal() {
				t.Errorf("error %v", err)
			}
			if _, ok, _ := o.SessionStore.LoadSession(); ok == c.forgets {
				t.Errorf("session still stored: %v", ok)
			}
		})
	}
}

// brokenStore fails at everything.
type brokenStore struct{}

func (brokenStore) LoadSession() (Session, bool, error) { return Session{}, true, ErrBadSession }
func (brokenStore) SaveSession(Session) error           { return ErrBadSession }
func (brokenStore) DeleteSession() error                { return ErrBadSession }

func TestStoredSessionsThatAreNotTried(t *testing.T) {
	expired := new(MemorySessions)
	expired.SaveSession(javaSessionValue())
	for name, store := range map[string]SessionStore{"expired": expired, "broken store": brokenStore{}} {
		n := listen(t, func(_ int, p *peer) { p.shake("new", 10000); p.gone() })
		o := n.options()
		o.SessionStore = store
		if c := dialNode(t, o); c.Session().ID != "new" {
			t.Errorf("%s: session %q", name, c.Session().ID)
		}
	}
}

func TestHandshakeThatFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(p *peer)
		fatal  bool
		is     error
	}{
		{"another key pair", func(p *peer) {
			p.refuse(1, protocol.CmdHandshake, protocol.CodeDispatchError, protocol.ReasonDispatchError)
		}, true, nil},
		{"parameters", func(p *peer) { p.refuse(1, protocol.CmdHandshake, 0, protocol.ReasonParamInvalid) }, true, nil},
		{"closes", func(p *peer) {}, false, ErrPeerClosed},
		{"reply for another key", func(p *peer) {
			reply := protocol.HandshakeOK{ServerKey: make([]byte, 16)}
			p.send(protocol.CmdHandshake, 0, 1, &reply, foreign(&reply, p.offered))
		}, false, protocol.ErrDecrypt},
		{"reply in clear that ends early", func(p *peer) { p.writeHex("00000001020000000000000100ff") }, false, protocol.ErrTruncated},
		{"too large", func(p *peer) { p.writeHex("7fffffff020000000000000100") }, false, protocol.ErrTooLarge},
		{"negative length", func(p *peer) { p.writeHex("ffffffff020000000000000100") }, false, protocol.ErrNegativeLength},
		{"short key", func(p *peer) {
			p.send(protocol.CmdHandshake, 0, 1, &protocol.HandshakeOK{ServerKey: make([]byte, 8)}, nil)
		}, false, nil},
		{"error that ends early", func(p *peer) { p.writeHex("000000010a000000000000010002") }, false, protocol.ErrTruncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := listen(t, func(_ int, p *peer) { p.read(protocol.CmdHandshake); c.script(p) })
			_, err := Dial(t.Context(), n.options())
			if err == nil || fatal(err) != c.fatal || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("error %v, fatal %v", err, fatal(err))
			}
			if err != nil && !strings.Contains(err.Error(), n.addr()) {
				t.Errorf("error %v does not name the server", err)
			}
		})
	}
}

func TestDialEndsWithItsContextOrTimeout(t *testing.T) {
	n := listen(t, func(_ int, p *peer) { p.read(protocol.CmdHandshake); p.gone() })
	o := n.options()
	o.ConnectTimeout = 50 * time.Millisecond
	_, err := Dial(t.Context(), o)
	wantError(t, err, context.DeadlineExceeded)

	ctx, cancel := context.WithCancel(t.Context())
	o.ConnectTimeout = time.Minute
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		cancel()
		return net.Dial("tcp", n.addr())
	}
	_, err = Dial(ctx, o)
	wantError(t, err, context.Canceled)

	o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	_, err = Dial(t.Context(), o)
	wantError(t, err, net.ErrClosed)
}

func TestConnectionsRunNoGoroutine(t *testing.T) {
	n := listen(t, func(_ int, p *peer) { p.shake("s", 180000); p.gone() })
	dialNode(t, n.options())
	before := runtime.NumGoroutine()
	const more = 20
	for range more {
		dialNode(t, n.options())
	}
	if grown := runtime.NumGoroutine() - before; grown > more { // the node's own, one each
		t.Errorf("%d connections took %d goroutines on both sides, want %d", more, grown, more)
	}
}

// certificate is a server's own and a client's trust in it.
func certificate(t *testing.T) (*tls.Config, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

// overTLS runs a script behind TLS.
func overTLS(config *tls.Config, script func(p *peer)) func(int, *peer) {
	return func(_ int, p *peer) {
		p.nc = tls.Server(p.nc, config)
		script(p)
	}
}

func TestTLS(t *testing.T) {
	ours, theirs := certificate(t)
	n := listen(t, overTLS(ours, func(p *peer) {
		p.shake("s", 180000)
		p.push(1, 0, "one")
		p.read(protocol.CmdAck)
		p.push(2, 0, "two")
		p.gone()
	}))
	o := n.options()
	o.TLS = theirs
	c := dialNode(t, o)
	if theirs.ServerName != "" {
		t.Error("the caller's TLS configuration was changed")
	}
	if p := receivePush(t, c); string(p.Body) != "one" {
		t.Errorf("received %q", p.Body)
	}
	// A read that its context ends must not end the TLS stream.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := c.Receive(ctx)
	wantError(t, err, context.DeadlineExceeded)
	if err := c.Ack(1); err != nil {
		t.Fatal(err)
	}
	if p := receivePush(t, c); string(p.Body) != "two" {
		t.Errorf("received %q", p.Body)
	}
}

func TestTLSWithoutTrust(t *testing.T) {
	ours, _ := certificate(t)
	n := listen(t, overTLS(ours, func(p *peer) { p.next() }))
	o := n.options()
	o.TLS = new(tls.Config)
	_, err := Dial(t.Context(), o)
	var untrusted *tls.CertificateVerificationError
	if !errors.As(err, &untrusted) || fatal(err) {
		t.Errorf("error %v", err)
	}
	o.Dialer = func(context.Context, string, string) (net.Conn, error) { return net.Dial("tcp", n.addr()) }
	o.Address = "no port"
	if _, err := Dial(t.Context(), o); err == nil {
		t.Error("an address without a port has a name for TLS")
	}
}
