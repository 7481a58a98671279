package protocol

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"slices"
)

// KeySize is the length in bytes of a session key and of its iv.
const KeySize = 16

// SessionKey is what a device and a node share after a handshake. MPush uses the
// one iv for every message in both directions.
type SessionKey struct{ Key, IV [KeySize]byte }

// String hides the key, so that it reaches no log.
func (SessionKey) String() string { return "[session key]" }

// GoString hides the key from %#v.
func (SessionKey) GoString() string { return "[session key]" }

// LogValue hides the key from structured logs.
func (SessionKey) LogValue() slog.Value { return slog.StringValue("[session key]") }

// MixKey is the session key of a connection: the client's key from the HANDSHAKE
// combined with the server's from the reply, byte by byte with exclusive or.
func MixKey(client, server [KeySize]byte) (mixed [KeySize]byte) {
	subtle.XORBytes(mixed[:], client[:], server[:])
	return mixed
}

// Cipher encrypts and decrypts bodies with AES-128-CBC and PKCS#7 padding. The
// expanded keys are made when the direction is first used and then kept, about
// half a kilobyte each. It is not for concurrent use; two Ciphers of the same key
// are independent.
type Cipher struct {
	key      SessionKey
	enc, dec rewindable
}

// rewindable is a CBC mode that can start again at the iv. Those of the standard
// library can, which saves making a new one for each message.
type rewindable interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

// NewCipher is the cipher for k.
func NewCipher(k SessionKey) *Cipher { return &Cipher{key: k} }

// AppendEncrypt appends plain in encrypted form: 1 to 16 bytes more than plain.
// The spare capacity of dst must not overlap plain.
func (c *Cipher) AppendEncrypt(dst, plain []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, len(plain)+aes.BlockSize)
	return c.sealTail(append(dst, plain...), start)
}

// AppendDecrypt appends what sealed says, which is shorter by the padding. Empty
// input is empty output. The spare capacity of dst must not overlap sealed. A
// length that is no multiple of 16 or wrong padding is [ErrDecrypt].
func (c *Cipher) AppendDecrypt(dst, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return dst, nil
	}
	if len(sealed)%aes.BlockSize != 0 {
		return dst, fmt.Errorf("%w: %d bytes are no multiple of %d", ErrDecrypt, len(sealed), aes.BlockSize)
	}
	start := len(dst)
	grown := slices.Grow(dst, len(sealed))[:start+len(sealed)]
	c.rewind(&c.dec, cipher.NewCBCDecrypter).CryptBlocks(grown[start:], sealed)
	padding := int(grown[len(grown)-1])
	if padding == 0 || padding > aes.BlockSize {
		return dst, fmt.Errorf("%w: bad padding", ErrDecrypt)
	}
	for _, b := range grown[len(grown)-padding:] {
		if int(b) != padding {
			return dst, fmt.Errorf("%w: bad padding", ErrDecrypt)
		}
	}
	return grown[:len(grown)-padding], nil
}

// sealTail pads and encrypts dst[start:] in place.
func (c *Cipher) sealTail(dst []byte, start int) []byte {
	padding := aes.BlockSize - (len(dst)-start)%aes.BlockSize
	for range padding {
		dst = append(dst, byte(padding))
	}
	c.rewind(&c.enc, cipher.NewCBCEncrypter).CryptBlocks(dst[start:], dst[start:])
	return dst
}

// rewind makes the mode on first use and sets it back to the iv.
func (c *Cipher) rewind(mode *rewindable, build func(cipher.Block, []byte) cipher.BlockMode) cipher.BlockMode {
	if *mode != nil {
		(*mode).SetIV(c.key.IV[:])
		return *mode
	}
	block, err := aes.NewCipher(c.key.Key[:])
	if err != nil {
		panic("protocol: AES-128 refused a key of 16 bytes: " + err.Error())
	}
	built := build(block, c.key.IV[:])
	if r, ok := built.(rewindable); ok {
		*mode = r
	}
	return built
}
