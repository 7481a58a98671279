package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAESIsJavas(t *testing.T) {
	for i, v := range loadCrypto(t).AES {
		c := NewCipher(SessionKey{Key: unhex16(t, v.KeyHex), IV: unhex16(t, v.IVHex)})
		plain, sealed := unhex(t, v.PlainHex), unhex(t, v.CipherHex)
		for range 2 { // the second time with the kept mode
			if got := c.AppendEncrypt([]byte("x"), plain); !bytes.Equal(got[1:], sealed) {
				t.Errorf("%d: encrypted %x, want %x", i, got[1:], sealed)
			}
			if got, err := c.AppendDecrypt([]byte("x"), sealed); err != nil || !bytes.Equal(got[1:], plain) {
				t.Errorf("%d: decrypted %x, want %x, err %v", i, got[1:], plain, err)
			}
		}
	}
}

func TestAESBadInputIsJavas(t *testing.T) {
	for i, v := range loadCrypto(t).AESBad {
		c := NewCipher(SessionKey{Key: unhex16(t, v.KeyHex), IV: unhex16(t, v.IVHex)})
		got, err := c.AppendDecrypt(nil, unhex(t, v.CipherHex))
		checkBad(t, fmt.Sprint(i), v.Result, got, err)
	}
}

// checkBad compares with a recorded result: plain:<hex> or an exception.
func checkBad(t *testing.T, name, result string, got []byte, err error) {
	t.Helper()
	if want, ok := strings.CutPrefix(result, "plain:"); ok {
		if err != nil || !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%s: %x, err %v, want %s", name, got, err, result)
		}
		return
	}
	if !errors.Is(err, ErrDecrypt) || len(got) != 0 {
		t.Errorf("%s: %x, err %v, Java says %s", name, got, err, result)
	}
}

func TestWrongPaddingIsRefused(t *testing.T) {
	key := SessionKey{Key: [16]byte{1}, IV: [16]byte{2}}
	for _, padding := range []string{"\x00", "\x11", "\x01\x02", "\x03\x02\x03", "\x0f" + strings.Repeat("\x10", 15)} {
		block := append(make([]byte, 16-len(padding)), padding...)
		sealed := NewCipher(key).AppendEncrypt(nil, block)[:16]
		if got, err := NewCipher(key).AppendDecrypt([]byte("x"), sealed); !errors.Is(err, ErrDecrypt) || string(got) != "x" {
			t.Errorf("padding %x: %q, err %v", padding, got, err)
		}
	}
}

func TestMixKeyIsJavas(t *testing.T) {
	for _, v := range loadCrypto(t).MixKey {
		client, server := unhex16(t, v.ClientKey), unhex16(t, v.ServerKey)
		if got := MixKey(client, server); got != unhex16(t, v.SessionKey) {
			t.Errorf("%s and %s: %x, want %s", v.ClientKey, v.ServerKey, got, v.SessionKey)
		}
	}
}

// TestLogsHideKeys: neither session keys nor private keys can be printed.
func TestLogsHideKeys(t *testing.T) {
	private, err := DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	key := SessionKey{Key: [16]byte([]byte("YELLOW SUBMARINE")), IV: [16]byte([]byte("YELLOW SUBMARINE"))}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s", key, key, key, key)
	fmt.Fprintf(&out, "%v %+v %#v %s", private, private, private, private)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("opened", "key", key, "private", private)
	}
	text := out.String()
	for _, secret := range []string{"YELLOW", "0x59", "WUVMTE9X", private.rsa.D.String()} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in %s", secret, text)
		}
	}
	if strings.Count(text, "[session key]") != 6 || strings.Count(text, "1024 bits") < 5 {
		t.Errorf("printed %s", text)
	}
}

func TestClientTypesAreJavas(t *testing.T) {
	for _, v := range loadCrypto(t).ClientType {
		if got := ClientTypeOf(v.OSName); int(got) != v.ClientType {
			t.Errorf("%q: %d, want %d", v.OSName, got, v.ClientType)
		}
	}
}
