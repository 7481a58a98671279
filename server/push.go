package server

import (
	"slices"
	"strings"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// firstPushSession is where the session ids of pushes start. Devices count their
// requests up from 1, and the Java SDK completes a pending request with any frame
// of the same id, so the two ranges are kept apart.
const firstPushSession = 1 << 30

// nextSession is the id of the next PUSH, between 2^30 and 2^31-1.
func (n *Node) nextSession() int32 {
	return int32(firstPushSession | n.pushes.Add(1)&(firstPushSession-1))
}

// Push implements [cluster.Member].
func (n *Node) Push(p *cluster.Push, user string, t cluster.Tracker) {
	var found [maxDevices]*conn
	devices := n.hub.lookup(user, &found)
	if devices == 0 {
		t.Done(cluster.Result{Node: n.opt.ID, Outcome: protocol.OutcomeOffline})
		return
	}
	if n.flow == nil || n.flow.passes(p, user, t) {
		n.deliver(p, user, t)
	}
}

// deliver writes to the connections that the user has now.
func (n *Node) deliver(p *cluster.Push, user string, t cluster.Tracker) {
	var found [maxDevices]*conn
	devices := n.hub.lookup(user, &found)
	if devices == 0 {
		t.Done(cluster.Result{Node: n.opt.ID, Outcome: protocol.OutcomeOffline})
		return
	}
	f := &fanout{p: p, t: t, n: n, left: devices}
	f.own.init(p, n.opt.Limits.CompressThreshold)
	n.metrics.DeliveriesInFlight.Add(float64(devices))
	for i, c := range found[:devices] {
		d := &f.one
		if i > 0 {
			d = new(delivery)
		}
		d.f, d.c, d.user, d.session = f, c, user, n.nextSession()
		d.start()
	}
}

// PushAll implements [cluster.Member].
func (n *Node) PushAll(p *cluster.Push, users []string, t cluster.Tracker) {
	for _, user := range users {
		n.Push(p, user, named{t, user})
	}
}

// named is a tracker that says which user's push ended.
type named struct {
	cluster.Tracker
	user string
}

// Done implements [cluster.Tracker].
func (t named) Done(r cluster.Result) {
	r.User = t.user
	t.Tracker.Done(r)
}

// pushFrame is the content of a push, prepared once for all its connections.
type pushFrame struct {
	body  []byte // content, compressed if that is due
	flags protocol.Flags
	json  protocol.Push
}

func (t *pushFrame) init(p *cluster.Push, threshold int) {
	t.body, t.flags, t.json.Content = p.Content, p.Ack.Flags(), p.Content
	if threshold <= 0 || len(p.Content) <= threshold {
		return
	}
	if body, err := protocol.Deflate(nil, p.Content); err == nil {
		t.body, t.flags = body, t.flags|protocol.FlagCompress
	}
}

// appendPush puts the PUSH packet together; the caller holds mu.
func (c *conn) appendPush(s *scratch, t *pushFrame, session int32) ([]byte, error) {
	if c.ws != nil {
		s.body = protocol.AppendJSONPacket(s.body[:0], protocol.CmdPush, t.flags&^protocol.FlagCompress, session, &t.json)
		s.frame = wsAppendFrame(s.frame[:0], wsText, s.body)
		return s.frame, nil
	}
	cipher := c.cipherLocked()
	if t.flags&protocol.FlagCompress == 0 {
		var err error
		s.frame, err = protocol.AppendSealed(s.frame[:0], protocol.CmdPush, t.flags, session, t.body, 0, cipher)
		return s.frame, err
	}
	// The body was compressed once for all connections; AppendSealed would deny it.
	p := protocol.Packet{Command: protocol.CmdPush, Flags: t.flags, SessionID: session, Body: t.body}
	if cipher != nil {
		s.body = cipher.AppendEncrypt(s.body[:0], t.body)
		p.Flags, p.Body = p.Flags|protocol.FlagCrypto, s.body
	}
	s.frame = protocol.AppendPacket(s.frame[:0], p)
	return s.frame, nil
}

// filter returns [protocol.OutcomePending] if the connection is one that the push is meant
// for. Conditions are asked without the connection's lock.
func (c *conn) filter(p *cluster.Push, user string) protocol.Outcome {
	if !p.Selective() {
		return protocol.OutcomePending
	}
	c.mu.Lock()
	facts, device, bound := c.facts(), c.device, c.user == user
	c.mu.Unlock()
	switch {
	case !bound:
		return protocol.OutcomeOffline
	case len(p.ClientTypes) > 0 && !slices.Contains(p.ClientTypes, device.class()),
		len(p.Tags) > 0 && !hasTag(facts.Tags, p.Tags),
		p.Condition != nil && !p.Condition.Match(facts):
		return protocol.OutcomeFiltered
	}
	return protocol.OutcomePending
}

// hasTag reports whether one of the wanted tags is among those of a connection,
// which are separated by commas. MPush looks for a substring instead.
func hasTag(tags string, wanted []string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimSpace(tag); tag != "" && slices.Contains(wanted, tag) {
			return true
		}
	}
	return false
}

// Devices implements [cluster.Local].
func (n *Node) Devices(user string) []cluster.Device {
	var found [maxDevices]*conn
	var devices []cluster.Device
	for _, c := range found[:n.hub.lookup(user, &found)] {
		if d, ok := c.describe(user); ok {
			devices = append(devices, d)
		}
	}
	slices.SortFunc(devices, func(a, b cluster.Device) int { return int(a.ClientType) - int(b.ClientType) })
	return devices
}
