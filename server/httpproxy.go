package server

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/proxy"
)

// httpProxy keeps the requests that devices have under way through the HTTP proxy.
type httpProxy struct {
	mu    sync.Mutex
	conns map[*conn]*httpCalls // those that have any
}

// httpCalls are one connection's requests. The fields but ctx are guarded by the
// httpProxy.
type httpCalls struct {
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	open   int          // answers that have not left the node
	queue  []*httpReply // wait for the one before them to leave
	busy   bool         // one is leaving
}

// onHTTPProxy makes an HTTP request for a device. Unlike MPush it does so only after a
// handshake; before, and where there is no proxy, the command is unknown, as it is to
// an MPush server whose proxy is off.
func (c *conn) onHTTPProxy(p *protocol.Packet) verdict {
	c.mu.Lock()
	known, key := c.device != nil, c.key
	c.mu.Unlock()
	through := c.node.opt.Proxy
	if through == nil || !known {
		return c.fail(p, protocol.CodeUnsupportedCommand, protocol.ReasonUnsupportedCommand, protocol.CloseUnsupported)
	}
	clear := p.Flags&protocol.FlagCrypto == 0
	var m protocol.HTTPRequest
	if !c.decode(p, &m) {
		return stop
	}
	if clear && c.node.opt.RequireEncryption {
		return c.fail(p, protocol.CodeNone, protocol.ReasonInvalidParam, protocol.CloseBadRequest)
	}
	m.Body = bytes.Clone(m.Body)
	reply := &httpReply{c: c, session: p.SessionID, key: key}
	if reply.calls = c.node.http.begin(c, through.PerConnection()); reply.calls == nil {
		reply.answer = through.Overloaded()
		reply.own()
		return goOn
	}
	if c.isClosed() {
		c.node.http.left(c) // nobody else will
	}
	call, answer := through.Admit(&proxy.Request{HTTPRequest: m, Device: remoteAddrPort(c.nc)})
	if answer != nil {
		reply.finish(answer)
		return goOn
	}
	c.node.tasks.Go(func() { reply.finish(call.Run(reply.calls.ctx)) })
	return goOn
}

// remoteAddrPort is the peer's address, the zero one if it has none.
func remoteAddrPort(nc net.Conn) netip.AddrPort {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// begin counts a request of the connection, nil if it has most already.
func (h *httpProxy) begin(c *conn, most int) *httpCalls {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls := h.conns[c]
	switch {
	case calls == nil:
		calls = new(httpCalls)
		calls.ctx, calls.cancel = context.WithCancel(context.Background())
		if h.conns == nil {
			h.conns = make(map[*conn]*httpCalls)
		}
		h.conns[c] = calls
	case calls.open >= most:
		return nil
	}
	calls.open++
	return calls
}

// end counts n answers as gone from the node.
func (h *httpProxy) end(c *conn, calls *httpCalls, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if calls.open -= n; calls.open == 0 {
		calls.cancel()
		delete(h.conns, c)
	}
}

// left ends the requests of a connection that was closed.
func (h *httpProxy) left(c *conn) {
	h.mu.Lock()
	calls := h.conns[c]
	if calls == nil {
		h.mu.Unlock()
		return
	}
	calls.cancel()
	waiting := calls.queue
	calls.queue = nil
	h.mu.Unlock()
	for _, r := range waiting {
		r.answer.Release()
	}
	h.end(c, calls, len(waiting))
}

// httpReply is the answer to one request on its way to the device. It implements
// [completion].
type httpReply struct {
	c       *conn
	calls   *httpCalls
	session int32
	key     protocol.SessionKey // in force when the device asked
	answer  *proxy.Answer
	frame   []byte // until it is in the connection's queue
}

// finish sends the answer and gives back what the request had taken.
func (r *httpReply) finish(a *proxy.Answer) {
	r.answer = a
	h := &r.c.node.http
	switch {
	case a.Own:
		r.own()
		h.end(r.c, r.calls, 1)
	case a.Gone || r.seal() != nil:
		a.Release()
		h.end(r.c, r.calls, 1)
	case r.wait():
		r.send()
	}
}

// own sends an answer of the proxy's, in clear as MPush does.
func (r *httpReply) own() { r.c.say(protocol.CmdHTTPProxy, 0, r.session, &r.answer.HTTPResponse) }

// seal compresses and encrypts the answer, which may take long, while nobody waits for
// the connection. It closes the connection if that fails.
func (r *httpReply) seal() error {
	body, err := r.answer.AppendBinary(make([]byte, 0, len(r.answer.Body)+len(r.answer.Headers)+len(r.answer.Reason)+16))
	r.answer.Body = nil
	if err == nil {
		threshold := r.c.node.opt.Limits.CompressThreshold
		r.frame, err = protocol.AppendSealed(nil, protocol.CmdHTTPProxy, 0, r.session, body, threshold, protocol.NewCipher(r.key))
	}
	if err != nil {
		r.c.node.log.Error("HTTP answer for a device could not be encoded", "err", err, "conn", r.c.name())
		r.c.close(protocol.CloseInternal, false)
	}
	return err
}

// wait queues the answer behind one that is leaving, so that the answers of one device
// are in its connection's queue one at a time; true if there is none.
func (r *httpReply) wait() bool {
	h := &r.c.node.http
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.calls.busy && r.calls.ctx.Err() == nil {
		r.calls.queue = append(r.calls.queue, r)
		return false
	}
	r.calls.busy = true
	return true
}

// send writes the answer, unless the connection is another device's by now. The
// answer does not count against the bound of what may wait for a device: it is bounded
// by itself, and a push or a heartbeat behind a long one must not close the connection.
func (r *httpReply) send() {
	c := r.c
	left := true
	var err error
	c.mu.Lock()
	switch {
	case c.end != protocol.CloseUnknown:
		err = errClosed
	case c.key == r.key:
		_, err = c.writeAside(r.frame)
		r.frame = nil
		if err == nil {
			left = c.settle(r)
		}
	}
	c.mu.Unlock()
	if err != nil {
		c.broken(err)
	}
	if left {
		r.gone()
	}
}

// written implements [completion].
func (r *httpReply) written(time.Time) { r.gone() }

func (r *httpReply) abandoned() { r.gone() }

// gone is called once, when nothing of the answer is in the node any more. The next one
// takes its turn.
func (r *httpReply) gone() {
	r.answer.Release()
	h := &r.c.node.http
	h.mu.Lock()
	var next *httpReply
	if len(r.calls.queue) > 0 {
		next = r.calls.queue[0]
		r.calls.queue = r.calls.queue[1:]
	} else {
		r.calls.busy = false
	}
	h.mu.Unlock()
	h.end(r.c, r.calls, 1)
	if next != nil {
		next.send()
	}
}
