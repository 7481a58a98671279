package protocol

// OK says that a request succeeded.
type OK struct {
	Command Command // of the request
	Code    Code    // always CodeNone
	Data    string  // never empty towards devices: the Swift SDK crashes on null
}

// AppendBinary implements [Message].
func (m *OK) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(append(dst, byte(m.Command), byte(m.Code)), m.Data)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary implements [Message].
func (m *OK) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = OK{Command: Command(r.byte1("cmd")), Code: Code(r.byte1("code")), Data: r.string("data")}
	return r.done("OK")
}

// AppendJSON implements [Message].
func (m *OK) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.string("data", m.Data)
	w.positive("cmd", int64(m.Command))
	w.positive("code", int64(m.Code))
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *OK) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = OK{Command: readInt[Command](&o, "cmd"), Code: readInt[Code](&o, "code"), Data: o.string("data")}
	return o.done("OK")
}

// Error says that a request failed.
type Error struct {
	Command Command // of the request
	Code    Code
	Reason  string // tells failures with CodeNone apart
	Data    string // towards back ends JSON about the push, towards devices empty
}

// AppendBinary implements [Message].
func (m *Error) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(append(dst, byte(m.Command), byte(m.Code)), m.Reason, m.Data)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary implements [Message].
func (m *Error) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = Error{
		Command: Command(r.byte1("cmd")), Code: Code(r.byte1("code")),
		Reason: r.string("reason"), Data: r.string("data"),
	}
	return r.done("ERROR")
}

// AppendJSON implements [Message].
func (m *Error) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.string("reason", m.Reason)
	w.positive("cmd", int64(m.Command))
	w.positive("code", int64(m.Code))
	w.string("data", m.Data)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *Error) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = Error{
		Command: readInt[Command](&o, "cmd"), Code: readInt[Code](&o, "code"),
		Reason: o.string("reason"), Data: o.string("data"),
	}
	return o.done("ERROR")
}
