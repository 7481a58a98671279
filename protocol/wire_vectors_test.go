package protocol

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// TestServerPackets decodes and encodes every packet that the Java server wrote.
func TestServerPackets(t *testing.T) {
	v := loadCodec(t)
	for i := range v.ServerLib {
		testWireVector(t, &v.ServerLib[i], v.CompressThreshold, v.MaxPacketSize)
	}
}

// TestDevicePackets does the same for the Java device SDK.
func TestDevicePackets(t *testing.T) {
	v := loadCodec(t)
	if v.DeviceClient.HeartbeatHex != hex.EncodeToString([]byte{HeartbeatByte}) {
		t.Errorf("heartbeat %s", v.DeviceClient.HeartbeatHex)
	}
	for i := range v.DeviceClient.Cases {
		testWireVector(t, &v.DeviceClient.Cases[i], v.DeviceClient.CompressLimit, v.MaxPacketSize)
	}
}

func testWireVector(t *testing.T, v *wireVector, threshold, maxPacket int) {
	t.Run(v.Name, func(t *testing.T) {
		wire := unhex(t, v.WireHex)
		var d Decoder
		if strings.Contains(v.ServerDecoder, "TooLongFrameException") {
			if _, _, ok, err := d.Next(wire, maxPacket); ok || !errors.Is(err, ErrTooLarge) {
				t.Errorf("over the limit: ok %v, err %v", ok, err)
			}
		}
		p, rest, ok, err := d.Next(wire, 1<<20)
		if err != nil || !ok || len(rest) != 0 {
			t.Fatalf("ok %v, %d bytes left, err %v", ok, len(rest), err)
		}
		if p.Command != Command(v.Cmd) {
			t.Errorf("command %v, want %d", p.Command, v.Cmd)
		}
		if p.Command == CmdHeartbeat {
			return
		}
		if p.SessionID != v.SessionID || p.Flags != Flags(v.Flags) {
			t.Errorf("session %d flags %d, want %d and %d", p.SessionID, p.Flags, v.SessionID, v.Flags)
		}
		plain := openVector(t, v, &p)
		checkPlain(t, v, plain)
		checkMessage(t, v, plain)
		checkSeal(t, v, plain, threshold, wire)
	})
}

