package store

import (
	"github.com/fanfare-push/fanfare/protocol"
)

// AppendText appends MPush's text of a kick (PROTOCOL section 5.3). The error is
// always nil; it makes Kick an [encoding.TextAppender].
func (k Kick) AppendText(dst []byte) ([]byte, error) {
	host, port := splitAddress(k.Address)
	text := appendNumber(nil, "clientType", int64(k.ClientType))
	text = appendMember(text, "connId", k.Connection)
	text = appendMember(text, "deviceId", k.DeviceID)
	text = appendNumber(text, "targetPort", int64(port))
	text = appendMember(text, "targetServer", host)
	text = appendMember(text, "userId", k.User)
	return append(dst, closeObject(text)...), nil
}

// ParseKick reads the text of a kick, ours or a Java node's.
func ParseKick(text []byte) (Kick, error) {
	var t struct {
		Class      int8   `json:"clientType"`
		Connection string `json:"connId"`
		DeviceID   string `json:"deviceId"`
		Port       int    `json:"targetPort"`
		Host       string `json:"targetServer"`
		User       string `json:"userId"`
	}
	if err := parseObject(text, &t); err != nil {
		return Kick{}, err
	}
	return Kick{
		User: t.User, DeviceID: t.DeviceID, Connection: t.Connection,
		ClientType: protocol.ClientType(t.Class), Address: joinAddress(t.Host, t.Port),
	}, nil
}
