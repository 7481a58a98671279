package cluster

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// fanfareTalk is the dialect of our own nodes; see the commands in package protocol.
type fanfareTalk struct {
	link *Link
	push protocol.LinkPush // scratch of the writer
	one  [1]string
}

// openingLimit bounds frames before the node has proved who it is, in bytes.
const openingLimit = 64 << 10

// open implements dialect.
func (t *fanfareTalk) open(c *linkConn) error {
	l := t.link
	want := l.id()
	hello := protocol.LinkHello{Version: LinkVersion, ID: l.o.Self, Want: want, Instance: l.instance}
	_, _ = rand.Read(hello.Nonce[:]) // never fails since Go 1.24
	if err := say(c, protocol.CmdLinkHello, &hello); err != nil {
		return err
	}
	var challenge protocol.LinkChallenge
	if err := hear(c, protocol.CmdLinkChallenge, &challenge); err != nil {
		return err
	}
	switch {
	case challenge.Version != LinkVersion:
		return fmt.Errorf("%w: ours is %d, that of %q is %d", ErrLinkVersion, LinkVersion, challenge.ID, challenge.Version)
	case challenge.ID != want:
		return fmt.Errorf("%w: %q instead of %q", ErrLinkIdentity, challenge.ID, want)
	case !hmac.Equal(challenge.Proof, protocol.ProveLink(l.o.Secret, false, &hello, &challenge)):
		return ErrLinkSecret
	}
	l.mu.Lock()
	proof := protocol.LinkProof{Proof: protocol.ProveLink(l.o.Secret, true, &hello, &challenge), Received: l.received}
	l.mu.Unlock()
	if err := say(c, protocol.CmdLinkProof, &proof); err != nil {
		return err
	}
	var ready protocol.LinkReady
	if err := hear(c, protocol.CmdLinkReady, &ready); err != nil {
		return err
	}
	l.resume(&ready)
	return nil
}

func say(c *linkConn, cmd protocol.Command, m body) error {
	frame, err := appendFrame(nil, cmd, 0, m)
	if err == nil {
		_, err = c.Write(frame)
	}
	if err != nil {
		return fmt.Errorf("opening the link: %w", err)
	}
	return nil
}

// hear reads the one frame that may come now.
func hear(c *linkConn, cmd protocol.Command, m interface{ UnmarshalBinary([]byte) error }) error {
	p, err := c.next(openingLimit)
	switch {
	case err != nil:
		return fmt.Errorf("opening the link: %w", err)
	case p.Command == protocol.CmdLinkRefused:
		return refusal(p.Body)
	case p.Command == protocol.CmdError:
		return fmt.Errorf("%w: it does not know links", ErrLinkVersion)
	case p.Command != cmd:
		return fmt.Errorf("opening the link: %w: command %v", errLinkWords, p.Command)
	}
	return m.UnmarshalBinary(p.Body)
}

// refusal makes an error of a refusal.
func refusal(body []byte) error {
	var m protocol.LinkRefused
	if err := m.UnmarshalBinary(body); err != nil {
		return err
	}
	kind := ErrLinkRefused
	switch m.Code {
	case protocol.LinkRefusedVersion:
		kind = ErrLinkVersion
	case protocol.LinkRefusedIdentity:
		kind = ErrLinkIdentity
	case protocol.LinkRefusedSecret:
		kind = ErrLinkSecret
	}
	return fmt.Errorf("%w: %q", kind, m.Reason)
}

// resume settles what was written to an earlier connection: what arrived is waited
// for, what did not is written again. A node that has no memory of it was started
// anew, and then nobody knows.
func (l *Link) resume(ready *protocol.LinkReady) {
	var lost []*request
	l.mu.Lock()
	if ready.Resumed {
		l.requests.confirm(ready.Last)
		l.requests.requeue()
	} else {
		lost = l.requests.dropPending()
		l.received = 0
	}
	l.window = l.o.InFlight
	if ready.Window > 0 {
		l.window = min(l.window, int(ready.Window))
	}
	if ready.AckTimeout > 0 {
		l.ackWait = time.Duration(ready.AckTimeout) * time.Millisecond
	}
	l.mu.Unlock()
	l.endAll(lost, exporter.ResultError)
}

