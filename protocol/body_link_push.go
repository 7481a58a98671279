package protocol

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// LinkPush hands a push to another node: for some of its users, or, without users,
// for everybody who is connected there. Its requests are answered by results with the
// same number and the index of the user.
//
//	long request · string id · byte ack · int ackTimeout · long age · int rate · string task ·
//	string condition · byte n, n bytes clientTypes · short n, n strings tags · bytes content ·
//	int n, n strings users
type LinkPush struct {
	Request    uint64 // numbers rise by the order of sending over all connections of an instance
	ID         string // of the message
	Ack        AckMode
	AckTimeout time.Duration // sent in milliseconds; 0 = the node's default
	// Age is the time since the message was accepted, sent in microseconds. It is not a
	// point in time because clocks of machines differ.
	Age         time.Duration
	Rate        int    // connections per second of a broadcast; 0 = the node's default, negative = no limit
	Task        string // of a broadcast
	Condition   string
	ClientTypes []ClientType
	Tags        []string
	Content     []byte
	Users       []string // at most 65,535
}

// Bounds of the lists of a [LinkPush].
const (
	maxLinkTypes = 1<<8 - 1
	maxLinkItems = 1<<16 - 1 // tags, users
)

// AppendBinary appends the fields in their order. The error is [ErrFieldTooLong], also
// for a list with too many members.
func (m *LinkPush) AppendBinary(dst []byte) ([]byte, error) {
	if len(m.ClientTypes) > maxLinkTypes || len(m.Tags) > maxLinkItems || len(m.Users) > maxLinkItems {
		return dst, fmt.Errorf("link push: %w: a list has too many members", ErrFieldTooLong)
	}
	out, err := appendFields(binary.BigEndian.AppendUint64(dst, m.Request), m.ID)
	if err != nil {
		return dst, err
	}
	out = binary.BigEndian.AppendUint32(append(out, byte(m.Ack)), uint32(linkTime(m.AckTimeout).Milliseconds()))
	out = binary.BigEndian.AppendUint64(out, uint64(linkTime(m.Age).Microseconds()))
	out = binary.BigEndian.AppendUint32(out, uint32(int32(max(-1, min(m.Rate, math.MaxInt32)))))
	if out, err = appendFields(out, m.Task, m.Condition); err != nil {
		return dst, err
	}
	out = append(out, byte(len(m.ClientTypes)))
	for _, t := range m.ClientTypes {
		out = append(out, byte(t))
	}
	if out, err = appendFields(binary.BigEndian.AppendUint16(out, uint16(len(m.Tags))), m.Tags...); err != nil {
		return dst, err
	}
	if out, err = appendFields(out, m.Content); err != nil {
		return dst, err
	}
	if out, err = appendFields(binary.BigEndian.AppendUint32(out, uint32(len(m.Users))), m.Users...); err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message]. Lists
// take memory only as far as the body has bytes for them.
func (m *LinkPush) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkPush{Request: uint64(r.int64("request")), ID: r.string("id"), Ack: AckMode(r.byte1("ack"))}
	if int(m.Ack) >= NumAckModes {
		m.Ack = AckNone
	}
	m.AckTimeout = linkTime(time.Duration(r.int32("ackTimeout")) * time.Millisecond)
	m.Age = readMicroseconds(uint64(r.int64("age")))
	m.Rate = max(-1, int(r.int32("rate")))
	m.Task, m.Condition = r.string("task"), r.string("condition")
	for _, t := range r.take(int(r.byte1("clientTypes")), "clientTypes") {
		m.ClientTypes = append(m.ClientTypes, ClientType(int8(t)))
	}
	m.Tags = r.strings(int(r.uint16("tags")), "tag")
	m.Content = r.bytes("content")
	m.Users = r.strings(int(r.int32("users")), "user")
	return r.done("link push")
}

// uint16 reads a short without a sign.
func (r *fieldReader) uint16(what string) uint16 {
	if b := r.take(2, what); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// strings reads n string fields, of which each has two bytes at least.
func (r *fieldReader) strings(n int, what string) []string {
	if r.err == nil && (n < 0 || n > maxLinkItems || n > len(r.rest)/2) {
		r.err = fmt.Errorf("%s: %w: %d of them", what, ErrTruncated, n)
	}
	if r.err != nil || n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for len(list) < n && r.err == nil {
		list = append(list, r.string(what))
	}
	return list
}

// linkTime brings a duration into the range that is sent.
func linkTime(d time.Duration) time.Duration { return max(0, min(d, math.MaxInt32*time.Millisecond)) }

// readMicroseconds makes a duration of what was sent.
func readMicroseconds(n uint64) time.Duration {
	return linkTime(time.Duration(min(n, math.MaxInt32*1000)) * time.Microsecond)
}

// LinkCancel stops a running broadcast.
//
//	long request · string id
type LinkCancel struct {
	Request uint64 // numbered like [LinkPush]
	ID      string // of the message
}

// AppendBinary appends the fields in their order. The only error is [ErrFieldTooLong].
func (m *LinkCancel) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(binary.BigEndian.AppendUint64(dst, m.Request), m.ID)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkCancel) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkCancel{Request: uint64(r.int64("request")), ID: r.string("id")}
	return r.done("link cancel")
}

// LinkDrain makes a node let its devices go.
//
//	long request · int rate
type LinkDrain struct {
	Request uint64 // numbered like [LinkPush]
	Rate    int    // connections per second; 0 = the node's default
}

// AppendBinary appends the fields in their order; it never fails.
func (m *LinkDrain) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, m.Request)
	return binary.BigEndian.AppendUint32(dst, uint32(max(0, min(m.Rate, math.MaxInt32)))), nil
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkDrain) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkDrain{Request: uint64(r.int64("request")), Rate: max(0, int(r.int32("rate")))}
	return r.done("link drain")
}

// LinkPing asks for a sign of life, or is one.
//
//	long received
type LinkPing struct {
	// Received is in a ping the number of the last result that came, in a pong that of
	// the last request: what was kept until then, to send it again, can be forgotten.
	Received uint64
}

// AppendBinary appends the field; it never fails.
func (m *LinkPing) AppendBinary(dst []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, m.Received), nil
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkPing) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkPing{Received: uint64(r.int64("received"))}
	return r.done("link ping")
}
