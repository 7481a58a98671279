package protocol

import (
	"encoding/binary"
	"fmt"
)

// Decoder cuts a byte stream into packets. The zero value is ready. It holds no
// memory while no frame is partial, so an idle connection costs its 24 bytes
// only; while one is, it holds at most twice the bytes that arrived of it or 64,
// whatever length the header announced. It is not for concurrent use.
type Decoder struct {
	partial []byte // the frame's bytes so far, header first; nil if none
}

// minPartial is the smallest buffer for a frame that arrives in pieces.
const minPartial = 64

// Next cuts the first packet off data, the bytes that follow those of earlier
// calls. If ok is true, rest is what follows the packet: call again with it. If
// ok is false and err is nil, all of data was consumed and kept: call again when
// more has arrived. A heartbeat byte is a Packet whose Command is [CmdHeartbeat].
//
// Body aliases data or memory of the decoder and is valid until the next call
// and until data is overwritten. It is nil if the frame has none. limit is the
// longest body accepted, in bytes; it is compared as soon as the header is
// complete. The errors are [ErrTooLarge] and [ErrNegativeLength]; after either
// the stream cannot be read on and the decoder is empty.
func (d *Decoder) Next(data []byte, limit int) (p Packet, rest []byte, ok bool, err error) {
	if len(d.partial) > 0 {
		return d.resume(data, limit)
	}
	if len(data) == 0 {
		return Packet{}, nil, false, nil
	}
	if data[0] == HeartbeatByte {
		return Packet{Command: CmdHeartbeat}, data[1:], true, nil
	}
	if len(data) < HeaderSize {
		d.keep(data, HeaderSize)
		return Packet{}, nil, false, nil
	}
	size, err := frameSize(data, limit)
	if err != nil {
		return Packet{}, data, false, err
	}
	if len(data) < size {
		d.keep(data, size)
		return Packet{}, nil, false, nil
	}
	return parseFrame(data[:size:size]), data[size:], true, nil
}

// resume goes on with the partial frame.
func (d *Decoder) resume(data []byte, limit int) (p Packet, rest []byte, ok bool, err error) {
	if missing := HeaderSize - len(d.partial); missing > 0 {
		if len(data) < missing {
			d.keep(data, HeaderSize)
			return Packet{}, nil, false, nil
		}
		var header [HeaderSize]byte
		copy(header[copy(header[:], d.partial):], data)
		size, err := frameSize(header[:], limit)
		if err != nil {
			d.partial = nil
			return Packet{}, data, false, err
		}
		d.keep(data[:missing], size)
		data = data[missing:]
	}
	size, err := frameSize(d.partial, limit)
	if err != nil { // the limit was lowered between two calls
		d.partial = nil
		return Packet{}, data, false, err
	}
	if missing := size - len(d.partial); missing > len(data) {
		d.keep(data, size)
		return Packet{}, nil, false, nil
	} else if missing > 0 {
		d.keep(data[:missing], size)
		data = data[missing:]
	}
	frame := d.partial
	d.partial = nil
	return parseFrame(frame), data, true, nil
}

// keep appends more to the partial frame. The buffer doubles as bytes arrive and
// does not exceed size, the length of the frame as far as it is known, unless
// that is less than [minPartial].
func (d *Decoder) keep(more []byte, size int) {
	need := len(d.partial) + len(more)
	if need > cap(d.partial) {
		grown := make([]byte, len(d.partial), max(need, minPartial, min(2*need, size)))
		copy(grown, d.partial)
		d.partial = grown
	}
	d.partial = append(d.partial, more...)
}

// Buffered is the number of bytes kept of a partial frame.
func (d *Decoder) Buffered() int { return len(d.partial) }

// frameSize reads the length field and returns the length of the whole frame.
func frameSize(header []byte, limit int) (int, error) {
	length := int32(binary.BigEndian.Uint32(header))
	if length < 0 {
		return 0, fmt.Errorf("frame header: %w %d", ErrNegativeLength, length)
	}
	if int64(length) > int64(limit) {
		return 0, fmt.Errorf("frame header: body of %d bytes is %w of %d", length, ErrTooLarge, limit)
	}
	return HeaderSize + int(length), nil
}

// parseFrame reads a frame that is complete.
func parseFrame(frame []byte) Packet {
	p := Packet{
		Command:   Command(frame[4]),
		CheckCode: int16(binary.BigEndian.Uint16(frame[5:])),
		Flags:     Flags(frame[7]),
		SessionID: int32(binary.BigEndian.Uint32(frame[8:])),
		LRC:       int8(frame[12]),
	}
	if len(frame) > HeaderSize {
		p.Body = frame[HeaderSize:]
	}
	return p
}
