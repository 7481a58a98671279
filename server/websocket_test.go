package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"

	"pgregory.net/rapid"
)

const wsTestLimit = 65536

// wsClientFrame writes a masked frame as a client does.
func wsClientFrame(fin bool, opcode wsOpcode, payload string) []byte {
	first := byte(opcode)
	if fin {
		first |= wsFin
	}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, wsMask|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, wsMask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, wsMask|127), uint64(n))
	}
	key := uint32(0x7a3c91e5)
	b = binary.LittleEndian.AppendUint32(b, key)
	b = append(b, payload...)
	wsUnmask(key, b[len(b)-len(payload):])
	return b
}

// wsDrain feeds chunks and renders every message, the error, and what is still held.
func wsDrain(limit int, chunks ...[]byte) (log []string) {
	var d wsDecoder
	for _, chunk := range chunks {
		data := bytes.Clone(chunk)
		for len(data) > 0 {
			m, rest, ok, err := d.next(data, limit)
			if err != nil {
				var violation *wsError
				if !errors.As(err, &violation) {
					return append(log, "foreign error "+err.Error())
				}
				return append(log, fmt.Sprint("close ", violation.Code))
			}
			if !ok && len(rest) > 0 {
				return append(log, "bytes left without a message")
			}
			if ok {
				log = append(log, fmt.Sprintf("%d:%s", m.Opcode, m.Payload))
			}
			data = rest
		}
	}
	if d.partial != nil {
		log = append(log, "more")
	}
	return log
}

// wsSingly cuts a stream into single bytes.
func wsSingly(stream []byte) (chunks [][]byte) {
	for chunk := range slices.Chunk(stream, 1) {
		chunks = append(chunks, chunk)
	}
	return chunks
}

func wsJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestWSMessages(t *testing.T) {
	long := strings.Repeat("abcdefg", 10000)
	tests := []struct {
		name string
		in   []byte
		want []string
	}{
		{"text", wsClientFrame(true, wsText, "hello"), []string{"1:hello"}},
		{"empty text", wsClientFrame(true, wsText, ""), []string{"1:"}},
		{"binary need not be UTF-8", wsClientFrame(true, wsBinary, "\xff\xfe"), []string{"2:\xff\xfe"}},
		{"16-bit length", wsClientFrame(true, wsText, long[:40000]), []string{"1:" + long[:40000]}},
		{"at the limit", wsClientFrame(true, wsText, long[:wsTestLimit]), []string{"1:" + long[:wsTestLimit]}},
		{"two frames", wsJoin(wsClientFrame(true, wsText, "a"), wsClientFrame(true, wsText, "b")), []string{"1:a", "1:b"}},
		{"ping, pong, close", wsJoin(wsClientFrame(true, wsPing, "p"), wsClientFrame(true, wsPong, ""),
			wsClientFrame(true, wsClose, "\x03\xe8bye")), []string{"9:p", "10:", "8:\x03\xe8bye"}},
		{"close without a code", wsClientFrame(true, wsClose, ""), []string{"8:"}},
		{"fragments", wsJoin(wsClientFrame(false, wsText, "one "), wsClientFrame(false, wsContinuation, ""),
			wsClientFrame(true, wsContinuation, "two")), []string{"1:one two"}},
		{"control between fragments", wsJoin(wsClientFrame(false, wsText, "one "), wsClientFrame(true, wsPing, "?"),
			wsClientFrame(true, wsContinuation, "two"), wsClientFrame(true, wsText, "x")), []string{"9:?", "1:one two", "1:x"}},
		{"character across fragments", wsJoin(wsClientFrame(false, wsText, "\xe4\xbd"),
			wsClientFrame(true, wsContinuation, "\xa0")), []string{"1:你"}},
		{"empty fragments", wsJoin(wsClientFrame(false, wsBinary, ""), wsClientFrame(true, wsContinuation, "")), []string{"2:"}},
		{"open message", wsClientFrame(false, wsText, "one"), []string{"more"}},
		{"half a frame", wsClientFrame(true, wsText, "hello")[:8], []string{"more"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := wsDrain(wsTestLimit, test.in); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %.200q, want %.200q", got, test.want)
			}
			if got := wsDrain(wsTestLimit, wsSingly(test.in)...); fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("byte by byte: got %.200q, want %.200q", got, test.want)
			}
		})
	}
}

