package client

import (
	"sync/atomic"

	"github.com/fanfare-push/fanfare/protocol"
)

// A Message is a push that arrived at a [Device].
type Message struct {
	Content []byte           // never changed by the SDK; it may be kept
	ID      int32            // the server's number for it, not unique across nodes and restarts
	Mode    protocol.AckMode // what acknowledgement the sender asked for

	conn  *Conn
	acked atomic.Bool
}

// Ack acknowledges the message. With [protocol.AckBiz] the application has to
// call it, from any goroutine, also after OnPush returned; with
// [protocol.AckAuto] the Device does so when OnPush returns, unless the
// application was faster; with [protocol.AckNone] and on a second call it does
// nothing. The error is that of the connection: the server then reports the
// message as not acknowledged.
func (m *Message) Ack() error {
	if m.Mode == protocol.AckNone || m.acked.Swap(true) {
		return nil
	}
	return m.conn.Ack(m.ID)
}
