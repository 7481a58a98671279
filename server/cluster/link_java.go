package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// javaTalk is the dialect of MPush nodes in Java, as their back-end SDK speaks it.
type javaTalk struct {
	link *Link
	push protocol.GatewayPush // scratch of the writer
}

// javaLimit is the longest body that a Java node takes unless it is configured
// otherwise, which nobody tells; it closes the connection on a longer one.
const javaLimit = 10 << 10

// javaMargin is how long after its own deadline the answer of a Java node may come.
const javaMargin = 500 * time.Millisecond

// javaClasses are the classes of devices that a push without any may be for.
var javaClasses = []protocol.ClientType{protocol.ClientMobile, protocol.ClientPC, protocol.ClientWeb, protocol.ClientUnknown}

// open implements dialect: there are no first words.
func (t *javaTalk) open(*linkConn) error { return nil }

var errJava = errors.New("a Java node cannot be given this push")

// fits implements dialect.
func (t *javaTalk) fits(p *Push, user string, broadcast bool) error {
	filtered := len(p.Tags) > 0 || p.Condition != nil
	switch {
	case len(p.Content) == 0:
		return fmt.Errorf("%w: no content", errJava) // devices in Java reconnect on it
	case !broadcast && user == "":
		return fmt.Errorf("%w: no user", errJava) // that would be a broadcast
	case !broadcast && filtered:
		return fmt.Errorf("%w: it filters broadcasts only", errJava)
	case broadcast && len(p.ClientTypes) > 0:
		return fmt.Errorf("%w: it cannot filter by class of device", errJava)
	case broadcast && len(p.Tags) > 0 && p.Condition != nil:
		return fmt.Errorf("%w: it filters by tags or by a condition, not both", errJava)
	}
	m := javaPush(p, user, protocol.ClientMobile, 0)
	body, err := m.AppendBinary(nil)
	if err == nil && len(body) > javaLimit {
		err = fmt.Errorf("%w: %d bytes are more than the %d it takes", errJava, len(body), javaLimit)
	}
	return err
}

// pushJava hands a push over, once for each class of devices.
func (l *Link) pushJava(p *Push, user string, t Tracker, named bool) {
	types := p.ClientTypes
	if len(types) == 0 {
		types = javaClasses
	}
	if len(types) > 1 {
		t = &several{Tracker: t, left: len(types)}
	}
	for _, class := range types {
		l.submit(&request{push: p, tracker: t, user: user, named: named, class: class, cost: len(p.Content) + len(user)})
	}
}

// javaTimeout is how long a Java node is to wait for an ack, or to hold a push back.
func (l *Link) javaTimeout(p *Push) time.Duration {
	switch {
	case p.Ack == protocol.AckNone:
		return l.o.Timeout
	case p.AckTimeout > 0:
		return p.AckTimeout
	}
	return defaultAckTimeout
}

func javaPush(p *Push, user string, class protocol.ClientType, timeout time.Duration) protocol.GatewayPush {
	m := protocol.GatewayPush{UserID: user, ClientType: class, Timeout: int32(timeout.Milliseconds()), Content: p.Content}
	if user != "" {
		return m
	}
	m.ClientType, m.Timeout, m.TaskID = 0, 0, p.Task
	if p.Condition != nil {
		m.Condition = p.Condition.String()
	}
	if len(p.Tags) > 0 {
		tags, _ := json.Marshal(p.Tags) // strings always marshal
		m.Tags = string(tags)
	}
	return m
}

// append implements dialect.
func (t *javaTalk) append(dst []byte, o *outgoing) ([]byte, error) {
	t.push = javaPush(o.push, o.user, o.class, t.link.javaTimeout(o.push))
	start := len(dst)
	dst, err := appendFrame(dst, protocol.CmdGatewayPush, int32(o.id), &t.push)
	if err == nil && o.kind == kindPush {
		dst[start+7] = byte(o.push.Ack.Flags())
	}
	return dst, err
}

// receive implements dialect.
func (t *javaTalk) receive(p *protocol.Packet) error {
	l := t.link
	result := protocol.LinkResult{Request: uint64(uint32(p.SessionID)), Outcome: protocol.OutcomeFailed}
	var data string
	moved := false
	switch p.Command {
	case protocol.CmdOK:
		var m protocol.OK
		if err := m.UnmarshalBinary(p.Body); err != nil {
			return err
		}
		result.Outcome, data = l.javaSuccess(result.Request), m.Data
	case protocol.CmdError:
		var m protocol.Error
		if err := m.UnmarshalBinary(p.Body); err != nil {
			return err
		}
		data = m.Data
		if m.Code == protocol.CodeOffline || m.Code == protocol.CodeRouterChange {
			result.Outcome, moved = protocol.OutcomeOffline, m.Code == protocol.CodeRouterChange
		}
	default:
		return fmt.Errorf("%w: command %v", errLinkWords, p.Command)
	}
	if result.Outcome != protocol.OutcomeOffline && l.isPush(result.Request) {
		result.Deliveries[result.Outcome] = 1
	}
	javaStages(&result, data)
	l.answered(&result, moved)
	return nil
}

// javaSuccess is what OK means: the ack if one was wanted.
func (l *Link) javaSuccess(id uint64) protocol.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.requests.pending[id]; ok && r.ack {
		return protocol.OutcomeAcked
	}
	return protocol.OutcomeSent
}

// isPush reports whether a request is for a single user.
func (l *Link) isPush(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.requests.pending[id]
	return ok && r.kind == kindPush
}

// javaStages reads the points of time in an answer, names and milliseconds by turns.
func javaStages(m *protocol.LinkResult, data string) {
	var answer struct {
		TimePoints []any `json:"timePoints"`
	}
	if json.Unmarshal([]byte(data), &answer) != nil {
		return
	}
	reached := func(s protocol.Stage, offset float64) {
		m.Stages[s] = time.Duration(max(0, offset)) * time.Millisecond
		m.Reached |= 1 << s
	}
	begin := 0.0
	for i := 0; i+1 < len(answer.TimePoints); i += 2 {
		name, _ := answer.TimePoints[i].(string)
		at, _ := answer.TimePoints[i+1].(float64)
		switch {
		case name == "push-center-begin":
			begin = at
		case name == "before-send":
			reached(protocol.StageQueued, at-begin)
		case name == "waiting-ack", name == "success-end" && m.Outcome == protocol.OutcomeSent:
			reached(protocol.StageWritten, at-begin)
		case name == "success-end":
			reached(protocol.StageAcked, at-begin)
		}
	}
}

// several is the tracker of a push that takes several requests.
type several struct {
	Tracker

	mu   sync.Mutex
	left int
	res  Result
}

// Done implements [Tracker].
func (s *several) Done(r Result) {
	s.mu.Lock()
	s.left--
	last := s.left == 0
	first := s.res.Outcome == protocol.OutcomePending
	if s.res.Outcome.Better(r.Outcome) != s.res.Outcome {
		s.res.Outcome, s.res.Stages = r.Outcome, r.Stages
	}
	s.res.User, s.res.Node = r.User, r.Node
	s.res.Unsent, s.res.Moved = r.Unsent && (first || s.res.Unsent), r.Moved || s.res.Moved
	for o, n := range r.Deliveries {
		s.res.Deliveries[o] += n
	}
	res := s.res
	s.mu.Unlock()
	if last {
		res.Moved = res.Moved && res.Outcome == protocol.OutcomeOffline
		s.Tracker.Done(res)
	}
}
