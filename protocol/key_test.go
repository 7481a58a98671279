package protocol

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
)

// strongKey is a key of 2048 bits, made once.
var strongKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func demoKey(t testing.TB) *PrivateKey {
	t.Helper()
	key, err := DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRSAIsJavas(t *testing.T) {
	key := demoKey(t)
	for i, v := range loadCrypto(t).RSA {
		plain, sealed := unhex(t, v.PlainHex), unhex(t, v.CipherHex)
		if got, err := key.AppendDecrypt([]byte("x"), sealed); err != nil || !bytes.Equal(got[1:], plain) {
			t.Errorf("%d: decrypted %x, err %v", i, got, err)
		}
		again, err := key.Public().AppendEncrypt([]byte("x"), plain)
		if err != nil || len(again)-1 != v.Blocks*128 {
			t.Fatalf("%d: %d bytes encrypted to %d, want %d blocks, err %v", i, len(plain), len(again)-1, v.Blocks, err)
		}
		if got, err := key.AppendDecrypt(nil, again[1:]); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d: round trip %x, err %v", i, got, err)
		}
	}
}

func TestRSABadInputIsJavas(t *testing.T) {
	key := demoKey(t)
	for _, v := range loadCrypto(t).RSABad {
		got, err := key.AppendDecrypt(nil, unhex(t, v.CipherHex))
		checkBad(t, v.Name, v.Result, got, err)
	}
}

func TestRSAWorkIsBounded(t *testing.T) {
	key := demoKey(t)
	full := make([]byte, maxBlocks*117)
	sealed, err := key.Public().AppendEncrypt(nil, full)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.AppendDecrypt(nil, sealed); err != nil || !bytes.Equal(got, full) {
		t.Errorf("%d blocks: err %v", maxBlocks, err)
	}
	if _, err := key.AppendDecrypt(nil, append(sealed, sealed[:128]...)); !errors.Is(err, ErrDecrypt) {
		t.Errorf("%d blocks: %v", maxBlocks+1, err)
	}
	if _, err := key.Public().AppendEncrypt(nil, append(full, 0)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes: %v", len(full)+1, err)
	}
}

func TestDemoKeyPair(t *testing.T) {
	key, v := demoKey(t), loadCrypto(t).RSAKey
	if key.rsa.N.Text(16) != v.ModulusHex || key.rsa.D.Text(16) != v.PrivateExponentHex || key.rsa.E != 65537 {
		t.Error("not the recorded key")
	}
	if p := new(big.Int).Mul(key.rsa.Primes[0], key.rsa.Primes[1]); p.Cmp(key.rsa.N) != 0 || key.rsa.Precomputed.Dp == nil {
		t.Error("the primes were not recovered")
	}
	if !key.IsDemo() || !key.Public().IsDemo() || key.Bits() != 1024 || key.Public().Bits() != 1024 {
		t.Errorf("%v: demo %v", key, key.IsDemo())
	}
	alone, err := ParseKeyPair([]byte(v.PrivateKey), nil)
	if err != nil || !alone.Public().Equal(key.Public()) || !alone.IsDemo() {
		t.Errorf("without the public key: %v", err)
	}
	if text, err := key.Public().MarshalText(); err != nil || string(text) != v.PublicKey {
		t.Errorf("public key written as %s, err %v", text, err)
	}
}

// privateForms are all the ways in which a key may be written.
func privateForms(t testing.TB, key *rsa.PrivateKey) map[string][]byte {
	t.Helper()
	p8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p1 := x509.MarshalPKCS1PrivateKey(key)
	return map[string][]byte{
		"PKCS8 PEM": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p8}),
		"PKCS1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: p1}),
		"PKCS8":     base64.StdEncoding.AppendEncode(nil, p8),
		"PKCS1":     []byte("\n " + strings.ReplaceAll(base64.StdEncoding.EncodeToString(p1), "A", "A\r\n") + "\n"),
		"second block": append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
			pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p8})...),
	}
}

func publicForms(t testing.TB, key *rsa.PublicKey) map[string][]byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p1 := x509.MarshalPKCS1PublicKey(key)
	return map[string][]byte{
		"SPKI PEM":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		"PKCS1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: p1}),
		"SPKI":      base64.StdEncoding.AppendEncode(nil, spki),
		"PKCS1":     base64.StdEncoding.AppendEncode(nil, p1),
		"absent":    nil,
	}
}

