package protocol

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// seedStreams are the recorded packets and byte streams.
func seedStreams(f *testing.F) (streams [][]byte) {
	v := loadCodec(f)
	for _, p := range append(v.ServerLib, v.DeviceClient.Cases...) {
		if len(p.WireHex) < 4000 {
			streams = append(streams, unhex(f, p.WireHex))
		}
	}
	for _, fr := range v.Framing {
		var stream []byte
		for _, step := range fr.Steps {
			stream = append(stream, unhex(f, step.InHex+step.InHexPrefix)...)
		}
		streams = append(streams, stream)
	}
	return streams
}

// FuzzDecoder: however a stream is split, the packets and the error are the same,
// and what is held follows what arrived.
func FuzzDecoder(f *testing.F) {
	for i, s := range seedStreams(f) {
		f.Add(s, uint16(i), uint16(3*i))
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut1, cut2 uint16) {
		const limit = 1 << 12
		var whole Decoder
		want, wantErr := decodeStep(&whole, stream, limit)

		a := int(cut1) % (len(stream) + 1)
		b := a + int(cut2)%(len(stream)-a+1)
		var d Decoder
		var got []Packet
		var err error
		for _, part := range [][]byte{stream[:a], stream[a:b], stream[b:]} {
			part = bytes.Clone(part)
			var packets []Packet
			packets, err = decodeStep(&d, part, limit)
			got = append(got, packets...)
			clear(part) // what was kept must be a copy
			if held := cap(d.partial); held > max(2*d.Buffered(), minPartial) {
				t.Fatalf("%d bytes held for %d", held, d.Buffered())
			}
			if err != nil {
				break
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%d packets, want %d", len(got), len(want))
		}
		for i := range got {
			if !samePacket(got[i], want[i]) {
				t.Fatalf("packet %d is %+v, want %+v", i, got[i], want[i])
			}
		}
		for _, class := range []error{ErrTooLarge, ErrNegativeLength} {
			if errors.Is(err, class) != errors.Is(wantErr, class) {
				t.Fatalf("err %v, want %v", err, wantErr)
			}
		}
		if err == nil && d.Buffered() != whole.Buffered() {
			t.Fatalf("%d bytes buffered, want %d", d.Buffered(), whole.Buffered())
		}
	})
}

// bodyTypes are in a fixed order, so that a seed's number means the same type.
var bodyTypes = []func() Message{
	func() Message { return new(Handshake) }, func() Message { return new(HandshakeOK) },
	func() Message { return new(FastConnect) }, func() Message { return new(FastConnectOK) },
	func() Message { return new(Bind) }, func() Message { return new(OK) }, func() Message { return new(Error) },
	func() Message { return new(Kick) }, func() Message { return new(Push) }, func() Message { return new(Ack) },
	func() Message { return new(HTTPRequest) }, func() Message { return new(HTTPResponse) },
	func() Message { return new(GatewayPush) }, func() Message { return new(GatewayKick) },
}

// FuzzBinaryBody: a body that decodes comes back from its encoding.
func FuzzBinaryBody(f *testing.F) {
	v := loadCodec(f)
	for _, p := range append(v.ServerLib, v.DeviceClient.Cases...) {
		if plain := p.plain(f); len(plain) < 2000 {
			for i := range bodyTypes {
				f.Add(uint8(i), plain)
			}
		}
	}
	f.Add(uint8(4), []byte("\x7f\xff\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		build := bodyTypes[int(kind)%len(bodyTypes)]
		m := build()
		if err := m.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrNegativeLength) {
				t.Fatalf("%T: %v", m, err)
			}
			return
		}
		encoded, err := m.AppendBinary(nil)
		if err != nil || len(encoded) > len(data)+4*16 {
			t.Fatalf("%T: %d bytes became %d, err %v", m, len(data), len(encoded), err)
		}
		again := build()
		if err := again.UnmarshalBinary(encoded); err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%T: %+v became %+v, err %v", m, m, again, err)
		}
		text := m.AppendJSON(nil) // any content makes JSON that can be read
		if err := again.UnmarshalJSON(text); err != nil {
			t.Fatalf("%T: %s: %v", m, text, err)
		}
	})
}

