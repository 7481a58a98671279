package protocol

import (
	"strings"
	"testing"
)

func benchPush(b *testing.B) (frame []byte, c *Cipher, content []byte) {
	b.Helper()
	c = NewCipher(testKey())
	content = []byte(`{"content":"` + strings.Repeat("hello ", 20) + `","msgId":"msg_1","msgType":3}`)
	frame, err := AppendSealed(nil, CmdPush, FlagAutoAck, 7, content, 10240, c)
	if err != nil {
		b.Fatal(err)
	}
	return frame, c, content
}

func BenchmarkDecodeHeartbeat(b *testing.B) {
	var d Decoder
	data := []byte{HeartbeatByte}
	b.ReportAllocs()
	for b.Loop() {
		d.Next(data, 10240)
	}
}

func BenchmarkDecodePush(b *testing.B) {
	frame, c, _ := benchPush(b)
	var d Decoder
	var push Push
	scratch := make([]byte, 0, 512)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		p, _, _, _ := d.Next(frame, 10240)
		p.Body, _ = Open(scratch, &p, c, 10240)
		if err := push.UnmarshalBinary(p.Body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeByteByByte(b *testing.B) {
	frame, _, _ := benchPush(b)
	var d Decoder
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		for i := range frame {
			d.Next(frame[i:i+1], 10240)
		}
	}
}

func BenchmarkSealPush(b *testing.B) {
	_, c, content := benchPush(b)
	out := make([]byte, 0, 512)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		out, _ = AppendSealed(out[:0], CmdPush, FlagAutoAck, 7, content, 10240, c)
	}
}

// BenchmarkSealPushFirst is the first push of a connection: the key is expanded.
func BenchmarkSealPushFirst(b *testing.B) {
	_, _, content := benchPush(b)
	out := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		out, _ = AppendSealed(out[:0], CmdPush, FlagAutoAck, 7, content, 10240, NewCipher(testKey()))
	}
}

func BenchmarkSealCompressed(b *testing.B) {
	content := []byte(strings.Repeat("0123456789abcdef", 1000))
	c := NewCipher(testKey())
	var out []byte
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		out, _ = AppendSealed(out[:0], CmdPush, 0, 7, content, 10240, c)
	}
}

func BenchmarkOpenCompressed(b *testing.B) {
	content := []byte(strings.Repeat("0123456789abcdef", 1000))
	body, err := Deflate(nil, content)
	if err != nil {
		b.Fatal(err)
	}
	p := Packet{Flags: FlagCompress, Body: body}
	buf := make([]byte, 0, 2*len(content))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(buf, &p, nil, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONPush(b *testing.B) {
	_, _, content := benchPush(b)
	push := &Push{Content: content}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendJSONPacket(out[:0], CmdPush, FlagAutoAck, 7, push)
	}
}

func BenchmarkParseJSONBind(b *testing.B) {
	text := []byte(`{"cmd":5,"flags":16,"sessionId":2,"body":{"userId":"user-0","tags":"vip"}}`)
	b.ReportAllocs()
	for b.Loop() {
		p, err := ParseJSONPacket(text)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Unmarshal(new(Bind)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRSADecrypt1024(b *testing.B) {
	key := demoKey(b)
	sealed, err := key.Public().AppendEncrypt(nil, make([]byte, 84))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.AppendDecrypt(nil, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
