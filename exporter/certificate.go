package exporter

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// AddCertificates shows when the first of the certificates that this process presents
// expires, those above it in their chains included. It registers nothing if there are none.
func AddCertificates(reg prometheus.Registerer, config *tls.Config) error {
	if config == nil {
		return nil
	}
	expiry, err := firstExpiry(config.Certificates)
	if err != nil || expiry.IsZero() {
		return err
	}
	b := builder{reg}
	b.gauge("certificate_expiry_timestamp_seconds",
		"When the first of the TLS certificates of this process expires, seconds since the epoch.").WithLabelValues().Set(float64(expiry.Unix()))
	return nil
}

var errEmptyChain = errors.New("a TLS certificate is empty")

// firstExpiry is when the first of the chains is not valid any more; zero without any.
func firstExpiry(chains []tls.Certificate) (first time.Time, err error) {
	for _, chain := range chains {
		if len(chain.Certificate) == 0 {
			return first, errEmptyChain
		}
		for _, der := range chain.Certificate {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return first, fmt.Errorf("reading a TLS certificate: %w", err)
			}
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
	}
	return first, nil
}
