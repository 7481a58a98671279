package cluster

import (
	"fmt"
	"math"
	"net"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// Bounds of what leaves in one write, if it is more than one frame.
const (
	batchRequests = 256
	batchBytes    = 64 << 10
)

// keptBuffer is the largest buffer that is kept between writes, in bytes.
const keptBuffer = 1 << 20

// outgoing is a request as the writer needs it. The request itself may end meanwhile.
type outgoing struct {
	kind    kind
	id      uint64
	push    *Push
	tracker Tracker
	user    string
	users   []string
	class   protocol.ClientType
	rate    int
	cancel  string
	sent    time.Time
}

// writeRequests writes what is queued until the connection breaks or stop is closed.
// All that waits leaves in one write.
func (l *Link) writeRequests(nc net.Conn, stop <-chan struct{}) error {
	w := writer{l: l, nc: nc}
	for {
		if more, err := w.flush(); err != nil {
			return err
		} else if more {
			select {
			case <-stop:
				return nil
			default:
				continue
			}
		}
		select {
		case <-stop:
			return nil
		case <-l.wake:
		}
	}
}

// writer writes to one connection.
type writer struct {
	l     *Link
	nc    net.Conn
	batch []outgoing
	buf   []byte
}

// flush writes a batch; more is false if there was nothing.
func (w *writer) flush() (more bool, err error) {
	l := w.l
	w.buf = w.buf[:0]
	if ping, ok := l.takePing(); ok {
		w.buf = ping.append(w.buf)
	}
	w.batch = l.take(w.batch[:0])
	for i := range w.batch {
		o := &w.batch[i]
		if w.buf, err = l.talk.append(w.buf, o); err != nil {
			l.log.Debug("push cannot be put into a frame", "err", err)
			l.discard(o.id)
		}
	}
	if len(w.buf) == 0 {
		return len(w.batch) > 0, nil
	}
	if err := w.nc.SetWriteDeadline(time.Now().Add(l.o.Silence)); err != nil {
		return false, err
	}
	if _, err := w.nc.Write(w.buf); err != nil {
		return false, err
	}
	w.tell()
	if cap(w.buf) > keptBuffer {
		w.buf = nil
	}
	clear(w.batch)
	return true, nil
}

// tell says of what takes its time that it was handed over; of the rest the result will.
func (w *writer) tell() {
	id := w.l.id()
	for i := range w.batch {
		o := &w.batch[i]
		if o.tracker != nil && (o.kind == kindBroadcast || o.push.Ack != protocol.AckNone) {
			o.tracker.Reached(protocol.StageForwarded, id, o.sent)
		}
	}
}

// take moves requests from the queue into the window.
func (l *Link) take(batch []outgoing) []outgoing {
	now := l.o.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes := 0
	for len(batch) < batchRequests && bytes < batchBytes {
		id := l.lastID + 1
		if l.java { // whose ids have 32 bits with a sign
			id = l.lastID%math.MaxInt32 + 1 // never 0, which is that of no request
		}
		r := l.requests.write(l.window, id)
		if r == nil {
			break
		}
		l.lastID = id
		r.sent = now
		l.wrote(r)
		bytes += r.cost
		batch = append(batch, outgoing{
			kind: r.kind, id: r.id, push: r.push, tracker: r.tracker, user: r.user, users: r.users,
			class: r.class, rate: r.rate, cancel: r.cancel, sent: now,
		})
	}
	return batch
}

// wrote sets the deadline of what is written now; the caller holds mu.
func (l *Link) wrote(r *request) {
	switch {
	case l.java && r.kind == kindPush:
		l.moveDeadline(r, l.javaTimeout(r.push)+javaMargin)
	case r.kind == kindBroadcast && !l.java:
		l.postpone(r)
	}
}

// discard ends a request that cannot be written after all.
func (l *Link) discard(id uint64) {
	l.mu.Lock()
	r, ok := l.requests.pending[id]
	if ok {
		l.requests.drop(r)
		r.id = 0
	}
	l.mu.Unlock()
	if ok {
		l.endAs(r, protocol.OutcomeFailed, exporter.ResultRefused)
	}
}

// ping is one that is to be sent.
type ping struct {
	number   int32
	received uint64
}

func (p ping) append(dst []byte) []byte {
	m := protocol.LinkPing{Received: p.received}
	out, _ := appendFrame(dst, protocol.CmdLinkPing, p.number, &m) // never fails
	return out
}

func (l *Link) takePing() (p ping, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.pings.due {
		return ping{}, false
	}
	l.pings.due = false
	l.pings.number++
	l.pings.sent = l.clock()
	return ping{number: l.pings.number, received: l.received}, true
}

// body is what goes into a frame.
type body interface {
	AppendBinary(dst []byte) ([]byte, error)
}

// appendFrame adds a frame, or on an error nothing.
func appendFrame(dst []byte, cmd protocol.Command, session int32, m body) ([]byte, error) {
	start := len(dst)
	dst = protocol.AppendHeader(dst, cmd, 0, session, 0)
	out, err := m.AppendBinary(dst)
	if size := len(out) - start - protocol.HeaderSize; err == nil && size > protocol.MaxLinkFrame {
		err = fmt.Errorf("a frame of %d bytes is %w of %d", size, protocol.ErrTooLarge, protocol.MaxLinkFrame)
	}
	if err != nil {
		return dst[:start], err
	}
	protocol.AppendHeader(out[:start], cmd, 0, session, len(out)-start-protocol.HeaderSize)
	return out, nil
}
