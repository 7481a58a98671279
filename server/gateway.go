package server

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
)

// gateways are the connections of back ends and other nodes.
type gateways struct {
	mu     sync.Mutex
	open   map[*gateway]struct{}
	full   bool // one was refused, and said so, since there was last room
	closed bool
}

// gatewayOutbound may wait for one back end: replies are small, and MPush lets 20 MB
// wait here.
const gatewayOutbound = 20 << 20

func (g *gateways) accept(n *Node, nc net.Conn) {
	w := &gateway{node: n, slots: make(chan struct{}, n.opt.Limits.GatewayInFlight)}
	w.stream.init(nc, w, &n.gatewayStreams)
	g.mu.Lock()
	full := g.closed || len(g.open) >= n.opt.Limits.GatewayConnections
	first := full && !g.full
	g.full = full
	if !full {
		if g.open == nil {
			g.open = make(map[*gateway]struct{})
		}
		g.open[w] = struct{}{}
	}
	g.mu.Unlock()
	if first {
		n.log.Warn("gateway connection refused: too many", "remote", nc.RemoteAddr().String(), "limit", n.opt.Limits.GatewayConnections)
	}
	if full {
		_ = nc.Close()
		return
	}
	w.read()
}

func (g *gateways) closeAll() {
	g.mu.Lock()
	g.closed = true
	all := make([]*gateway, 0, len(g.open))
	for w := range g.open {
		all = append(all, w)
	}
	g.mu.Unlock()
	for _, w := range all {
		w.end(protocol.CloseShutdown, false)
	}
}

// gateway is one connection on the gateway port (PROTOCOL section 3).
type gateway struct {
	stream
	node  *Node
	dec   protocol.Decoder
	slots chan struct{} // a token for each push that was not answered
	peer  *linkPeer     // nil: a back end

	mu     sync.Mutex // keeps replies whole
	reason protocol.CloseReason
	corked bool   // requests are being read: replies wait for each other
	out    []byte // those that wait; at most what one read can ask for
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
	return w.requests(data)
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

func (w *gateway) requests(data []byte) bool {
	for len(data) > 0 {
		p, rest, ok, err := w.dec.Next(data, w.frameLimit())
		switch {
		case errors.Is(err, protocol.ErrTooLarge):
			w.end(protocol.CloseTooLarge, false)
			return false
		case err != nil:
			w.end(protocol.CloseBadFrame, false)
			return false
		case !ok:
			return true
		case p.Command.IsLink():
			if !w.link(&p) {
				return false
			}
			data = rest
			continue
		case p.Command != protocol.CmdGatewayPush:
			w.fail(&p, protocol.CodeUnsupportedCommand, protocol.CloseUnsupported)
			return false
		}
		w.push(&p)
		data = rest
	}
	return true
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
	}
	w.mu.Unlock()
	if !first {
		return
	}
	w.node.gateways.mu.Lock()
	delete(w.node.gateways.open, w)
	w.node.gateways.mu.Unlock()
	w.shut(farewell)
	w.node.log.Debug("gateway connection closed", "remote", w.nc.RemoteAddr().String(), "reason", reason.String())
}

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

// push accepts or refuses one GATEWAY_PUSH.
func (w *gateway) push(p *protocol.Packet) {
	var m protocol.GatewayPush
	broken := p.Flags&protocol.FlagJSONBody != 0 || len(p.Body) == 0
	if !broken && p.Flags&protocol.FlagCompress != 0 {
		p.Flags &^= protocol.FlagCrypto
		body, err := protocol.Open(nil, p, nil, w.node.opt.Limits.InflatedBytes)
		broken, p.Body = err != nil, body
	}
	broken = broken || p.Unmarshal(&m) != nil || len(m.Content) == 0
	b := &backEnd{w: w, session: p.SessionID, user: m.UserID, class: m.ClientType, ack: protocol.AckModeOf(p.Flags), start: time.Now()}
	if broken {
		// MPush answers with a code that leaves the SDK's caller waiting for ever and
		// closes, which loses the other pushes on their way through this connection.
		w.node.log.Warn("gateway push refused: its body cannot be read or has no content", "remote", w.nc.RemoteAddr().String())
		b.refuse()
		return
	}
	push, err := b.describe(&m)
	if err != nil {
		w.node.log.Warn("gateway push refused", "err", err, "remote", w.nc.RemoteAddr().String())
		b.refuse()
		return
	}
	select {
	case w.slots <- struct{}{}:
	default:
		b.refuse()
		return
	}
	b.accept(push)
}

// backEnd is one push of a back end; it tracks the message and answers at its end.
type backEnd struct {
	w       *gateway
	session int32
	user    string
	class   protocol.ClientType
	ack     protocol.AckMode
	start   time.Time
	entry   *ledger.Entry
}

// maxAckWait bounds how long a back end can have an ack awaited: while it is, it takes
// one of the places for acks of the device's connection.
const maxAckWait = 5 * time.Minute

// describe makes the push of a request.
func (b *backEnd) describe(m *protocol.GatewayPush) (*cluster.Push, error) {
	push := &cluster.Push{ID: ulid.Make().String(), Content: m.Content, Ack: b.ack, Accepted: b.start}
	if b.user == "" {
		push.Ack = protocol.AckNone // MPush drops the ack of a broadcast
		return push, b.filter(push, m)
	}
	push.ClientTypes = []protocol.ClientType{b.class}
	// MPush waits three seconds where the SDK's time is up already.
	push.AckTimeout = 3 * time.Second
	if m.Timeout > 0 {
		push.AckTimeout = min(time.Duration(m.Timeout)*time.Millisecond, maxAckWait)
	}
	return push, nil
}

