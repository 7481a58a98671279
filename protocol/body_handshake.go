package protocol

import "encoding/binary"

// Handshake is the first request of a connection without a session. On TCP its
// body is encrypted with the node's RSA key; on WebSocket it carries the four
// names only.
type Handshake struct {
	DeviceID      string
	OSName        string
	OSVersion     string
	ClientVersion string
	IV            []byte // KeySize bytes
	ClientKey     []byte // KeySize bytes
	MinHeartbeat  int32  // milliseconds; MPush ignores it
	MaxHeartbeat  int32  // milliseconds; seconds from the Objective-C SDK
	Timestamp     int64  // ignored
}

// AppendBinary implements [Message].
func (m *Handshake) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(dst, m.DeviceID, m.OSName, m.OSVersion, m.ClientVersion)
	if err != nil {
		return dst, err
	}
	if out, err = appendFields(out, m.IV, m.ClientKey); err != nil {
		return dst, err
	}
	out = binary.BigEndian.AppendUint32(out, uint32(m.MinHeartbeat))
	out = binary.BigEndian.AppendUint32(out, uint32(m.MaxHeartbeat))
	return binary.BigEndian.AppendUint64(out, uint64(m.Timestamp)), nil
}

// UnmarshalBinary implements [Message].
func (m *Handshake) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = Handshake{
		DeviceID: r.string("deviceId"), OSName: r.string("osName"), OSVersion: r.string("osVersion"),
		ClientVersion: r.string("clientVersion"), IV: r.bytes("iv"), ClientKey: r.bytes("clientKey"),
		MinHeartbeat: r.int32("minHeartbeat"), MaxHeartbeat: r.int32("maxHeartbeat"), Timestamp: r.int64("timestamp"),
	}
	return r.done("HANDSHAKE")
}

// AppendJSON implements [Message].
func (m *Handshake) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.string("deviceId", m.DeviceID)
	w.string("osName", m.OSName)
	w.string("osVersion", m.OSVersion)
	w.string("clientVersion", m.ClientVersion)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *Handshake) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = Handshake{
		DeviceID: o.string("deviceId"), OSName: o.string("osName"),
		OSVersion: o.string("osVersion"), ClientVersion: o.string("clientVersion"),
	}
	return o.done("HANDSHAKE")
}

// HandshakeOK answers a [Handshake]. On WebSocket it has no members: there is no
// key, no session and no heartbeat.
type HandshakeOK struct {
	ServerKey  []byte // KeySize bytes
	Heartbeat  int32  // milliseconds; the negotiated interval
	SessionID  string // for a later FastConnect; 32 hexadecimal digits
	ExpireTime int64  // of the session; milliseconds since 1970
}

// AppendBinary implements [Message].
func (m *HandshakeOK) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(dst, m.ServerKey)
	if err != nil {
		return dst, err
	}
	out = binary.BigEndian.AppendUint32(out, uint32(m.Heartbeat))
	if out, err = appendFields(out, m.SessionID); err != nil {
		return dst, err
	}
	return binary.BigEndian.AppendUint64(out, uint64(m.ExpireTime)), nil
}

// UnmarshalBinary implements [Message].
func (m *HandshakeOK) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = HandshakeOK{
		ServerKey: r.bytes("serverKey"), Heartbeat: r.int32("heartbeat"),
		SessionID: r.string("sessionId"), ExpireTime: r.int64("expireTime"),
	}
	return r.done("HANDSHAKE reply")
}

// AppendJSON implements [Message].
func (m *HandshakeOK) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *HandshakeOK) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = HandshakeOK{}
	return o.done("HANDSHAKE reply")
}
