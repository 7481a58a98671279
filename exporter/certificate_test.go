package exporter

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// expiring is a certificate that ends then.
func expiring(t *testing.T, at time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: at.Add(-time.Hour), NotAfter: at}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCertificateExpiry(t *testing.T) {
	t.Parallel()
	first := time.Unix(2_000_000_000, 0)
	late := expiring(t, first.Add(time.Hour))
	config := &tls.Config{Certificates: []tls.Certificate{
		{Certificate: [][]byte{late}}, {Certificate: [][]byte{late, expiring(t, first)}}}}
	reg := prometheus.NewPedanticRegistry()
	if err := AddCertificates(reg, config); err != nil {
		t.Fatal(err)
	}
	if got := samples(t, reg, "fanfare_certificate_expiry_timestamp_seconds"); got != "certificate_expiry_timestamp_seconds 2e+09" {
		t.Errorf("got %q", got)
	}
}

func TestNoCertificateNoExpiry(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]*tls.Config{"no TLS": nil, "no certificate": {}} {
		reg := prometheus.NewPedanticRegistry()
		if err := AddCertificates(reg, config); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if families, _ := reg.Gather(); len(families) != 0 {
			t.Errorf("%s: %v", name, families)
		}
	}
	for name, chain := range map[string][][]byte{"empty": {}, "nonsense": {{1, 2, 3}}} {
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: chain}}}
		if err := AddCertificates(prometheus.NewPedanticRegistry(), config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
