package stranger

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The commands that this device speaks, as numbered in table 2.1.
const (
	cmdHeartbeat   = 1
	cmdHandshake   = 2
	cmdBind        = 5
	cmdUnbind      = 6
	cmdFastConnect = 7
	cmdError       = 10
	cmdOK          = 11
	cmdKick        = 13
	cmdPush        = 15
	cmdAck         = 23
)

// The flag bits of table 1.3.
const (
	flagCrypto   = 1
	flagCompress = 2
	flagBizAck   = 4
	flagAutoAck  = 8
	flagJSON     = 16
)

const (
	headerLen     = 13
	heartbeatByte = 0xDF
	longField     = 32767    // a field of this length or more is counted in 16+32 bits
	maxBody       = 16 << 20 // what this device is ready to take, packed or unpacked
)

// frame is one packet of the binary protocol, its body readable.
type frame struct {
	cmd     byte
	flags   byte
	session int32
	body    []byte
}

// encode lays the frame out for the wire; the body goes as it is.
func (f frame) encode() []byte {
	out := make([]byte, 0, headerLen+len(f.body))
	out = binary.BigEndian.AppendUint32(out, uint32(len(f.body)))
	out = append(out, f.cmd, 0, 0, f.flags)
	out = binary.BigEndian.AppendUint32(out, uint32(f.session))
	out = append(out, 0)
	return append(out, f.body...)
}

// readFrame reads one frame or heartbeat byte; the body is as it came.
func readFrame(r *bufio.Reader) (frame, error) {
	first, err := r.ReadByte()
	if err != nil {
		return frame{}, err
	}
	if first == heartbeatByte {
		return frame{cmd: cmdHeartbeat}, nil
	}
	header := [headerLen]byte{first}
	if _, err := io.ReadFull(r, header[1:]); err != nil {
		return frame{}, fmt.Errorf("header cut off: %w", err)
	}
	n := binary.BigEndian.Uint32(header[0:4])
	if n > maxBody {
		return frame{}, fmt.Errorf("frame announces a body of %d bytes", int32(n))
	}
	f := frame{cmd: header[4], flags: header[7], session: int32(binary.BigEndian.Uint32(header[8:12])), body: make([]byte, n)}
	if _, err := io.ReadFull(r, f.body); err != nil {
		return frame{}, fmt.Errorf("body cut off: %w", err)
	}
	return f, nil
}

// appendField appends a string or bytes field with its length before it.
func appendField[T string | []byte](b []byte, field T) []byte {
	if n := len(field); n < longField {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	} else {
		b = binary.BigEndian.AppendUint16(b, longField)
		b = binary.BigEndian.AppendUint32(b, uint32(n-longField))
	}
	return append(b, field...)
}

var errShort = errors.New("body ends within a field")

// fields takes a body apart. After a body that ended early, err is set and every value is zero.
type fields struct {
	rest []byte
	err  error
}

// take returns the next n bytes, or zeros in their place once the body has ended.
func (f *fields) take(n int) []byte {
	if f.err != nil || n < 0 || n > len(f.rest) {
		f.err = errShort
		return make([]byte, 8)
	}
	out := f.rest[:n]
	f.rest = f.rest[n:]
	return out
}

func (f *fields) byte() byte   { return f.take(1)[0] }
func (f *fields) int32() int32 { return int32(binary.BigEndian.Uint32(f.take(4))) }
func (f *fields) int64() int64 { return int64(binary.BigEndian.Uint64(f.take(8))) }

func (f *fields) bytes() []byte {
	n := int(int16(binary.BigEndian.Uint16(f.take(2))))
	if n == longField {
		n += int(f.int32())
	}
	out := f.take(n)
	if f.err != nil {
		return nil
	}
	return out
}

func (f *fields) string() string { return string(f.bytes()) }
