package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
)

// longField is the first length that needs the long form of a length prefix:
// the 16-bit number 32767, then what is left as 32 bits.
const longField = math.MaxInt16

// appendLength appends the length prefix of a bytes or string field.
func appendLength(dst []byte, n int) ([]byte, error) {
	if n < longField {
		return binary.BigEndian.AppendUint16(dst, uint16(n)), nil
	}
	if n-longField > math.MaxInt32 {
		return dst, fmt.Errorf("%w: %d bytes", ErrFieldTooLong, n)
	}
	dst = binary.BigEndian.AppendUint16(dst, longField)
	return binary.BigEndian.AppendUint32(dst, uint32(n-longField)), nil
}

// appendFields appends bytes or string fields in order, and nothing at all if one
// of them is too long. An empty one is MPush's null: the length 0.
func appendFields[T string | []byte](dst []byte, fields ...T) ([]byte, error) {
	out := dst
	for _, f := range fields {
		var err error
		if out, err = appendLength(out, len(f)); err != nil {
			return dst, err
		}
		out = append(out, f...)
	}
	return out, nil
}

// fieldReader reads the fields of a binary body in order. After the first error
// every further field is zero and err stays.
type fieldReader struct {
	rest []byte
	err  error
}

// take cuts n bytes off; what names the field for the error.
func (r *fieldReader) take(n int, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 {
		r.err = fmt.Errorf("%s: %w %d", what, ErrNegativeLength, n)
		return nil
	}
	if n > len(r.rest) {
		r.err = fmt.Errorf("%s: %w: want %d bytes, have %d", what, ErrTruncated, n, len(r.rest))
		return nil
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

// byte1 reads a byte.
func (r *fieldReader) byte1(what string) byte {
	if b := r.take(1, what); b != nil {
		return b[0]
	}
	return 0
}

// int32 reads an int.
func (r *fieldReader) int32(what string) int32 {
	if b := r.take(4, what); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// int64 reads a long.
func (r *fieldReader) int64(what string) int64 {
	if b := r.take(8, what); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// field reads a length prefix and the bytes it announces, without copying them.
func (r *fieldReader) field(what string) []byte {
	b := r.take(2, what)
	if b == nil {
		return nil
	}
	n := int(int16(binary.BigEndian.Uint16(b)))
	if n == longField {
		more := r.int32(what)
		if more < 0 || r.err != nil {
			return r.take(int(more), what)
		}
		return r.take(n+int(more), what)
	}
	return r.take(n, what)
}

// string reads a string field; the result is a copy.
func (r *fieldReader) string(what string) string { return string(r.field(what)) }

// bytes reads a bytes field; the result is a copy, nil if empty.
func (r *fieldReader) bytes(what string) []byte { return append([]byte(nil), r.field(what)...) }

// done is the error of the whole body, which message names.
func (r *fieldReader) done(message string) error {
	if r.err != nil {
		return fmt.Errorf("decoding %s: %w", message, r.err)
	}
	return nil
}
