package stranger

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

const (
	vectorIV         = "101112131415161718191a1b1c1d1e1f"
	vectorClientKey  = "000102030405060708090a0b0c0d0e0f"
	vectorServerKey  = "0b30557a9fc4e90e33587da2c7ec1136"
	vectorSessionKey = "0b3157799bc1ef093b5177a9cbe11f39"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectorDevice is the device of the description's test vectors, after its handshake, which is to
// receive the frames that are given in hexadecimal.
func vectorDevice(t *testing.T, frames ...string) *Device {
	t.Helper()
	return &Device{
		OSName: "android", OSVersion: "6.0", id: "dev-1",
		cipher: &sealer{unhex(t, vectorSessionKey), unhex(t, vectorIV)},
		r:      bufio.NewReader(bytes.NewReader(unhex(t, strings.Join(frames, "")))),
	}
}

// TestVectorsOut checks what the device sends against appendix A.
func TestVectorsOut(t *testing.T) {
	d := vectorDevice(t)
	iv, clientKey := unhex(t, vectorIV), unhex(t, vectorClientKey)
	bind, err := d.seal(frame{cmd: cmdBind, session: 2, body: appendField(appendField(appendField(nil, "user-0"), ""), "vip")})
	if err != nil {
		t.Fatal(err)
	}
	resume := frame{cmd: cmdFastConnect, session: 1, body: fastConnectBody("34b37ed163965735ab20c62bdb98ee53", "dev-1", 10_000)}
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"handshake", d.handshakeBody(iv, clientKey, 1500000000000), "00056465762d310007616e64726f69640003362e300003312e30001010111213" +
			"1415161718191a1b1c1d1e1f0010000102030405060708090a0b0c0d0e0f000027100003a9800000015d3ef79800"},
		{"session key", mix(clientKey, unhex(t, vectorServerKey)), vectorSessionKey},
		{"bind", bind.encode(), "000000100500000100000002007710e672adba28cd274a04120dd8bece"},
		{"fast connect", resume.encode(), "000000310700000000000001000020333462333765643136333936353733356162" +
			"323063363262646239386565353300056465762d31000027100003a980"},
		{"ack", frame{cmd: cmdAck, session: 7}.encode(), "00000000170000000000000700"},
		{"long field", appendField(nil, make([]byte, 40_000))[:6], "7fff00001c41"},
		{"shortest long field", appendField(nil, make([]byte, 32_767))[:6], "7fff00000000"},
		{"longest short field", appendField(nil, make([]byte, 32_766))[:2], "7ffe"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestVectorsIn checks what the device makes of the frames of appendix A.
func TestVectorsIn(t *testing.T) {
	d := vectorDevice(t,
		"000000100f00000900000007001a2c7f83900b430ec660e26d79ecde01",
		"000000100d0000010000000000ed9962c991e0b227e10889ca0ffd1a13",
		"000000150a00000000000001000767000f73657373696f6e20657870697265640000")
	for range 2 {
		if err := d.expectNothing(); err != nil {
			t.Fatal(err)
		}
	}
	if p := d.pushes[0]; string(p.Content) != "hello" || p.ID != 7 || !p.WantsAck || p.Flags != 9 {
		t.Errorf("push: %+v", p)
	}
	if k := d.kicks[0]; k != (Kick{DeviceID: "dev-1", UserID: "user-0"}) {
		t.Errorf("kick: %+v", k)
	}
	_, err := d.await(cmdFastConnect, 1)
	wantRefusal(t, err, Refusal{Cmd: cmdFastConnect, Code: 103, Reason: "session expired"})

	d = vectorDevice(t, "00000050020000010000000100"+
		"7da93d946559550379f38b19e32e5909eceedaebbbb09069103bddc93cadc923f3c5a7ab6b3adc6cd7159b413bbd5f59"+
		"7f0aa237dab5169b657effed8ea69ded8cdb389db2847e9df00334351dbde299")
	d.cipher = &sealer{unhex(t, vectorClientKey), unhex(t, vectorIV)}
	f, err := d.await(cmdHandshake, 1)
	if err != nil {
		t.Fatal(err)
	}
	reply := fields{rest: f.body}
	if key := hex.EncodeToString(reply.bytes()); key != vectorServerKey {
		t.Errorf("server key %s", key)
	}
	if heartbeat, id, expires := reply.int32(), reply.string(), reply.int64(); heartbeat != 10_000 ||
		id != "34b37ed163965735ab20c62bdb98ee53" || expires != 1500086400000 || reply.err != nil {
		t.Errorf("handshake reply: %d %s %d %v", heartbeat, id, expires, reply.err)
	}
}