// FuzzJSONPacket: whatever text does, a packet that parses and its body come back
// from their encoding.
func FuzzJSONPacket(f *testing.F) {
	v := loadCodec(f)
	for _, x := range v.JSON {
		for i := range bodyTypes {
			f.Add(uint8(i), []byte(x.FrameText))
		}
	}
	for i, x := range v.JSONDecode {
		f.Add(uint8(i), []byte(x.FrameText))
	}
	f.Add(uint8(13), []byte(`{"body":{"clientType":"1","targetPort":3001,"connId":"\ud800"}}`))
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		p, err := ParseJSONPacket(text)
		if err != nil {
			if !errors.Is(err, ErrNotJSON) && !errors.Is(err, ErrNotJSONBody) {
				t.Fatal(err)
			}
			return
		}
		build := bodyTypes[int(kind)%len(bodyTypes)]
		m := build()
		if err := p.Unmarshal(m); err != nil {
			if !errors.Is(err, ErrBadJSON) {
				t.Fatalf("%T: %v", m, err)
			}
			return
		}
		frame := AppendJSONPacket(nil, p.Command, p.Flags, p.SessionID, m)
		q, err := ParseJSONPacket(frame)
		if err != nil || q.Command != p.Command || q.Flags != p.Flags || q.SessionID != p.SessionID {
			t.Fatalf("%s: %+v became %+v, err %v", frame, p, q, err)
		}
		again := build()
		if err := q.Unmarshal(again); err != nil {
			t.Fatalf("%T: %s: %v", m, frame, err)
		}
		if frame2 := AppendJSONPacket(nil, q.Command, q.Flags, q.SessionID, again); !bytes.Equal(frame, frame2) {
			t.Fatalf("%T: %s became %s", m, frame, frame2)
		}
	})
}

// FuzzOpen: no body makes Open panic or unfold beyond the limit, and what it
// opens can be sealed and opened again.
func FuzzOpen(f *testing.F) {
	c := NewCipher(testKey())
	for _, s := range seedStreams(f) {
		if len(s) > HeaderSize {
			f.Add(s[7], s[HeaderSize:])
		}
	}
	f.Fuzz(func(t *testing.T, flags uint8, body []byte) {
		const limit = 1 << 12
		p := Packet{Command: CmdPush, Flags: Flags(flags), Body: body}
		plain, err := Open(nil, &p, c, limit)
		if err != nil {
			if !errors.Is(err, ErrDecrypt) && !errors.Is(err, ErrInflate) && !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			return
		}
		if p.Flags&FlagCompress != 0 && p.Flags&FlagJSONBody == 0 && len(body) > 0 && len(plain) > limit {
			t.Fatalf("%d bytes", len(plain))
		}
		frame, err := AppendSealed(nil, CmdPush, 0, 1, plain, 64, c)
		if err != nil {
			t.Fatal(err)
		}
		var d Decoder
		q, _, ok, err := d.Next(frame, len(frame))
		if !ok || err != nil {
			t.Fatalf("ok %v, err %v", ok, err)
		}
		if again, err := Open(nil, &q, c, len(plain)); err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("%x became %x, err %v", plain, again, err)
		}
	})
}

// FuzzKeys: no key file makes the parser panic, and one that it takes works.
func FuzzKeys(f *testing.F) {
	v := loadCrypto(f).RSAKey
	f.Add([]byte(v.PrivateKey), []byte(v.PublicKey))
	f.Add([]byte(v.PrivateKey), []byte(nil))
	f.Add([]byte("MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ=="), []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	for _, private := range privateForms(f, demoKey(f).rsa) {
		f.Add(private, []byte(v.PublicKey))
	}
	for _, public := range publicForms(f, &demoKey(f).rsa.PublicKey) {
		f.Add([]byte(v.PrivateKey), public)
	}
	f.Fuzz(func(t *testing.T, private, public []byte) {
		if pub, err := ParsePublicKey(public); err == nil {
			text, err := pub.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParsePublicKey(text); err != nil || !again.Equal(pub) {
				t.Fatalf("%s does not come back: %v", text, err)
			}
		}
		key, err := ParseKeyPair(private, public)
		if err != nil {
			if !errors.Is(err, ErrBadKey) {
				t.Fatal(err)
			}
			return
		}
		sealed, err := key.Public().AppendEncrypt(nil, []byte("probe"))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := key.AppendDecrypt(nil, sealed); err != nil || string(plain) != "probe" {
			t.Fatalf("%q, err %v", plain, err)
		}
	})
}

// FuzzHeaders: what is read comes back when written and read again.
func FuzzHeaders(f *testing.F) {
	for _, v := range loadCodec(f).HeaderParse {
		f.Add(v.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := ParseHeaders(text)
		written := string(AppendHeaders(nil, got...))
		again := ParseHeaders(written)
		if len(again) > len(got) { // fewer if a name is nothing but carriage returns
			t.Fatalf("%q: %q became %q", text, got, again)
		}
		if rewritten := string(AppendHeaders(nil, again...)); rewritten != written {
			t.Fatalf("%q became %q", written, rewritten)
		}
	})
}
