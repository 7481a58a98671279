package protocol

// Message is the body of a packet in both forms: binary for TCP, a JSON object
// for WebSocket. Every body type implements it by pointer.
//
// Binary fields follow each other without names. Numbers are big-endian. Bytes
// and strings (UTF-8) carry their length in 16 bits, from 32767 bytes on as 32767
// followed by the rest of the length in 32 bits; MPush does not tell empty from
// null, and here both are the empty value.
type Message interface {
	// AppendBinary appends the fields in MPush's order. The only error is
	// [ErrFieldTooLong].
	AppendBinary(dst []byte) ([]byte, error)
	// UnmarshalBinary reads what AppendBinary wrote. Strings and bytes are copied,
	// bytes after the last field are ignored. A body that ends early is
	// [ErrTruncated], a negative length [ErrNegativeLength]. On an error the fields
	// hold whatever was read before it.
	UnmarshalBinary(data []byte) error
	// AppendJSON appends the JSON object, its members in MPush's order and left out
	// where MPush leaves them out; {} if none is left. Bytes that are no UTF-8
	// become U+FFFD.
	AppendJSON(dst []byte) []byte
	// UnmarshalJSON reads such an object. Empty data and null are an object without
	// members; a missing member is its zero value and an unknown one is ignored.
	// Numbers may be strings; strings may not be numbers. The error is [ErrBadJSON].
	UnmarshalJSON(data []byte) error
}

// Unmarshal decodes the body into m: JSON if [FlagJSONBody] is set, else binary.
// The body must be plain: see [Open]. A node calls it with that flag on
// WebSocket only; a TCP frame that carries it is answered with ERROR 100.
func (p *Packet) Unmarshal(m Message) error {
	if p.Flags&FlagJSONBody != 0 {
		return m.UnmarshalJSON(p.Body)
	}
	return m.UnmarshalBinary(p.Body)
}
