package protocol

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
)

// maxKeyText bounds the size of a key file in bytes.
const maxKeyText = 64 << 10

// ParsePublicKey reads an RSA public key: PEM with a SubjectPublicKeyInfo or a
// PKCS #1 key inside, or the bare base64 of either, which is how MPush configures
// it (white space is ignored). The key has 1024 to 8192 bits. The error is
// [ErrBadKey].
func ParsePublicKey(text []byte) (*PublicKey, error) {
	der, err := keyBytes(text, "public key", "PUBLIC KEY", "RSA PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		parsed, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, fmt.Errorf("%w: public key: %w", ErrBadKey, err)
		}
		var ok bool
		if key, ok = parsed.(*rsa.PublicKey); !ok {
			return nil, fmt.Errorf("%w: public key is %T", ErrBadKey, parsed)
		}
	}
	if err := checkPublic(key.N, key.E); err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrBadKey, err)
	}
	return &PublicKey{*key}, nil
}

// ParseKeyPair reads an RSA private key: PEM with PKCS #8 or PKCS #1 inside, or
// the bare base64 of either, which is how MPush configures it. public, which may
// be nil, is read by [ParsePublicKey] and must belong to it. MPush's own tool
// writes keys whose public exponent, primes and CRT values are 0: the exponent is
// then taken from public, or is 65537, and the primes are recovered. A pair is
// returned only if it decrypts what it encrypted. The error is [ErrBadKey] and
// never holds a part of the key.
func ParseKeyPair(private, public []byte) (*PrivateKey, error) {
	der, err := keyBytes(private, "private key", "PRIVATE KEY", "RSA PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parts, err := parsePrivate(der)
	if err != nil {
		return nil, err
	}
	var pub *PublicKey
	if len(public) > 0 {
		if pub, err = ParsePublicKey(public); err != nil {
			return nil, err
		}
	}
	return parts.build(pub)
}

// keyBytes finds the DER bytes in a key file. what names it in errors, labels are
// the PEM types that may hold it.
func keyBytes(text []byte, what string, labels ...string) ([]byte, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("%w: %s of %d bytes is %w of %d", ErrBadKey, what, len(text), ErrTooLarge, maxKeyText)
	}
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		return bareBase64(text, what)
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%w: no PEM block %s in the %s", ErrBadKey, strings.Join(labels, " or "), what)
		}
		for _, label := range labels {
			if block.Type == label && block.Headers["DEK-Info"] == "" {
				return block.Bytes, nil
			}
		}
	}
}

// bareBase64 reads a key without PEM armour.
func bareBase64(text []byte, what string) ([]byte, error) {
	compact := strings.Join(strings.Fields(string(text)), "")
	if compact == "" {
		return nil, fmt.Errorf("%w: the %s is empty", ErrBadKey, what)
	}
	der, err := base64.StdEncoding.DecodeString(compact)
	if err != nil {
		return nil, fmt.Errorf("%w: the %s is neither PEM nor base64", ErrBadKey, what)
	}
	return der, nil
}

// privateParts is what a private key file says (RFC 8017, A.1.2). Only N and D
// can be relied on.
type privateParts struct {
	Version      int
	N, E, D      *big.Int
	P, Q         *big.Int
	DP, DQ, QInv *big.Int
}

// pkcs8 is the wrapping of RFC 5208; attributes after the key are ignored.
type pkcs8 struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	PrivateKey []byte
}

// parsePrivate reads PKCS #8 or PKCS #1. The standard library's parser would
// refuse MPush's zeros.
func parsePrivate(der []byte) (*privateParts, error) {
	var outer pkcs8
	if _, err := asn1.Unmarshal(der, &outer); err == nil {
		if !outer.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}) {
			return nil, fmt.Errorf("%w: private key is for algorithm %v, not RSA", ErrBadKey, outer.Algorithm.Algorithm)
		}
		der = outer.PrivateKey
	}
	parts := new(privateParts)
	if _, err := asn1.Unmarshal(der, parts); err != nil {
		return nil, fmt.Errorf("%w: private key is neither PKCS #8 nor PKCS #1", ErrBadKey)
	}
	return parts, nil
}
