package stranger

import (
	"bytes"
	"compress/zlib"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// DemoPublicKey is the public half of the key pair that MPush publishes: base64 of a
// SubjectPublicKeyInfo.
const DemoPublicKey = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCghPCWCobG8nTD24juwSVataW7iViRxcTkey/B792VZEhuHjQvA3cAJgx2Lv8GnX8NIoShZtoCg3Cx6ecs+VEPD2fBcg2L4JK7xldGpOJ3ONEAyVsLOttXZtNXvyDZRijiErQALMTorcgi79M5uVX9/jMv2Ggb2XAeZhlLD28fHwIDAQAB"

// rsaSeal encrypts plain for the owner of the key, block by block with the padding of
// PKCS#1 v1.5: 00 02, random bytes other than 0, 00, and at most modulus-11 bytes of plain.
func rsaSeal(publicKey string, plain []byte) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(publicKey)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("public key: not RSA")
	}
	var out []byte
	for len(plain) > 0 {
		chunk := plain[:min(len(plain), key.Size()-11)]
		plain = plain[len(chunk):]
		block := make([]byte, key.Size())
		block[1] = 2
		padding := block[2 : len(block)-len(chunk)-1]
		for i := range padding {
			for padding[i] == 0 {
				if _, err := rand.Read(padding[i : i+1]); err != nil {
					return nil, err
				}
			}
		}
		copy(block[len(block)-len(chunk):], chunk)
		sealed := new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(int64(key.E)), key.N)
		out = append(out, sealed.FillBytes(block)...)
	}
	return out, nil
}

// sealer is the cipher of a session: AES in CBC mode, the same iv for every message.
type sealer struct{ key, iv []byte }

func (s *sealer) seal(plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, s.iv).CryptBlocks(out, out)
	return out, nil
}

func (s *sealer) open(sealed []byte) ([]byte, error) {
	block, err := aes.NewCipher(s.key)
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("encrypted body of %d bytes", len(sealed))
	}
	out := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, s.iv).CryptBlocks(out, sealed)
	pad := int(out[len(out)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.HasSuffix(out, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errors.New("encrypted body has no padding: wrong key?")
	}
	return out[:len(out)-pad], nil
}

// mix makes the session key of the two halves.
func mix(clientKey, serverKey []byte) []byte {
	out := make([]byte, len(clientKey))
	for i := range out {
		out[i] = clientKey[i] ^ serverKey[i]
	}
	return out
}

func deflate(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func inflate(packed []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxBody {
		return nil, errors.New("compressed body grows without end")
	}
	return out, nil
}
