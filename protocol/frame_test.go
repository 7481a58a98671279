package protocol

import (
	"bytes"
	"errors"
	"testing"
)

func testKey() SessionKey {
	var k SessionKey
	for i := range KeySize {
		k.Key[i], k.IV[i] = byte(i), byte(16+i)
	}
	return k
}

// TestAppendixA: the vectors that the description of the protocol computes.
func TestAppendixA(t *testing.T) {
	handshake := testKey()
	session := SessionKey{MixKey(handshake.Key, unhex16(t, "0b30557a9fc4e90e33587da2c7ec1136")), handshake.IV}
	for _, c := range []struct {
		name  string
		cmd   Command
		flags Flags
		id    int32
		m     Message
		key   *SessionKey
		want  string
	}{
		{"handshake reply", CmdHandshake, 0, 1, &HandshakeOK{
			ServerKey: unhex(t, "0b30557a9fc4e90e33587da2c7ec1136"), Heartbeat: 10000,
			SessionID: "34b37ed163965735ab20c62bdb98ee53", ExpireTime: 1500086400000,
		}, &handshake, "00000050020000010000000100" +
			"7da93d946559550379f38b19e32e5909eceedaebbbb09069103bddc93cadc923f3c5a7ab6b3adc6cd7159b413bbd5f597f0aa237dab5169b657effed8ea69ded8cdb389db2847e9df00334351dbde299"},
		{"bind", CmdBind, 0, 2, &Bind{UserID: "user-0", Tags: "vip"}, &session, "000000100500000100000002007710e672adba28cd274a04120dd8bece"},
		{"bind ok", CmdOK, 0, 2, &OK{Command: CmdBind, Data: DataBindSuccess}, nil, "000000100b00000000000002000500000c62696e642073756363657373"},
		{"expired", CmdError, 0, 1, &Error{Command: CmdFastConnect, Code: CodeSessionExpired, Reason: ReasonSessionExpired}, nil,
			"000000150a00000000000001000767000f73657373696f6e20657870697265640000"},
		{"push", CmdPush, FlagAutoAck, 7, &Push{Content: []byte("hello")}, &session, "000000100f00000900000007001a2c7f83900b430ec660e26d79ecde01"},
		{"ack", CmdAck, 0, 7, &Ack{}, &session, "00000000170000000000000700"},
		{"kick", CmdKick, 0, 0, &Kick{DeviceID: "dev-1", UserID: "user-0"}, &session, "000000100d0000010000000000ed9962c991e0b227e10889ca0ffd1a13"},
		{"fast connect", CmdFastConnect, 0, 1, &FastConnect{"34b37ed163965735ab20c62bdb98ee53", "dev-1", 10000, 240000}, nil,
			"000000310700000000000001000020333462333765643136333936353733356162323063363262646239386565353300056465762d31000027100003a980"},
		{"fast connect ok", CmdFastConnect, 0, 1, &FastConnectOK{180000}, nil, "000000040700000000000001000002bf20"},
		{"gateway push", CmdGatewayPush, FlagAutoAck, 1, &GatewayPush{UserID: "user-0", ClientType: 1, Timeout: 2500, Content: []byte("hello")}, nil,
			"0000001d1000000800000001000006757365722d3000000001000009c4000568656c6c6f000000000000"},
		{"gateway broadcast", CmdGatewayPush, 0, 2, &GatewayPush{
			Content: []byte("hi"), TaskID: "t-1", Tags: `["vip"]`, Condition: "userId!=null",
		}, nil, "0000002a10000000000000020000000000000000000000000268690003742d3100075b22766970225d000c757365724964213d6e756c6c"},
	} {
		body, err := c.m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		var cipher *Cipher
		if c.key != nil {
			cipher = NewCipher(*c.key)
		}
		got, err := AppendSealed(nil, c.cmd, c.flags, c.id, body, 10240, cipher)
		if err != nil || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: %x, err %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestAppendPacketSendsZeros(t *testing.T) {
	got := AppendPacket([]byte("x"), Packet{Command: CmdUnknown, CheckCode: 7, Flags: 0xff, SessionID: -2, LRC: 9, Body: []byte("b")})
	if want := "\x00\x00\x00\x01\xff\x00\x00\xff\xff\xff\xff\xfe\x00b"; string(got[1:]) != want {
		t.Errorf("%q, want %q", got[1:], want)
	}
}

// TestSealThreshold: strictly longer bodies are compressed, even if that makes
// them longer; zero means never.
func TestSealThreshold(t *testing.T) {
	for _, c := range []struct {
		length, threshold int
		want              Flags
	}{
		{10, 10, 0}, {11, 10, FlagCompress}, {11, 0, 0}, {11, -1, 0}, {0, -1, 0}, {0, 0, 0}, {1, 1, 0}, {2, 1, FlagCompress},
	} {
		for _, cipher := range []*Cipher{nil, NewCipher(testKey())} {
			want := c.want
			if cipher != nil && c.length > 0 {
				want |= FlagCrypto
			}
			frame, err := AppendSealed(nil, CmdPush, 0, 1, make([]byte, c.length), c.threshold, cipher)
			var d Decoder
			p, _, ok, decodeErr := d.Next(frame, 1000)
			if err != nil || decodeErr != nil || !ok || p.Flags != want {
				t.Errorf("%+v: ok %v, flags %d, want %d, %v %v", c, ok, p.Flags, want, err, decodeErr)
			}
			if plain, err := Open(nil, &p, cipher, c.length); err != nil || len(plain) != c.length {
				t.Errorf("%+v: opened %d bytes, err %v", c, len(plain), err)
			}
		}
	}
}

// TestSealIgnoresClaims: MPush copies the gateway's CRYPTO and COMPRESS bits to
// devices; here the bits say what was done.
func TestSealIgnoresClaims(t *testing.T) {
	for _, body := range []string{"", "hi"} {
		frame, err := AppendSealed(nil, CmdPush, 0xff, 1, []byte(body), 100, nil)
		if want := Flags(0xff &^ (FlagCrypto | FlagCompress)); err != nil || Flags(frame[7]) != want {
			t.Errorf("flags %d, want %d, err %v", frame[7], want, err)
		}
	}
}

func TestOpenLeavesAlone(t *testing.T) {
	c := NewCipher(testKey())
	for _, p := range []Packet{
		{Flags: FlagCrypto | FlagCompress}, // empty
		{Flags: 0, Body: []byte("plain")},
		{Flags: FlagCrypto | FlagCompress | FlagJSONBody, Body: []byte("{}")},
	} {
		if got, err := Open(nil, &p, c, 0); err != nil || !bytes.Equal(got, p.Body) {
			t.Errorf("%+v: %q, err %v", p, got, err)
		}
	}
	p := Packet{Flags: FlagCrypto, Body: []byte("sealed for another")}
	if got, err := Open(nil, &p, nil, 0); err != nil || !bytes.Equal(got, p.Body) {
		t.Errorf("no cipher: %q, err %v", got, err)
	}
}

func TestOpenErrors(t *testing.T) {
	c := NewCipher(testKey())
	bomb, err := Deflate(nil, make([]byte, 1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		p    Packet
		want error
	}{
		{Packet{Flags: FlagCrypto, Body: []byte("short")}, ErrDecrypt},
		{Packet{Flags: FlagCrypto, Body: make([]byte, 16)}, ErrDecrypt},
		{Packet{Flags: FlagCompress, Body: []byte("no zlib")}, ErrInflate},
		{Packet{Flags: FlagCompress, Body: bomb}, ErrTooLarge},
		{Packet{Flags: FlagCompress | FlagCrypto, Body: c.AppendEncrypt(nil, bomb)}, ErrTooLarge},
		{Packet{Flags: FlagCompress | FlagCrypto, Body: c.AppendEncrypt(nil, []byte("no zlib"))}, ErrInflate},
	} {
		if got, err := Open(nil, &x.p, c, 999); !errors.Is(err, x.want) || got != nil {
			t.Errorf("flags %d: %v, want %v", x.p.Flags, err, x.want)
		}
	}
}

// TestOpenReusesScratch: the scratch buffer serves one packet after the other.
func TestOpenReusesScratch(t *testing.T) {
	c := NewCipher(testKey())
	buf := make([]byte, 0, 64)
	for _, n := range []int{1, 3000, 5, 20_000, 1} {
		content := bytes.Repeat([]byte{byte(n)}, n)
		frame, err := AppendSealed(nil, CmdPush, 0, 1, content, 1000, c)
		if err != nil {
			t.Fatal(err)
		}
		var d Decoder
		p, _, _, _ := d.Next(frame, 1<<20)
		got, err := Open(buf, &p, c, 1<<20)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %d, err %v", n, len(got), err)
		}
		buf = got
	}
}
