package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"unsafe"
)

func TestDecoderIsSmallAndEmptyWhenIdle(t *testing.T) {
	if size := unsafe.Sizeof(Decoder{}); size > 32 {
		t.Errorf("a decoder is %d bytes", size)
	}
	frame := AppendPacket(nil, Packet{Command: CmdPush, Body: make([]byte, 5000)})
	var d Decoder
	for cut := 0; cut <= len(frame); cut += 97 {
		if _, _, ok, err := d.Next(frame[:cut], 5000); ok || err != nil || d.Buffered() != cut {
			t.Fatalf("cut at %d: ok %v, %d buffered, err %v", cut, ok, d.Buffered(), err)
		}
		p, rest, ok, err := d.Next(append(bytes.Clone(frame[cut:]), HeartbeatByte), 5000)
		if !ok || err != nil || len(p.Body) != 5000 || len(rest) != 1 {
			t.Fatalf("cut at %d: ok %v, body %d, rest %d, err %v", cut, ok, len(p.Body), len(rest), err)
		}
		if d.partial != nil {
			t.Fatalf("cut at %d: memory held between frames", cut)
		}
	}
}

func TestDecoderNothingIn(t *testing.T) {
	var d Decoder
	for _, data := range [][]byte{nil, {}} {
		if _, rest, ok, err := d.Next(data, 10); ok || err != nil || len(rest) != 0 || d.Buffered() != 0 {
			t.Errorf("ok %v, err %v", ok, err)
		}
	}
}

// TestDecoderMemoryFollowsBytes: a header announces 1 GiB, and what is held stays
// in proportion to what arrived.
func TestDecoderMemoryFollowsBytes(t *testing.T) {
	const announced = 1 << 30
	var d Decoder
	arrived := 0
	feed := func(b []byte) {
		if _, _, ok, err := d.Next(b, announced); ok || err != nil {
			t.Fatalf("ok %v, err %v", ok, err)
		}
		arrived += len(b)
		if held := cap(d.partial); held > max(2*arrived, minPartial) || d.Buffered() != arrived {
			t.Fatalf("%d bytes arrived, %d are held", arrived, held)
		}
	}
	header := AppendHeader(nil, CmdPush, 0, 1, announced)
	for _, b := range header {
		feed([]byte{b})
	}
	for range 300 {
		feed([]byte{1})
	}
	for _, n := range []int{1000, 4096, 100, 50_000} {
		feed(make([]byte, n))
	}
}

// TestDecoderGrowsOnlyToTheFrame: with the header known the buffer does not
// outgrow the frame.
func TestDecoderGrowsOnlyToTheFrame(t *testing.T) {
	frame := AppendPacket(nil, Packet{Command: CmdPush, Body: make([]byte, 1000)})
	var d Decoder
	for _, b := range frame[:len(frame)-1] {
		d.Next([]byte{b}, 1000)
		if cap(d.partial) > len(frame) {
			t.Fatalf("%d bytes held for a frame of %d", cap(d.partial), len(frame))
		}
	}
	if p, _, ok, err := d.Next(frame[len(frame)-1:], 1000); !ok || err != nil || len(p.Body) != 1000 {
		t.Errorf("ok %v, body %d, err %v", ok, len(p.Body), err)
	}
}

func TestDecoderChecksTheHeaderFirst(t *testing.T) {
	for _, c := range []struct {
		length int32
		limit  int
		want   error
	}{
		{0, 0, nil}, {1, 1, nil}, {1, 0, ErrTooLarge}, {10241, 10240, ErrTooLarge}, {10240, 10240, nil},
		{0x7fffffff, 10240, ErrTooLarge}, {0x7ffffff3, 1 << 30, ErrTooLarge},
		{-1, 10240, ErrNegativeLength}, {-0x80000000, 10240, ErrNegativeLength}, {0, -1, ErrTooLarge},
	} {
		header := AppendHeader(nil, CmdBind, 0, 1, 0)
		binary.BigEndian.PutUint32(header, uint32(c.length))
		for cut := range HeaderSize + 1 {
			var d Decoder
			_, _, _, err := d.Next(header[:cut], c.limit)
			if err == nil && cut < HeaderSize {
				_, _, _, err = d.Next(header[cut:], c.limit)
			}
			if !errors.Is(err, c.want) || err != nil && d.partial != nil {
				t.Errorf("length %d, limit %d, cut at %d: err %v, %d kept", c.length, c.limit, cut, err, d.Buffered())
			}
		}
	}
}

func TestDecoderLimitLoweredMeanwhile(t *testing.T) {
	frame := AppendPacket(nil, Packet{Command: CmdPush, Body: make([]byte, 100)})
	var d Decoder
	d.Next(frame[:50], 100)
	if _, _, _, err := d.Next(frame[50:], 99); !errors.Is(err, ErrTooLarge) || d.partial != nil {
		t.Errorf("err %v", err)
	}
}

// TestDecoderHeartbeats: the byte counts only where a frame would start.
func TestDecoderHeartbeats(t *testing.T) {
	stream := []byte{HeartbeatByte, HeartbeatByte}
	stream = AppendPacket(stream, Packet{Command: CmdPush, SessionID: -0x20202021, Body: []byte{0xdf, 0xdf}})
	stream = append(stream, HeartbeatByte)
	stream = AppendPacket(stream, Packet{Command: CmdHeartbeat, SessionID: 7})
	for cut := range len(stream) {
		var d Decoder
		first, err1 := decodeStep(&d, stream[:cut], 100)
		second, err2 := decodeStep(&d, stream[cut:], 100)
		got := append(first, second...)
		if err1 != nil || err2 != nil || len(got) != 5 {
			t.Fatalf("cut at %d: %d packets, %v, %v", cut, len(got), err1, err2)
		}
		for i, want := range []Command{CmdHeartbeat, CmdHeartbeat, CmdPush, CmdHeartbeat, CmdHeartbeat} {
			if got[i].Command != want {
				t.Errorf("cut at %d: packet %d is %v", cut, i, got[i].Command)
			}
		}
		if got[2].SessionID != -0x20202021 || !bytes.Equal(got[2].Body, []byte{0xdf, 0xdf}) || got[4].SessionID != 7 {
			t.Errorf("cut at %d: %+v", cut, got)
		}
	}
}

// TestDecoderBodyDoesNotReachIntoTheNextFrame: appending to a body must not
// overwrite what follows it in the read buffer.
func TestDecoderBodyDoesNotReachIntoTheNextFrame(t *testing.T) {
	stream := AppendPacket(nil, Packet{Command: CmdPush, Body: []byte("one")})
	stream = AppendPacket(stream, Packet{Command: CmdPush, Body: []byte("two")})
	var d Decoder
	p, rest, _, _ := d.Next(stream, 10)
	_ = append(p.Body, "overwritten"...)
	if p, _, ok, err := d.Next(rest, 10); !ok || err != nil || string(p.Body) != "two" {
		t.Errorf("body %q, ok %v, err %v", p.Body, ok, err)
	}
}
