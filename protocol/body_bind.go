package protocol

// Bind is the body of BIND and of UNBIND: the user that the connection speaks for.
type Bind struct {
	UserID string
	Data   string // credential for the validator; the SDKs call it alias and leave it empty
	Tags   string // free text; MPush's demo sends "mpush:7"
}

// AppendBinary implements [Message].
func (m *Bind) AppendBinary(dst []byte) ([]byte, error) {
	return appendFields(dst, m.UserID, m.Data, m.Tags)
}

// UnmarshalBinary implements [Message].
func (m *Bind) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = Bind{UserID: r.string("userId"), Data: r.string("data"), Tags: r.string("tags")}
	return r.done("BIND")
}

// AppendJSON implements [Message].
func (m *Bind) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.string("userId", m.UserID)
	w.string("tags", m.Tags)
	w.string("data", m.Data)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *Bind) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = Bind{UserID: o.string("userId"), Data: o.string("data"), Tags: o.string("tags")}
	return o.done("BIND")
}

// Kick tells a device that another connection took over its user.
type Kick struct {
	DeviceID string // of the device that is kicked, the receiver
	UserID   string
}

// AppendBinary implements [Message].
func (m *Kick) AppendBinary(dst []byte) ([]byte, error) {
	return appendFields(dst, m.DeviceID, m.UserID)
}

// UnmarshalBinary implements [Message].
func (m *Kick) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = Kick{DeviceID: r.string("deviceId"), UserID: r.string("userId")}
	return r.done("KICK")
}

// AppendJSON implements [Message].
func (m *Kick) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.string("deviceId", m.DeviceID)
	w.string("userId", m.UserID)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *Kick) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = Kick{DeviceID: o.string("deviceId"), UserID: o.string("userId")}
	return o.done("KICK")
}
