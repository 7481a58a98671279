package server

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// gateway is one connection on the gateway port (PROTOCOL section 3).
type gateway struct {
	stream
	node  *Node
	dec   protocol.Decoder
	slots chan struct{} // a token for each push that was not answered
	peer  *linkPeer     // nil: a back end

	stranger atomic.Bool // it may say nothing but who it is; changed under the lock of gateways

	head [protocol.HeaderSize]byte // of the frame that is being read
	skip int                       // bytes still to come of a frame that is not wanted

	mu       sync.Mutex // keeps replies whole
	reason   protocol.CloseReason
	proof    *time.Timer // for a stranger
	buffered int64       // bytes of a frame that is not complete, as counted in gateways.bytes
	corked   bool        // requests are being read: replies wait for each other
	out      []byte      // those that wait; at most what one read can ask for
}

// receive implements receiver. Back ends send many pushes at once: the replies to
// what came in one read leave in one write.
func (w *gateway) receive(data []byte) (more bool) {
	w.mu.Lock()
	w.corked = true
	w.mu.Unlock()
	defer func() {
		if !w.uncork() {
			more = false
		}
	}()
	return w.requests(data) && w.hasRoom()
}

// requests takes what arrived, frame by frame.
func (w *gateway) requests(data []byte) bool {
	for len(data) > 0 {
		if w.skip > 0 {
			n := min(w.skip, len(data))
			w.skip, data = w.skip-n, data[n:]
			continue
		}
		known := w.dec.Buffered()
		if known < protocol.HeaderSize {
			copy(w.head[known:], data)
		}
		p, rest, ok, err := w.dec.Next(data, w.bodyLimit())
		switch {
		case errors.Is(err, protocol.ErrTooLarge) && w.refuseLong(known):
			data = data[protocol.HeaderSize-known:]
			continue
		case errors.Is(err, protocol.ErrTooLarge):
			return w.giveUp(protocol.CloseTooLarge, err)
		case err != nil:
			return w.giveUp(protocol.CloseBadFrame, err)
		case !ok:
			return true
		case !w.request(&p):
			return false
		}
		data = rest
	}
	return true
}

// bodyLimit is the longest body that is taken now, in bytes.
func (w *gateway) bodyLimit() int {
	if w.stranger.Load() {
		return strangerBytes
	}
	return w.frameLimit()
}

// request takes one frame; false if the connection was closed.
func (w *gateway) request(p *protocol.Packet) bool {
	switch {
	case p.Command.IsLink():
		return w.link(p)
	case w.stranger.Load():
		w.turnAway(protocol.CloseUnsupported)
		return false
	case p.Command != protocol.CmdGatewayPush:
		w.fail(p, protocol.CodeUnsupportedCommand, protocol.CloseUnsupported)
		return false
	}
	w.push(p)
	return true
}

// maxSkipped is the longest body, in bytes, of a push that is refused for its length
// and read over. What announces more is no push.
const maxSkipped = 64 << 20

// refuseLong answers a push whose header announces too much and lets its body go by.
// MPush closes the connection, which loses the pushes after it too.
func (w *gateway) refuseLong(known int) bool {
	length := binary.BigEndian.Uint32(w.head[:])
	if protocol.Command(w.head[4]) != protocol.CmdGatewayPush || known >= protocol.HeaderSize || length > maxSkipped || w.stranger.Load() {
		return false
	}
	session := int32(binary.BigEndian.Uint32(w.head[8:]))
	w.node.gateways.bad.Warn(w.node.log, "gateway push refused: it is too long", "bytes", length, "limit", w.bodyLimit(), "remote", w.nc.RemoteAddr().String())
	b := &backEnd{w: w, session: session, start: time.Now()}
	b.refuse()
	w.skip = int(length)
	return true
}

// hasRoom counts the bytes of a frame that is not complete; false if there are too many
// on all connections, and then this one was closed.
func (w *gateway) hasRoom() bool {
	if w.count(int64(w.dec.Buffered())) {
		return true
	}
	return w.giveUp(protocol.CloseOverload, errTooManyParts)
}

var errTooManyParts = errors.New("too much is held of requests that are not complete")

// giveUp closes a connection whose bytes lead nowhere. It returns false.
func (w *gateway) giveUp(reason protocol.CloseReason, err error) bool {
	w.node.metrics.GatewayRequests(exporter.DirectionIn, exporter.ResultRefused).Inc()
	w.node.gateways.bad.Warn(w.node.log, "gateway connection closed: its bytes are no requests", "err", err, "remote", w.nc.RemoteAddr().String())
	w.end(reason, false)
	return false
}

// count notes how many bytes are kept of a frame.
func (w *gateway) count(buffered int64) (ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != protocol.CloseUnknown {
		return true // end has settled it
	}
	more := buffered - w.buffered
	w.buffered = buffered
	return w.node.gateways.bytes.Add(more) <= gatewayInbound || more <= 0
}

// ended implements receiver.
func (w *gateway) ended(err error) {
	reason := protocol.CloseReset
	if err == io.EOF {
		reason = protocol.ClosePeer
	}
	w.end(reason, false)
}

func (w *gateway) end(reason protocol.CloseReason, farewell bool) {
	w.mu.Lock()
	first := w.reason == protocol.CloseUnknown
	if first {
		w.reason = reason
		w.node.gateways.bytes.Add(-w.buffered)
		if w.proof != nil {
			w.proof.Stop()
		}
	}
	w.mu.Unlock()
	if !first {
		return
	}
	w.node.gateways.leave(w)
	w.shut(farewell)
	w.node.log.Debug("gateway connection closed", "remote", w.nc.RemoteAddr().String(), "reason", reason.String())
}

// uncork sends the replies that wait; false if that closed the connection.
func (w *gateway) uncork() bool {
	w.mu.Lock()
	w.corked = false
	err := w.flushLocked()
	w.mu.Unlock()
	return w.survives(err)
}

func (w *gateway) flushLocked() (err error) {
	if len(w.out) > 0 && w.reason == protocol.CloseUnknown {
		_, err = w.write(w.out)
	}
	if w.out = w.out[:0]; cap(w.out) > maxScratch {
		w.out = nil
	}
	return err
}

// survives closes the connection after a failed write.
func (w *gateway) survives(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, errSlow):
		w.end(protocol.CloseSlowBytes, false)
	case !errors.Is(err, errClosed):
		w.end(protocol.CloseWrite, false)
	}
	return false
}

// fail answers a request that is none of a back end's and closes.
func (w *gateway) fail(p *protocol.Packet, code protocol.Code, reason protocol.CloseReason) {
	w.node.metrics.GatewayRequests(exporter.DirectionIn, exporter.ResultRefused).Inc()
	w.reply(protocol.CmdError, p.SessionID, &protocol.Error{Command: p.Command, Code: code, Reason: code.Reason()})
	if w.uncork() {
		w.end(reason, true)
	}
}

func (w *gateway) reply(cmd protocol.Command, session int32, m protocol.Message) {
	s := borrow()
	defer s.giveBack()
	var err error
	if s.body, err = m.AppendBinary(s.body[:0]); err != nil {
		return
	}
	s.frame = protocol.AppendPacket(s.frame[:0], protocol.Packet{Command: cmd, SessionID: session, Body: s.body})
	w.mu.Lock()
	w.out = append(w.out, s.frame...)
	if !w.corked {
		err = w.flushLocked()
	}
	w.mu.Unlock()
	w.survives(err)
}