func TestKeyForms(t *testing.T) {
	key := strongKey()
	for privateName, private := range privateForms(t, key) {
		for publicName, public := range publicForms(t, &key.PublicKey) {
			got, err := ParseKeyPair(private, public)
			if err != nil || !got.rsa.Equal(key) || got.IsDemo() || got.Bits() != 2048 {
				t.Errorf("%s with %s: %v", privateName, publicName, err)
			}
		}
	}
	for name, public := range publicForms(t, &key.PublicKey) {
		if got, err := ParsePublicKey(public); public != nil && (err != nil || !got.rsa.Equal(&key.PublicKey)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// likeRSASh writes a key as MPush's rsa.sh does: only n and d are real.
func likeRSASh(t testing.TB, n, e, d *big.Int) []byte {
	t.Helper()
	zero := new(big.Int)
	p1, err := asn1.Marshal(privateParts{0, n, e, d, zero, zero, zero, zero, zero})
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.AppendEncode(nil, p1)
}

func TestPrimesAreRecovered(t *testing.T) {
	key := strongKey()
	private := likeRSASh(t, key.N, new(big.Int), key.D)
	got, err := ParseKeyPair(private, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p, q := got.rsa.Primes[0], got.rsa.Primes[1]; p.Cmp(key.Primes[0]) != 0 && q.Cmp(key.Primes[0]) != 0 {
		t.Error("other primes than the key was made of")
	}
}

// TestPublicExponentIsTaken: a key with exponent 3 and the private file's 0.
func TestPublicExponentIsTaken(t *testing.T) {
	n, d := exponent3()
	public := x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: n, E: 3})
	private := likeRSASh(t, n, new(big.Int), d)
	got, err := ParseKeyPair(private, base64.StdEncoding.AppendEncode(nil, public))
	if err != nil || got.rsa.E != 3 {
		t.Fatalf("%v", err)
	}
	if _, err := ParseKeyPair(private, nil); !errors.Is(err, ErrBadKey) {
		t.Errorf("with 65537 assumed: %v", err)
	}
}

// exponent3 makes a key whose public exponent is 3.
func exponent3() (n, d *big.Int) {
	one, three := big.NewInt(1), big.NewInt(3)
	for {
		p, _ := rand.Prime(rand.Reader, 512)
		q, _ := rand.Prime(rand.Reader, 512)
		n = new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d = new(big.Int).ModInverse(three, phi); d != nil && n.BitLen() == 1024 && p.Cmp(q) != 0 {
			return n, d
		}
	}
}

func TestBadKeys(t *testing.T) {
	key, demo := strongKey(), loadCrypto(t).RSAKey
	strong := privateForms(t, key)
	one := big.NewInt(1)
	wrongPrimes := privateParts{0, key.N, big.NewInt(int64(key.E)), key.D, one, key.N, one, one, one}
	wrongPrimesDER, err := asn1.Marshal(wrongPrimes)
	if err != nil {
		t.Fatal(err)
	}
	even := new(big.Int).Lsh(one, 1024)
	for name, c := range map[string]struct{ private, public []byte }{
		"empty":             {nil, nil},
		"white space":       {[]byte(" \n"), nil},
		"not base64":        {[]byte("!!!"), nil},
		"not ASN.1":         {[]byte("aGVsbG8="), nil},
		"other public key":  {strong["PKCS8"], []byte(demo.PublicKey)},
		"public as private": {[]byte(demo.PublicKey), nil},
		"private as public": {[]byte(demo.PrivateKey), []byte(demo.PrivateKey)},
		"broken public":     {[]byte(demo.PrivateKey), []byte("AAAA")},
		"wrong d":           {likeRSASh(t, key.N, new(big.Int), new(big.Int).Add(key.D, big.NewInt(2))), nil},
		"d of 1":            {likeRSASh(t, key.N, new(big.Int), one), nil},
		"d of 0":            {likeRSASh(t, key.N, new(big.Int), new(big.Int)), nil},
		"d over n":          {likeRSASh(t, key.N, new(big.Int), new(big.Int).Add(key.D, key.N)), nil},
		"negative n":        {likeRSASh(t, new(big.Int).Neg(key.N), new(big.Int), key.D), nil},
		"even n":            {likeRSASh(t, even, new(big.Int), one), nil},
		"small n":           {likeRSASh(t, big.NewInt(3233), new(big.Int), big.NewInt(2753)), nil},
		"huge n":            {likeRSASh(t, new(big.Int).Add(new(big.Int).Lsh(one, 8192), one), new(big.Int), one), nil},
		"huge e":            {likeRSASh(t, key.N, new(big.Int).Lsh(one, 40), key.D), nil},
		"even e":            {likeRSASh(t, key.N, big.NewInt(4), key.D), nil},
		"negative e":        {likeRSASh(t, key.N, big.NewInt(-3), key.D), nil},
		"e of another":      {likeRSASh(t, key.N, big.NewInt(3), key.D), publicForms(t, &key.PublicKey)["SPKI"]},
		"wrong primes":      {base64.StdEncoding.AppendEncode(nil, wrongPrimesDER), nil},
		"too long":          {make([]byte, maxKeyText+1), nil},
		"encrypted PEM":     {[]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), nil},
		"other PEM":         {pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{1}}), nil},
		"EC key":            {ecPrivate(t), nil},
	} {
		got, err := ParseKeyPair(c.private, c.public)
		if !errors.Is(err, ErrBadKey) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if err != nil && strings.Contains(fmt.Sprint(err), key.D.String()) {
			t.Errorf("%s: the error tells the key: %v", name, err)
		}
	}
}

func TestBadPublicKeys(t *testing.T) {
	small := &rsa.PublicKey{N: big.NewInt(3233), E: 17}
	spki, err := x509.MarshalPKIXPublicKey(ecKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"empty": nil, "text": []byte("hello world"), "small": publicForms(t, small)["PKCS1"],
		"EC": base64.StdEncoding.AppendEncode(nil, spki),
	} {
		if got, err := ParsePublicKey(text); !errors.Is(err, ErrBadKey) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysEqual(t *testing.T) {
	demo := demoKey(t).Public()
	strong := &PublicKey{strongKey().PublicKey}
	if !demo.Equal(demoKey(t).Public()) || demo.Equal(strong) || demo.Equal(nil) || strong.IsDemo() {
		t.Error("wrong")
	}
}
