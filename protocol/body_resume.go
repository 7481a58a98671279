package protocol

import "encoding/binary"

// FastConnect is the first request of a connection that resumes a session; it is
// sent in clear. MPush knows it on TCP only, so its JSON form is ours.
type FastConnect struct {
	SessionID    string
	DeviceID     string // must be the session's
	MinHeartbeat int32  // milliseconds
	MaxHeartbeat int32  // milliseconds
}

// AppendBinary implements [Message].
func (m *FastConnect) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(dst, m.SessionID, m.DeviceID)
	if err != nil {
		return dst, err
	}
	out = binary.BigEndian.AppendUint32(out, uint32(m.MinHeartbeat))
	return binary.BigEndian.AppendUint32(out, uint32(m.MaxHeartbeat)), nil
}

// UnmarshalBinary implements [Message].
func (m *FastConnect) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = FastConnect{
		SessionID: r.string("sessionId"), DeviceID: r.string("deviceId"),
		MinHeartbeat: r.int32("minHeartbeat"), MaxHeartbeat: r.int32("maxHeartbeat"),
	}
	return r.done("FAST_CONNECT")
}

// AppendJSON implements [Message].
func (m *FastConnect) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.string("sessionId", m.SessionID)
	w.string("deviceId", m.DeviceID)
	w.int("minHeartbeat", int64(m.MinHeartbeat))
	w.int("maxHeartbeat", int64(m.MaxHeartbeat))
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *FastConnect) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = FastConnect{
		SessionID: o.string("sessionId"), DeviceID: o.string("deviceId"),
		MinHeartbeat: readInt[int32](&o, "minHeartbeat"), MaxHeartbeat: readInt[int32](&o, "maxHeartbeat"),
	}
	return o.done("FAST_CONNECT")
}

// FastConnectOK answers a [FastConnect]: the session is in force again, its key
// encrypts from here on, and the device must BIND.
type FastConnectOK struct {
	Heartbeat int32 // milliseconds; the negotiated interval
}

// AppendBinary implements [Message].
func (m *FastConnectOK) AppendBinary(dst []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint32(dst, uint32(m.Heartbeat)), nil
}

// UnmarshalBinary implements [Message].
func (m *FastConnectOK) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = FastConnectOK{Heartbeat: r.int32("heartbeat")}
	return r.done("FAST_CONNECT reply")
}

// AppendJSON implements [Message].
func (m *FastConnectOK) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.int("heartbeat", int64(m.Heartbeat))
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *FastConnectOK) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = FastConnectOK{Heartbeat: readInt[int32](&o, "heartbeat")}
	return o.done("FAST_CONNECT reply")
}
