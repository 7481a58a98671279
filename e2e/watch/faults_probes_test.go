//go:build linux

package watch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// probeFaults are about public ports, seen from outside.
func probeFaults() []scenario {
	return []scenario{
		aroundPort("a load balancer before a node swallows everything", "a proxy that accepts and is silent", "ProbeFailed", "node-3",
			func(_ *stack, p *backing.Proxy) { p.Cut() }),
		aroundPort("the network to a port of a node is slow", "0.15 s in each direction, or 0.8 s if nothing is lapsed", "ProbeSlow", "node-2", func(s *stack, p *backing.Proxy) {
			p.Slow(150 * time.Millisecond)
			if s.lapse.factor == 1 {
				p.Slow(800 * time.Millisecond)
			}
		}),
		endingCertificate(),
	}
}

// aroundPort is a fault of what stands before the WebSocket port of a node, which itself
// is well.
func aroundPort(name, how, alert, node string, fault func(*stack, *backing.Proxy)) scenario {
	var before *backing.Proxy
	return scenario{
		name: name, how: how, alerts: []string{alert}, names: []string{node, "blackbox-websocket"},
		labels: map[string]string{"node": node, "instance": node + ":8008"}, needs: []string{"warnings of " + node}, window: 2 * time.Minute,
		prepare: func(t *testing.T, s *stack) {
			before = backing.StartProxy(t, s.node(node).websocket)
			t.Cleanup(func() { s.net.add(node+":8008", s.node(node).websocket) })
			s.net.add(node+":8008", before.Addr)
		},
		inject: func(_ *testing.T, s *stack) { fault(s, before) },
		repair: func(*testing.T, *stack) { before.Heal() },
	}
}

// node finds a push node by its name.
func (s *stack) node(id string) *node {
	for _, n := range s.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// endingCertificate is that of a load balancer. It is made anew by whoever forgot to.
func endingCertificate() scenario {
	const host = "push.example.com:443"
	var shown atomic.Pointer[tls.Certificate]
	list := func(t *testing.T, s *stack, text string) {
		writeFile(t, filepath.Join(s.follower2.config, "tls-targets.yml"), text)
	}
	return scenario{
		name: "the certificate of the load balancer ends in ten days", how: "such a certificate", alerts: []string{"ProbeCertificateExpiry"},
		labels: map[string]string{"instance": host}, names: []string{host},
		prepare: func(t *testing.T, s *stack) { s.net.add(host, serveTLS(t, &shown)) },
		inject: func(t *testing.T, s *stack) {
			shown.Store(certificate(t, 10*24*time.Hour))
			list(t, s, `[{targets: ["`+host+`"]}]`)
		},
		repair: func(t *testing.T, _ *stack) { shown.Store(certificate(t, 90*24*time.Hour)) },
		after: func(t *testing.T, s *stack) {
			list(t, s, "[]")
			eventually(t, "nobody asks for the certificate", func() string {
				left, err := s.follower2.try(`up{job="blackbox-tls"}`)
				return unless(err == nil && len(left) == 0, "%v, %v", left, err)
			})
		},
	}
}

// serveTLS shows a certificate to whoever connects, until the test ends.
func serveTLS(t *testing.T, shown *atomic.Pointer[tls.Certificate]) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = io.Copy(io.Discard, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})
	return l.Addr().String()
}

// certificate makes one for so long.
func certificate(t *testing.T, d time.Duration) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Now().Add(d)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: ends, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}
