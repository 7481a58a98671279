package protocol

import "encoding/binary"

// GatewayPush asks a node to push to one of its users, or to all if UserID is
// empty. The ack mode is in the header's flags. MPush knows it on TCP only, so
// its JSON form is ours.
type GatewayPush struct {
	UserID     string
	ClientType ClientType
	Timeout    int32 // milliseconds the caller waits for the answer
	Content    []byte
	TaskID     string // of a broadcast that can be cancelled
	Tags       string // JSON array of strings, or empty
	Condition  string // expression over a connection's attributes, or empty
}

// AppendBinary implements [Message].
func (m *GatewayPush) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(dst, m.UserID)
	if err != nil {
		return dst, err
	}
	out = binary.BigEndian.AppendUint32(out, uint32(int32(m.ClientType)))
	out = binary.BigEndian.AppendUint32(out, uint32(m.Timeout))
	if out, err = appendFields(out, m.Content); err != nil {
		return dst, err
	}
	if out, err = appendFields(out, m.TaskID, m.Tags, m.Condition); err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary implements [Message].
func (m *GatewayPush) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = GatewayPush{
		UserID: r.string("userId"), ClientType: clientType(int64(r.int32("clientType"))), Timeout: r.int32("timeout"),
		Content: r.bytes("content"), TaskID: r.string("taskId"), Tags: r.string("tags"), Condition: r.string("condition"),
	}
	return r.done("GATEWAY_PUSH")
}

// AppendJSON implements [Message].
func (m *GatewayPush) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.string("userId", m.UserID)
	w.int("clientType", int64(m.ClientType))
	w.int("timeout", int64(m.Timeout))
	w.base64("content", m.Content)
	w.string("taskId", m.TaskID)
	w.string("tags", m.Tags)
	w.string("condition", m.Condition)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *GatewayPush) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = GatewayPush{
		UserID: o.string("userId"), ClientType: clientType(o.int("clientType")), Timeout: readInt[int32](&o, "timeout"),
		Content: o.base64("content"), TaskID: o.string("taskId"), Tags: o.string("tags"), Condition: o.string("condition"),
	}
	return o.done("GATEWAY_PUSH")
}

// GatewayKick asks another node to kick the device that a user was bound to. Its
// JSON form is what MPush publishes on the kick channel of Redis; the binary form
// is used in UDP clusters.
type GatewayKick struct {
	UserID       string
	DeviceID     string // of the device to be kicked
	ConnID       string // of its connection; another one is left alone
	ClientType   ClientType
	TargetServer string // gateway host of the node that is asked
	TargetPort   int32  // gateway port of that node
}

// AppendBinary implements [Message].
func (m *GatewayKick) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(dst, m.UserID, m.DeviceID, m.ConnID)
	if err != nil {
		return dst, err
	}
	out = binary.BigEndian.AppendUint32(out, uint32(int32(m.ClientType)))
	if out, err = appendFields(out, m.TargetServer); err != nil {
		return dst, err
	}
	return binary.BigEndian.AppendUint32(out, uint32(m.TargetPort)), nil
}

// UnmarshalBinary implements [Message].
func (m *GatewayKick) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = GatewayKick{
		UserID: r.string("userId"), DeviceID: r.string("deviceId"), ConnID: r.string("connId"),
		ClientType: clientType(int64(r.int32("clientType"))), TargetServer: r.string("targetServer"), TargetPort: r.int32("targetPort"),
	}
	return r.done("GATEWAY_KICK")
}

// AppendJSON implements [Message].
func (m *GatewayKick) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.int("clientType", int64(m.ClientType))
	w.string("connId", m.ConnID)
	w.string("deviceId", m.DeviceID)
	w.int("targetPort", int64(m.TargetPort))
	w.string("targetServer", m.TargetServer)
	w.string("userId", m.UserID)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *GatewayKick) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = GatewayKick{
		UserID: o.string("userId"), DeviceID: o.string("deviceId"), ConnID: o.string("connId"),
		ClientType:   clientType(o.int("clientType")),
		TargetServer: o.string("targetServer"), TargetPort: readInt[int32](&o, "targetPort"),
	}
	return o.done("GATEWAY_KICK")
}

// clientType reads the 32-bit number of the wire. One that does not fit is no
// class at all rather than the class its low byte names.
func clientType(n int64) ClientType {
	if t := ClientType(n); int64(t) == n {
		return t
	}
	return ClientUnknown
}