func TestWSViolations(t *testing.T) {
	text := wsClientFrame(true, wsText, "hello")
	edit := func(i int, b byte) []byte {
		frame := bytes.Clone(text)
		frame[i] = b
		return frame
	}
	tests := []struct {
		name string
		in   []byte
		code uint16
	}{
		{"RSV1", edit(0, 0xC1), 1002},
		{"RSV2", edit(0, 0xA1), 1002},
		{"RSV3", edit(0, 0x91), 1002},
		{"reserved data opcode", edit(0, 0x83), 1002},
		{"reserved control opcode", edit(0, 0x8B), 1002},
		{"unmasked", wsAppendFrame(nil, wsText, []byte("hello")), 1002},
		{"unmasked, header only", []byte{0x81, 0x05}, 1002},
		{"fragmented ping", wsClientFrame(false, wsPing, ""), 1002},
		{"fragmented close", wsClientFrame(false, wsClose, ""), 1002},
		{"control of 126 bytes", wsClientFrame(true, wsPing, strings.Repeat("x", 126)), 1002},
		{"16-bit length under 126", []byte{0x81, 0xFE, 0, 125}, 1002},
		{"64-bit length under 65536", []byte{0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 1002},
		{"negative length", []byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0}, 1002},
		{"continuation of nothing", wsClientFrame(true, wsContinuation, "x"), 1002},
		{"open continuation of nothing", wsClientFrame(false, wsContinuation, "x"), 1002},
		{"text inside fragments", wsJoin(wsClientFrame(false, wsText, "x"), text), 1002},
		{"binary inside fragments", wsJoin(wsClientFrame(false, wsText, "x"), wsClientFrame(false, wsBinary, "x")), 1002},
		{"invalid UTF-8", wsClientFrame(true, wsText, "\xfe\xff"), 1007},
		{"UTF-8 cut short", wsClientFrame(true, wsText, "\xe4\xbd"), 1007},
		{"surrogate", wsClientFrame(true, wsText, "\xed\xa0\x80"), 1007},
		{"invalid UTF-8 in fragments", wsJoin(wsClientFrame(false, wsText, "\xe4\xbd"), wsClientFrame(true, wsContinuation, "x")), 1007},
		{"close with one byte", wsClientFrame(true, wsClose, "\x03"), 1002},
		{"close code 999", wsClientFrame(true, wsClose, "\x03\xe7"), 1002},
		{"close code 1005", wsClientFrame(true, wsClose, "\x03\xed"), 1002},
		{"close code 1006", wsClientFrame(true, wsClose, "\x03\xee"), 1002},
		{"close code 1015", wsClientFrame(true, wsClose, "\x03\xf7"), 1002},
		{"close code 2999", wsClientFrame(true, wsClose, "\x0b\xb7"), 1002},
		{"close code 5000", wsClientFrame(true, wsClose, "\x13\x88"), 1002},
		{"close reason not UTF-8", wsClientFrame(true, wsClose, "\x03\xe8\xff"), 1007},
		{"over the limit", wsClientFrame(true, wsText, strings.Repeat("x", wsTestLimit+1)), 1009},
		{"fragments over the limit", wsJoin(wsClientFrame(false, wsText, strings.Repeat("x", wsTestLimit)),
			wsClientFrame(true, wsContinuation, "x")), 1009},
		{"huge length", []byte{0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}, 1009},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := fmt.Sprint([]string{fmt.Sprint("close ", test.code)})
			if got := fmt.Sprint(wsDrain(wsTestLimit, test.in)); got != want {
				t.Errorf("got %.100s, want %s", got, want)
			}
			if got := fmt.Sprint(wsDrain(wsTestLimit, wsSingly(test.in)...)); got != want {
				t.Errorf("byte by byte: got %.100s, want %s", got, want)
			}
		})
	}
}

// The limit holds before memory is taken, and memory grows with arrived bytes.
func TestWSMemoryFollowsArrival(t *testing.T) {
	var d wsDecoder
	header := wsClientFrame(true, wsText, strings.Repeat("x", 60000))[:8]
	if _, _, ok, err := d.next(bytes.Clone(header), wsTestLimit); ok || err != nil {
		t.Fatalf("ok %v, err %v", ok, err)
	}
	if c := cap(d.partial.message); c != 0 {
		t.Errorf("%d bytes taken for a header alone", c)
	}
	d.next(make([]byte, 100), wsTestLimit)
	if c := cap(d.partial.message); c < 100 || c > 1000 {
		t.Errorf("%d bytes taken for 100 that arrived", c)
	}
}

func TestWSDecoderReleasesMemory(t *testing.T) {
	if size := unsafe.Sizeof(wsDecoder{}); size > 8 {
		t.Errorf("an idle decoder takes %d bytes", size)
	}
	var d wsDecoder
	frame := wsClientFrame(true, wsText, strings.Repeat("x", 5000))
	d.next(bytes.Clone(frame[:3000]), wsTestLimit)
	m, rest, ok, err := d.next(bytes.Clone(frame[3000:]), wsTestLimit)
	if !ok || err != nil || len(m.Payload) != 5000 || len(rest) != 0 {
		t.Fatalf("ok %v, err %v, %d bytes", ok, err, len(m.Payload))
	}
	if d.partial != nil {
		t.Error("memory held after the message was handed out")
	}
}