var errPushTooLarge = errors.New("the push does not fit into a frame")

// fits implements dialect.
func (t *fanfareTalk) fits(p *Push, user string, _ bool) error {
	size := 256 + len(p.ID) + len(p.Content) + len(p.Task) + len(user)
	if p.Condition != nil {
		size += len(p.Condition.String())
	}
	for _, tag := range p.Tags {
		size += 6 + len(tag)
	}
	if size > protocol.MaxLinkFrame || len(p.Tags) > 1<<16-1 || len(p.ClientTypes) > 1<<8-1 {
		return fmt.Errorf("%w of %d bytes", errPushTooLarge, protocol.MaxLinkFrame)
	}
	return nil
}

// append implements dialect.
func (t *fanfareTalk) append(dst []byte, o *outgoing) ([]byte, error) {
	switch o.kind {
	case kindCancel:
		return appendFrame(dst, protocol.CmdLinkCancel, 0, &protocol.LinkCancel{Request: o.id, ID: o.cancel})
	case kindDrain:
		return appendFrame(dst, protocol.CmdLinkDrain, 0, &protocol.LinkDrain{Request: o.id, Rate: o.rate})
	}
	p := o.push
	t.push = protocol.LinkPush{
		Request: o.id, ID: p.ID, Ack: p.Ack, AckTimeout: p.AckTimeout, Age: o.sent.Sub(p.Accepted), Rate: p.Rate, Task: p.Task,
		ClientTypes: p.ClientTypes, Tags: p.Tags, Content: p.Content, Users: o.users,
	}
	if p.Condition != nil {
		t.push.Condition = p.Condition.String()
	}
	cmd := protocol.CmdLinkBroadcast
	if o.kind == kindPush {
		cmd = protocol.CmdLinkPush
		if o.users == nil {
			t.one[0] = o.user
			t.push.Users = t.one[:]
		}
	}
	return appendFrame(dst, cmd, 0, &t.push)
}

// receive implements dialect.
func (t *fanfareTalk) receive(p *protocol.Packet) error {
	l := t.link
	switch p.Command {
	case protocol.CmdLinkResults, protocol.CmdLinkProgress:
		return l.results(p)
	case protocol.CmdLinkPong:
		return l.pong(p)
	case protocol.CmdLinkInfo:
		return l.heardInfo(p.Body)
	case protocol.CmdLinkRefused:
		return refusal(p.Body)
	}
	return fmt.Errorf("%w: command %v", errLinkWords, p.Command)
}

// results takes the ends of pushes. A result whose number was seen has been sent
// again; its request has ended.
func (l *Link) results(p *protocol.Packet) error {
	var list protocol.LinkResults
	if err := list.UnmarshalBinary(p.Body); err != nil {
		return err
	}
	var m protocol.LinkResult
	for number := list.First; ; number++ {
		ok, err := list.Next(&m)
		if !ok {
			return err
		}
		if p.Command == protocol.CmdLinkProgress {
			l.progressed(&m)
			continue
		}
		l.answered(&m, false)
		l.mu.Lock()
		l.received = max(l.received, number)
		l.mu.Unlock()
	}
}

// pong takes the answer to a ping.
func (l *Link) pong(p *protocol.Packet) error {
	var m protocol.LinkPing
	if err := m.UnmarshalBinary(p.Body); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests.confirm(m.Received)
	if p.SessionID == l.pings.number && l.pings.sent != 0 {
		l.roundTrip = l.clock() - l.pings.sent
		l.o.Metrics.LinkRoundTrip.Observe(l.roundTrip.Seconds())
		l.pings.sent = 0
	}
	return nil
}
