package server

import (
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// linkTarget is a push that came over a link, for one user. It implements
// [cluster.Tracker].
type linkTarget struct {
	memory   *linkMemory
	received time.Time
	request  uint64
	index    int
}

// linkPush delivers a push to users of this node.
func (w *gateway) linkPush(m *protocol.LinkPush) bool {
	memory, now := w.peer.memory, time.Now()
	if !memory.begin(w, m.Request, len(m.Users)) {
		return false
	}
	if len(m.Users) == 0 {
		w.end(protocol.CloseBadRequest, false)
		return false
	}
	targets := make([]linkTarget, len(m.Users))
	for i := range targets {
		targets[i] = linkTarget{memory: memory, received: now, request: m.Request, index: i}
	}
	push, outcome := w.describeLink(m, now)
	if memory.full(len(m.Users)) {
		outcome = protocol.OutcomeRejected
	}
	for i, user := range m.Users {
		if outcome != protocol.OutcomePending {
			targets[i].finish(&cluster.Result{Outcome: outcome, Unsent: true})
			continue
		}
		w.node.Push(push, user, &targets[i])
	}
	return w.isOpen()
}

// describeLink makes a push of what came. An outcome other than pending refuses it.
func (w *gateway) describeLink(m *protocol.LinkPush, now time.Time) (*cluster.Push, protocol.Outcome) {
	push := &cluster.Push{
		ID: m.ID, Content: m.Content, Ack: m.Ack, AckTimeout: min(m.AckTimeout, maxAckWait), ClientTypes: m.ClientTypes, Tags: m.Tags,
		Task: m.Task, Rate: m.Rate, Accepted: now.Add(-m.Age),
	}
	var err error
	if m.Condition != "" {
		push.Condition, err = cluster.Compile(m.Condition)
	}
	switch {
	case err != nil:
		w.node.log.Warn("push of another node refused", "peer", w.peer.hello.ID, "message", m.ID, "err", err)
		return nil, protocol.OutcomeFailed
	case len(m.Content) == 0:
		w.node.log.Warn("push of another node refused: it has no content", "peer", w.peer.hello.ID, "message", m.ID)
		return nil, protocol.OutcomeFailed
	}
	return push, protocol.OutcomePending
}

// Reached implements [cluster.Tracker]. The result tells all stages.
func (t *linkTarget) Reached(protocol.Stage, string, time.Time) {}

// Progress implements [cluster.Tracker].
func (t *linkTarget) Progress(cluster.Result) {}

// Done implements [cluster.Tracker].
func (t *linkTarget) Done(r cluster.Result) { t.finish(&r) }

func (t *linkTarget) finish(r *cluster.Result) {
	m := linkResult(r, t.request, t.received)
	m.Index = t.index
	t.memory.node.metrics.GatewayRequests(exporter.DirectionIn, exporter.ResultOf(r.Outcome)).Inc()
	if w, err := t.memory.deliver(&m, 1); err != nil {
		w.survives(err)
	}
}

// linkResult puts a result into the form that is sent.
func linkResult(r *cluster.Result, request uint64, received time.Time) protocol.LinkResult {
	m := protocol.LinkResult{Request: request, Outcome: r.Outcome, Unsent: r.Unsent, Deliveries: r.Deliveries}
	for _, s := range [...]protocol.Stage{protocol.StageQueued, protocol.StageWritten, protocol.StageAcked} {
		if at := r.Stages[s]; !at.IsZero() {
			m.Stages[s] = at.Sub(received)
			m.Reached |= 1 << s
		}
	}
	return m
}

// linkCast is a broadcast that came over a link. It implements [cluster.Tracker].
type linkCast struct {
	linkTarget
	progress protocol.LinkResult // so far; under the memory's lock
}

func (w *gateway) linkBroadcast(m *protocol.LinkPush) bool {
	memory, now := w.peer.memory, time.Now()
	if !memory.begin(w, m.Request, 1) {
		return false
	}
	c := &linkCast{linkTarget: linkTarget{memory: memory, received: now, request: m.Request}}
	c.progress.Request = m.Request
	push, outcome := w.describeLink(m, now)
	if outcome != protocol.OutcomePending {
		c.finish(&cluster.Result{Outcome: outcome, Unsent: true})
		return w.isOpen()
	}
	memory.start(c)
	w.node.Broadcast(push, c)
	return w.isOpen()
}

// Progress implements [cluster.Tracker]. The next tick of the connection sends it.
func (c *linkCast) Progress(r cluster.Result) {
	m := linkResult(&r, c.request, c.received)
	m.Outcome = protocol.OutcomePending
	c.memory.note(c, &m)
}