// openVector undoes what Java did to the body; it encrypts HANDSHAKE with RSA
// whatever cipher the connection has.
func openVector(t *testing.T, v *wireVector, p *Packet) []byte {
	t.Helper()
	if v.Message == "HandshakeMessage" && p.Flags&FlagCrypto != 0 {
		key, err := DemoKeyPair()
		if err != nil {
			t.Fatal(err)
		}
		plain, err := key.AppendDecrypt(nil, p.Body)
		if err != nil {
			t.Fatal(err)
		}
		return plain
	}
	plain, err := Open(nil, p, vectorCipher(t, v), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func vectorCipher(t *testing.T, v *wireVector) *Cipher {
	if v.AES == nil {
		return nil
	}
	return NewCipher(SessionKey{Key: unhex16(t, v.AES.Key), IV: unhex16(t, v.AES.IV)})
}

func checkPlain(t *testing.T, v *wireVector, plain []byte) {
	t.Helper()
	if want := v.plain(t); v.PlainBodyHex != nil && !bytes.Equal(plain, want) {
		t.Errorf("plain body %x, want %x", plain, want)
	}
	if sum := md5.Sum(plain); v.PlainBodyMd5 != "" && hex.EncodeToString(sum[:]) != v.PlainBodyMd5 {
		t.Errorf("plain body of %d bytes has another sum", len(plain))
	}
	if len(plain) != v.PlainBodyLen {
		t.Errorf("plain body of %d bytes, want %d", len(plain), v.PlainBodyLen)
	}
}

// checkMessage compares the decoded body with the fields Java encoded, and the
// body encoded from those fields with Java's bytes.
func checkMessage(t *testing.T, v *wireVector, plain []byte) {
	t.Helper()
	f := fields{t, v.Fields, v}
	want := f.message(v.Message)
	got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(Message)
	p := Packet{Body: plain}
	if err := p.Unmarshal(got); err != nil {
		t.Fatal(err)
	}
	// Java's headers are a map: their order is known from the bytes only.
	switch got := got.(type) {
	case *HTTPRequest:
		checkHeaders(t, v.Fields["headers"], got.Headers)
		want.(*HTTPRequest).Headers = got.Headers
	case *HTTPResponse:
		checkHeaders(t, v.Fields["headers"], got.Headers)
		want.(*HTTPResponse).Headers = got.Headers
	}
	if v.Fields["content"] == "=plainBodyHex" {
		want.(*Push).Content = plain
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
	encoded, err := want.AppendBinary([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded[1:], plain) {
		t.Errorf("encoded %x, want %x", encoded[1:], plain)
	}
}

// checkHeaders compares with what Java was given, not with what its own parser
// makes of it (an empty value takes the value of the header before).
func checkHeaders(t *testing.T, want any, text string) {
	t.Helper()
	wanted, _ := want.(map[string]any)
	parsed := ParseHeaders(text)
	if len(parsed) != len(wanted) {
		t.Errorf("headers %q, want %v", parsed, want)
	}
	for _, h := range parsed {
		if wanted[h.Name] != h.Value {
			t.Errorf("header %s: %q, want %q", h.Name, h.Value, wanted[h.Name])
		}
	}
	if again := string(AppendHeaders(nil, parsed...)); again != text {
		t.Errorf("headers written as %q, want %q", again, text)
	}
}

// checkSeal encodes the packet. RSA padding is random and compressors differ, so
// those are opened again.
func checkSeal(t *testing.T, v *wireVector, plain []byte, threshold int, wire []byte) {
	t.Helper()
	if v.Message == "HandshakeMessage" && Flags(v.Flags)&FlagCrypto != 0 {
		checkSealRSA(t, plain)
		return
	}
	if v.Via == "sendRaw" {
		threshold = 0
	}
	c := vectorCipher(t, v)
	if Flags(v.Flags)&FlagCrypto == 0 {
		c = nil // a raw message
	}
	got, err := AppendSealed([]byte("x"), Command(v.Cmd), Flags(v.InFlags), v.SessionID, plain, threshold, c)
	if err != nil {
		t.Fatal(err)
	}
	got = got[1:]
	if v.Deterministic && !bytes.Equal(got, wire) {
		t.Errorf("sealed\n%x, want\n%x", got, wire)
	}
	var d Decoder
	p, _, ok, err := d.Next(got, 1<<20)
	if err != nil || !ok || p.Flags != Flags(v.Flags) {
		t.Fatalf("sealed: ok %v, flags %d, err %v", ok, p.Flags, err)
	}
	if again, err := Open(nil, &p, c, 1<<20); err != nil || !bytes.Equal(again, plain) {
		t.Errorf("sealed and opened: %d bytes, err %v", len(again), err)
	}
}

func checkSealRSA(t *testing.T, plain []byte) {
	t.Helper()
	key, err := DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.Public().AppendEncrypt(nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := key.AppendDecrypt(nil, sealed); err != nil || !bytes.Equal(again, plain) {
		t.Errorf("RSA round trip: %x, err %v", again, err)
	}
}

func TestCommandsAndCodesAreMPushs(t *testing.T) {
	v := loadCodec(t)
	for name, n := range v.Commands {
		if got := Command(n).String(); got != name {
			t.Errorf("command %d is %s, want %s", n, got, name)
		}
	}
	for name, c := range v.ErrorCodes {
		if got := c.Code.Reason(); got != c.Msg {
			t.Errorf("code %s: reason %q, want %q", name, got, c.Msg)
		}
	}
}