func TestWSSmallFrameDoesNotAllocate(t *testing.T) {
	frame := wsClientFrame(true, wsText, `{"cmd":23,"flags":16,"sessionId":7}`)
	data := make([]byte, len(frame))
	var d wsDecoder
	if n := testing.AllocsPerRun(100, func() {
		copy(data, frame)
		if _, _, ok, err := d.next(data, wsTestLimit); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}); n != 0 {
		t.Errorf("decoding allocates %v times", n)
	}
	out := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		out = wsAppendFrame(out[:0], wsText, frame)
		out = wsAppendClose(out, 1000, "Bye")
	}); n != 0 {
		t.Errorf("encoding allocates %v times", n)
	}
}

func TestWSAppendFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, 70000} {
		payload := bytes.Repeat([]byte{'x'}, n)
		frame := wsAppendFrame([]byte("before"), wsBinary, payload)[6:]
		if frame[0] != 0x82 || frame[1]&wsMask != 0 {
			t.Errorf("%d bytes: header % x", n, frame[:2])
		}
		h := wsHeader{}
		extra, ok, err := h.parseLength(frame[1], frame[2:])
		if !ok || err != nil || h.length != uint64(n) || !bytes.Equal(frame[2+extra:], payload) {
			t.Errorf("%d bytes: length %d, ok %v, err %v", n, h.length, ok, err)
		}
	}
}

func TestWSClosePayload(t *testing.T) {
	if got := wsAppendClose(nil, 1000, "Bye"); string(got) != "\x88\x05\x03\xe8Bye" {
		t.Errorf("MPush's farewell: % x", got)
	}
	if got := wsAppendClose(nil, wsCodeNoStatus, "lost"); string(got) != "\x88\x00" {
		t.Errorf("without a code: % x", got)
	}
	for _, reason := range []string{strings.Repeat("x", 200), strings.Repeat("你", 60), strings.Repeat("😀", 40) + "x"} {
		frame := wsAppendClose(nil, 4001, reason)
		code, got, err := wsParseClose(frame[2:])
		if err != nil || code != 4001 || !strings.HasPrefix(reason, got) || len(frame) > 127 || len(frame) < 123 {
			t.Errorf("reason of %d bytes: code %d, %d kept, %v", len(reason), code, len(got), err)
		}
	}
	for _, code := range []uint16{1000, 1003, 1007, 1014, 3000, 4999} {
		if got, reason, err := wsParseClose(wsAppendClose(nil, code, "why")[2:]); got != code || reason != "why" || err != nil {
			t.Errorf("%d: %d %q %v", code, got, reason, err)
		}
	}
}

func TestWSUnmaskMatchesTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.Uint32().Draw(t, "key")
		data := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "data")
		var mask [4]byte
		binary.LittleEndian.PutUint32(mask[:], key)
		want := bytes.Clone(data)
		for i := range want {
			want[i] ^= mask[i%4]
		}
		cut := rapid.IntRange(0, len(data)).Draw(t, "cut")
		wsUnmask(wsUnmask(key, data[:cut]), data[cut:])
		if !bytes.Equal(data, want) {
			t.Fatalf("got % x, want % x", data, want)
		}
	})
}

// FuzzWSDecoder: wherever the stream is cut, the same messages come out.
func FuzzWSDecoder(f *testing.F) {
	f.Add(wsClientFrame(true, wsText, "hello"), uint16(3), uint16(5))
	f.Add(wsJoin(wsClientFrame(false, wsText, "one "), wsClientFrame(true, wsPing, "?"),
		wsClientFrame(true, wsContinuation, "two"), wsClientFrame(true, wsClose, "\x03\xe8")), uint16(9), uint16(30))
	f.Add(wsClientFrame(true, wsBinary, strings.Repeat("x", 300)), uint16(1), uint16(200))
	f.Add([]byte{0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0}, uint16(4), uint16(4))
	f.Fuzz(func(t *testing.T, stream []byte, a, b uint16) {
		first := int(a) % (len(stream) + 1)
		second := first + int(b)%(len(stream)-first+1)
		whole := wsDrain(200, stream)
		for _, chunks := range [][][]byte{
			{stream[:first], stream[first:second], stream[second:]},
			wsSingly(stream),
		} {
			if got := wsDrain(200, chunks...); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", whole) {
				t.Fatalf("cut: %q, whole: %q", got, whole)
			}
		}
		for _, line := range whole {
			if text, isText := strings.CutPrefix(line, "1:"); isText && (!utf8.ValidString(text) || len(text) > 200) {
				t.Fatalf("bad text came out: %q", text)
			}
		}
	})
}

func BenchmarkWSDecode(b *testing.B) {
	for _, n := range []int{50, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			frame := wsClientFrame(true, wsText, strings.Repeat("x", n))
			data := make([]byte, len(frame))
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				copy(data, frame)
				var d wsDecoder
				d.next(data, wsTestLimit)
			}
		})
	}
}
