package protocol

// Push carries content in either direction. Its binary body is the content
// itself, without a length; in JSON it is a string, so that content which is no
// UTF-8 is damaged on WebSocket.
type Push struct {
	Content []byte // nil if the packet has no body
}

// AppendBinary implements [Message].
func (m *Push) AppendBinary(dst []byte) ([]byte, error) { return append(dst, m.Content...), nil }

// UnmarshalBinary implements [Message].
func (m *Push) UnmarshalBinary(data []byte) error {
	m.Content = append([]byte(nil), data...)
	return nil
}

// AppendJSON implements [Message]. Without content there is no member.
func (m *Push) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.bytes("content", m.Content)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *Push) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	m.Content = []byte(o.string("content"))
	if len(m.Content) == 0 {
		m.Content = nil
	}
	return o.done("PUSH")
}

// Ack acknowledges the PUSH whose session id its packet carries; it has no body.
type Ack struct{}

// AppendBinary implements [Message].
func (*Ack) AppendBinary(dst []byte) ([]byte, error) { return dst, nil }

// UnmarshalBinary implements [Message]; it ignores data.
func (*Ack) UnmarshalBinary([]byte) error { return nil }

// AppendJSON implements [Message].
func (*Ack) AppendJSON(dst []byte) []byte { return append(dst, "{}"...) }

// UnmarshalJSON implements [Message].
func (*Ack) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	return o.done("ACK")
}
