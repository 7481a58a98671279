package protocol

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
)

const (
	// minKeyBits is what MPush's rsa.sh and the standard library insist on.
	minKeyBits = 1024
	// maxKeyBits bounds the work that a key file can ask for.
	maxKeyBits = 8192
	// pkcs1Overhead is what PKCS #1 v1.5 padding takes of each block.
	pkcs1Overhead = 11
	// maxBlocks bounds the work that one HANDSHAKE can ask for: about 3.7 kB of
	// body with a key of 1024 bits, where a usual one is 100 bytes.
	maxBlocks = 32
)

// PublicKey is a node's RSA key as devices know it. It encrypts the HANDSHAKE
// with PKCS #1 v1.5 padding, in chunks if the body is longer than one block.
type PublicKey struct{ rsa rsa.PublicKey }

// Bits is the size of the modulus.
func (k *PublicKey) Bits() int { return k.rsa.N.BitLen() }

// MarshalText writes the key as MPush configures it: the base64 of its
// SubjectPublicKeyInfo on one line.
func (k *PublicKey) MarshalText() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(&k.rsa)
	if err != nil {
		return nil, fmt.Errorf("writing an RSA public key: %w", err)
	}
	return base64.StdEncoding.AppendEncode(nil, der), nil
}

// Equal reports whether both are the same key.
func (k *PublicKey) Equal(other *PublicKey) bool { return other != nil && k.rsa.Equal(&other.rsa) }

// AppendEncrypt appends plain in encrypted form, one block for each Bits/8 - 11
// bytes; nothing for nothing. More than 32 blocks is [ErrTooLarge].
func (k *PublicKey) AppendEncrypt(dst, plain []byte) ([]byte, error) {
	chunk := k.rsa.Size() - pkcs1Overhead
	if len(plain) > chunk*maxBlocks {
		return dst, fmt.Errorf("RSA encryption of %d bytes: %w of %d", len(plain), ErrTooLarge, chunk*maxBlocks)
	}
	out := slices.Grow(dst, (len(plain)+chunk-1)/chunk*k.rsa.Size())
	for part := range slices.Chunk(plain, chunk) {
		//lint:ignore SA1019 MPush's handshake is PKCS#1 v1.5; devices cannot be changed.
		block, err := rsa.EncryptPKCS1v15(rand.Reader, &k.rsa, part)
		if err != nil {
			return dst, fmt.Errorf("RSA encryption: %w", err)
		}
		out = append(out, block...)
	}
	return out, nil
}

// PrivateKey is a node's RSA key. It prints as its size only.
type PrivateKey struct{ rsa *rsa.PrivateKey }

// Public is the key that devices encrypt with.
func (k *PrivateKey) Public() *PublicKey { return &PublicKey{k.rsa.PublicKey} }

// Bits is the size of the modulus.
func (k *PrivateKey) Bits() int { return k.rsa.N.BitLen() }

// String hides the key, so that it reaches no log.
func (k *PrivateKey) String() string { return fmt.Sprintf("[RSA private key, %d bits]", k.Bits()) }

// GoString hides the key from %#v.
func (k *PrivateKey) GoString() string { return k.String() }

// AppendDecrypt appends what sealed says: blocks of Bits/8 bytes, each decrypted
// by itself. Empty input is empty output. A part of a block, wrong padding or more
// than 32 blocks is [ErrDecrypt]. One block of 1024 bits takes a CPU some 200 µs.
//
// MPush's protocol tells a peer whether the padding was right, which is
// Bleichenbacher's oracle; a node should limit how often a peer may try.
func (k *PrivateKey) AppendDecrypt(dst, sealed []byte) ([]byte, error) {
	size := k.rsa.Size()
	if len(sealed)%size != 0 || len(sealed) > size*maxBlocks {
		return dst, fmt.Errorf("%w: %d bytes are not 0 to %d RSA blocks of %d", ErrDecrypt, len(sealed), maxBlocks, size)
	}
	out := dst
	for block := range slices.Chunk(sealed, size) {
		//lint:ignore SA1019 as above; every failure looks the same to the device.
		plain, err := rsa.DecryptPKCS1v15(nil, k.rsa, block)
		if err != nil {
			return dst, fmt.Errorf("%w: RSA: %w", ErrDecrypt, err)
		}
		out = append(out, plain...)
	}
	return out, nil
}
