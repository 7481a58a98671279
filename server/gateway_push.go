package server

import (
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
)

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
		w.node.gateways.bad.Warn(w.node.log, "gateway push refused: its body cannot be read or has no content", "remote", w.nc.RemoteAddr().String())
		b.refuse()
		return
	}
	push, err := b.describe(&m)
	if err != nil {
		w.node.gateways.bad.Warn(w.node.log, "gateway push refused", "err", err, "remote", w.nc.RemoteAddr().String())
		b.refuse()
		return
	}
	if !b.enter(int64(len(push.Content))) {
		b.refuse()
		return
	}
	b.accept(push)
}

// enter makes room for a push that is going to be answered; false if there is none.
func (b *backEnd) enter(size int64) bool {
	g := &b.w.node.gateways
	select {
	case b.w.slots <- struct{}{}:
	default:
		return false
	}
	if b.size = size; g.bytes.Add(size) > gatewayInbound {
		b.leave()
		return false
	}
	return true
}

func (b *backEnd) leave() {
	b.w.node.gateways.bytes.Add(-b.size)
	<-b.w.slots
}

// backEnd is one push of a back end; it tracks the message and answers at its end.
type backEnd struct {
	w       *gateway
	session int32
	user    string
	class   protocol.ClientType
	ack     protocol.AckMode
	start   time.Time
	size    int64 // of the content, once it was taken
	entry   *ledger.Entry
}

// maxAckWait bounds how long a back end can have an ack awaited: while it is, it takes
// one of the places for acks of the device's connection.
const maxAckWait = 5 * time.Minute

// describe makes the push of a request.
func (b *backEnd) describe(m *protocol.GatewayPush) (*cluster.Push, error) {
	push := &cluster.Push{ID: ulid.Make().String(), Content: m.Content, Ack: b.ack, Accepted: b.start}
	if b.user == "" {
		push.Ack, push.Task = protocol.AckNone, m.TaskID // MPush drops the ack of a broadcast
		return push, b.filter(push, m)
	}
	push.ClientTypes = []protocol.ClientType{b.class}
	// MPush waits three seconds where the SDK's time is up already.
	push.AckTimeout = 3 * time.Second
	if m.Timeout > 0 {
		push.AckTimeout = min(time.Duration(m.Timeout)*time.Millisecond, maxAckWait)
	}
	push.Deadline = b.start.Add(push.AckTimeout)
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
		b.leave()
		b.refuse()
		return
	}
	b.entry = entry
	if router := n.gateways.router.Load(); router != nil && b.user != "" {
		router.Push(push, b.user, b) // forwards, where MPush sends the back end away
		return
	}
	entry.Reached(protocol.StageRouted, n.opt.ID, time.Now())
	if b.user == "" {
		n.Broadcast(push, b) // the SDK sends it to every node
		return
	}
	n.Push(push, b.user, b)
}

// Reached implements cluster.Tracker.
func (b *backEnd) Reached(s protocol.Stage, node string, at time.Time) { b.entry.Reached(s, node, at) }

// Progress implements cluster.Tracker.
func (b *backEnd) Progress(r cluster.Result) { b.entry.Progress(r) }
