package protocol

import "encoding/binary"

// HTTPRequest asks the node to make an HTTP request. MPush knows it on TCP only,
// so its JSON form is ours.
type HTTPRequest struct {
	Method  byte // 0 GET, 1 POST, 2 PUT, 3 DELETE, anything else GET
	URI     string
	Headers string // see ParseHeaders
	Body    []byte
}

// The values of HTTPRequest.Method.
const (
	MethodGet    byte = 0
	MethodPost   byte = 1
	MethodPut    byte = 2
	MethodDelete byte = 3
)

// AppendBinary implements [Message].
func (m *HTTPRequest) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(append(dst, m.Method), m.URI, m.Headers)
	if err != nil {
		return dst, err
	}
	if out, err = appendFields(out, m.Body); err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary implements [Message].
func (m *HTTPRequest) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = HTTPRequest{
		Method: r.byte1("method"), URI: r.string("uri"), Headers: r.string("headers"), Body: r.bytes("body"),
	}
	return r.done("HTTP_PROXY request")
}

// AppendJSON implements [Message].
func (m *HTTPRequest) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.int("method", int64(m.Method))
	w.string("uri", m.URI)
	w.string("headers", m.Headers)
	w.base64("body", m.Body)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *HTTPRequest) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = HTTPRequest{
		Method: readInt[byte](&o, "method"), URI: o.string("uri"), Headers: o.string("headers"), Body: o.base64("body"),
	}
	return o.done("HTTP_PROXY request")
}

// HTTPResponse answers an [HTTPRequest].
type HTTPResponse struct {
	Status  int32
	Reason  string
	Headers string // see ParseHeaders
	Body    []byte
}

// AppendBinary implements [Message].
func (m *HTTPResponse) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(binary.BigEndian.AppendUint32(dst, uint32(m.Status)), m.Reason, m.Headers)
	if err != nil {
		return dst, err
	}
	if out, err = appendFields(out, m.Body); err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary implements [Message].
func (m *HTTPResponse) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = HTTPResponse{
		Status: r.int32("status"), Reason: r.string("reasonPhrase"), Headers: r.string("headers"), Body: r.bytes("body"),
	}
	return r.done("HTTP_PROXY reply")
}

// AppendJSON implements [Message].
func (m *HTTPResponse) AppendJSON(dst []byte) []byte {
	w := openObject(dst)
	w.int("status", int64(m.Status))
	w.string("reasonPhrase", m.Reason)
	w.string("headers", m.Headers)
	w.base64("body", m.Body)
	return w.close()
}

// UnmarshalJSON implements [Message].
func (m *HTTPResponse) UnmarshalJSON(data []byte) error {
	o := parseObject(data)
	*m = HTTPResponse{
		Status: readInt[int32](&o, "status"), Reason: o.string("reasonPhrase"),
		Headers: o.string("headers"), Body: o.base64("body"),
	}
	return o.done("HTTP_PROXY reply")
}