// filter sets who gets a broadcast: those for whom the condition holds, else those
// that have one of the tags. MPush takes a part of a tag for the tag. What cannot be read is refused: MPush takes broken tags for
// everybody.
func (b *backEnd) filter(push *cluster.Push, m *protocol.GatewayPush) (err error) {
	switch {
	case m.Condition != "":
		push.Condition, err = cluster.Compile(m.Condition)
	case m.Tags != "":
		if err = json.Unmarshal([]byte(m.Tags), &push.Tags); err == nil && len(push.Tags) == 0 {
			push.Condition = noneMatch{}
		}
	}
	return err
}

// noneMatch is a filter that nobody passes, as MPush's empty list of tags.
type noneMatch struct{}

// Match implements cluster.Condition.
func (noneMatch) Match(cluster.Facts) bool { return false }

// String implements cluster.Condition.
func (noneMatch) String() string { return "false" }

func (b *backEnd) accept(push *cluster.Push) {
	n := b.w.node
	entry, _, err := n.opt.Ledger.Accept(ledger.Request{
		ID: push.ID, Source: exporter.SourceGateway, Broadcast: b.user == "", Targets: 1,
		Digest: sha256.Sum256([]byte(push.ID)), Ack: push.Ack, Received: b.start,
	})
	if err != nil {
		<-b.w.slots
		b.refuse()
		return
	}
	b.entry = entry
	entry.Reached(protocol.StageRouted, n.opt.ID, time.Now())
	if b.user == "" {
		n.Broadcast(push, b)
		return
	}
	n.Push(push, b.user, b)
}

// Reached implements cluster.Tracker.
func (b *backEnd) Reached(s protocol.Stage, node string, at time.Time) { b.entry.Reached(s, node, at) }

// Progress implements cluster.Tracker.
func (b *backEnd) Progress(r cluster.Result) { b.entry.Progress(r) }

// Done implements cluster.Tracker. The answers are MPush's, and only those its SDK
// understands: any code but 1, 2 and 3 would hang its caller for ever. An ack that
// did not come is answered by silence; the SDK's own timer tells its caller.
func (b *backEnd) Done(r cluster.Result) {
	b.entry.Done(r)
	<-b.w.slots
	switch {
	case b.user == "" && r.Outcome == protocol.OutcomeRejected:
		b.refuse()
	case b.user == "":
		b.count(exporter.ResultOK)
		b.w.reply(protocol.CmdOK, b.session, &protocol.OK{Command: protocol.CmdGatewayPush})
	default:
		b.answer(r)
	}
}

func (b *backEnd) answer(r cluster.Result) {
	switch r.Outcome {
	case protocol.OutcomeAcked, protocol.OutcomeSent:
		b.count(exporter.ResultOK)
		b.w.reply(protocol.CmdOK, b.session, &protocol.OK{Command: protocol.CmdGatewayPush, Data: b.timeline("success-end", &r)})
	case protocol.OutcomeAckTimeout:
		b.count(exporter.ResultTimeout)
	case protocol.OutcomeOffline, protocol.OutcomeFiltered:
		b.count(exporter.ResultOffline)
		b.error(protocol.CodeOffline, b.timeline("offline-end", &r))
	default:
		b.count(exporter.ResultError)
		b.error(protocol.CodePushFailure, b.timeline("failure-end", &r))
	}
}

func (b *backEnd) refuse() {
	b.count(exporter.ResultRefused)
	b.error(protocol.CodePushFailure, b.timeline("failure-end", &cluster.Result{}))
}

func (b *backEnd) count(r exporter.Result) {
	b.w.node.metrics.GatewayRequests(exporter.DirectionIn, r).Inc()
}

func (b *backEnd) error(code protocol.Code, data string) {
	b.w.reply(protocol.CmdError, b.session, &protocol.Error{Command: protocol.CmdGatewayPush, Code: code, Reason: code.Reason(), Data: data})
}

// timeline is the JSON that MPush's SDK shows: client type (if it is known), the
// points of time alternating with their names, the user.
func (b *backEnd) timeline(end string, r *cluster.Result) string {
	text := make([]byte, 0, 160+len(b.user))
	text = append(text, '{')
	if b.class > 0 {
		text = append(strconv.AppendInt(append(text, `"clientType":`...), int64(b.class), 10), ',')
	}
	point := func(name string, at time.Time) {
		text = append(append(append(text, '"'), name...), '"', ',')
		text = append(strconv.AppendInt(text, at.UnixMilli(), 10), ',')
	}
	text = append(text, `"timePoints":[`...)
	point("push-center-begin", b.start)
	if sent := r.Stages[protocol.StageQueued]; !sent.IsZero() {
		point("before-send", sent)
		if written := r.Stages[protocol.StageWritten]; b.ack != protocol.AckNone && !written.IsZero() {
			point("waiting-ack", written)
		}
	}
	point(end, time.Now())
	text[len(text)-1] = ']'
	user, err := json.Marshal(b.user)
	if err != nil { // a string always marshals
		return ""
	}
	return string(append(append(append(text, `,"userId":`...), user...), '}'))
}
