package dingtalk

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// Bounds of one digest.
const (
	maxMerge      = 1000    // notifications
	maxMergeBytes = 8 << 20 // of their bodies
	maxParts      = 60      // messages
)

// draft is a message about to be sent, and the entries it is made of.
type draft struct {
	entries  []spool.Entry
	payloads []*message.Payload // of which it is made; none for a message made before
	message  stored
	digest   bool
}

// unreadable begins the reason of a dead letter.
const unreadable = "cannot be read back from the spool: "

// beat is the body of a dead man's entry.
type beat struct {
	Name string    `json:"name"`
	Last time.Time `json:"last"`
	Back bool      `json:"back"`
}

// compose makes the next message. It returns none if it only changed what waits.
func (l *lane) compose(s *setup, t *target, waiting []spool.Entry, short bool) (*draft, error) {
	head := waiting[0]
	switch head.Kind {
	case spool.Ready:
		return l.composeReady(head)
	case spool.Deadman:
		return l.composeDeadman(s, t, head)
	}
	rest, err := l.rest(waiting)
	if err != nil {
		return nil, err
	}
	payloads := slices.DeleteFunc(onlyPayloads(waiting), func(e spool.Entry) bool { _, later := rest[e.Group]; return later })
	if e, ok := rest[head.Group]; ok {
		if len(payloads) == 0 || payloads[0].Rank > head.Rank {
			return l.composeReady(e)
		}
		head = payloads[0] // as urgent, and free to go
	}
	if chunk := l.doubtful(payloads); chunk != nil {
		if len(chunk) == 1 {
			return l.composeOne(s, t, chunk[0])
		}
		payloads = chunk
	}
	if len(payloads) > s.config.Digest.After || short && len(payloads) > 1 {
		if d, err := l.composeDigest(s, t, payloads); d != nil || err == nil {
			return d, err
		}
	}
	return l.composeOne(s, t, firstOfGroup(payloads, head))
}

func onlyPayloads(waiting []spool.Entry) []spool.Entry {
	return slices.DeleteFunc(slices.Clone(waiting), func(e spool.Entry) bool { return e.Kind != spool.Payload })
}

// firstOfGroup keeps a group's notifications in order: the last one sent must be its
// state, even if an earlier one is less urgent.
func firstOfGroup(payloads []spool.Entry, head spool.Entry) spool.Entry {
	for _, e := range payloads {
		if e.Group == head.Group && e.Seq < head.Seq {
			head = e
		}
	}
	return head
}

// composeOne makes the message of one notification. One that names too many alerts for
// a message becomes several.
func (l *lane) composeOne(s *setup, t *target, e spool.Entry) (*draft, error) {
	p, err := l.payload(e)
	if errors.As(err, new(*message.DecodeError)) {
		return nil, l.bury([]spool.Entry{e}, &stored{}, unreadable+err.Error())
	}
	if err != nil {
		return nil, err
	}
	if l.elsewhere(s, t, e, p) {
		return nil, l.drop([]spool.Entry{e}, noteOther)
	}
	in := l.input(s, t, p)
	m, err := s.templates.Render(in)
	if err != nil {
		l.templateFailed(t.Name, err)
		m = s.templates.Fallback(in)
	}
	d := &draft{entries: []spool.Entry{e}, payloads: []*message.Payload{p}, message: storedOf(m)}
	if m.Truncated == 0 {
		return d, nil
	}
	parts, err := s.templates.Digests(d.payloads, t.Mention, maxParts)
	if err != nil || len(parts) < 2 || l.split(d, storedAll(parts), isDigest) != nil {
		return d, nil // better a message that is cut than none
	}
	return nil, nil
}

// composeDigest makes one message of many notifications, or puts the several that are
// needed in their place.
func (l *lane) composeDigest(s *setup, t *target, payloads []spool.Entry) (*draft, error) {
	d := &draft{entries: choose(payloads), digest: true}
	var all []*message.Payload
	slices.SortFunc(d.entries, bySeq)
	var others []spool.Entry
	for _, e := range d.entries {
		p, err := l.payload(e)
		if errors.As(err, new(*message.DecodeError)) {
			return nil, l.bury([]spool.Entry{e}, &stored{}, unreadable+err.Error())
		}
		if err != nil {
			return nil, err
		}
		if l.elsewhere(s, t, e, p) {
			others = append(others, e)
		}
		all = append(all, p)
	}
	if len(others) > 0 { // the rest may be few enough to do without a digest
		return nil, l.drop(others, noteOther)
	}
	d.payloads = merge(all, l.dropper(s))
	if len(d.payloads) == 0 {
		return nil, l.drop(d.entries, noteDropped)
	}
	parts, err := s.templates.Digests(d.payloads, t.Mention, maxParts)
	if err != nil || len(parts) == 0 {
		l.templateFailed(t.Name, fmt.Errorf("digest: %w", err))
		return nil, err
	}
	if len(parts) > 1 {
		return nil, l.split(d, storedAll(parts), isDigest)
	}
	d.message = storedOf(parts[0])
	return d, nil
}

// choose takes whole groups, the most urgent first, as many as one digest may have.
func choose(payloads []spool.Entry) []spool.Entry {
	groups := map[uint64][]spool.Entry{}
	var order []uint64
	for _, e := range payloads {
		if groups[e.Group] == nil {
			order = append(order, e.Group)
		}
		groups[e.Group] = append(groups[e.Group], e)
	}
	var chosen []spool.Entry
	size := 0
	for _, g := range order {
		slices.SortFunc(groups[g], bySeq)
		for _, e := range groups[g] {
			if size += e.Size; len(chosen) > 0 && (size > maxMergeBytes || len(chosen) == maxMerge) {
				return chosen
			}
			chosen = append(chosen, e)
		}
	}
	return chosen
}

func bySeq(a, b spool.Entry) int {
	if a.Seq < b.Seq {
		return -1
	}
	return 1
}

func (l *lane) composeReady(e spool.Entry) (*draft, error) {
	body, err := l.spool.Body(e)
	if err != nil {
		return nil, err
	}
	d := &draft{entries: []spool.Entry{e}, digest: e.Tried&isDigest != 0}
	if err := json.Unmarshal(body, &d.message); err != nil {
		return nil, l.bury(d.entries, &d.message, "cannot be read back from the spool")
	}
	return d, nil
}

func (l *lane) composeDeadman(s *setup, t *target, e spool.Entry) (*draft, error) {
	body, err := l.spool.Body(e)
	if err != nil {
		return nil, err
	}
	var b beat
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, l.bury([]spool.Entry{e}, &stored{}, "cannot be read back from the spool")
	}
	mention := t.Mention
	mention.Severities = nil // it is critical
	m := s.templates.Deadman(b.Name, b.Last, mention)
	if b.Back {
		m = s.templates.DeadmanBack(b.Name, b.Last, message.Mention{})
	}
	return &draft{entries: []spool.Entry{e}, message: storedOf(m)}, nil
}

// payload reads a notification back. It was decoded once before it was accepted: a
// [*message.DecodeError] means that it was damaged since.
func (l *lane) payload(e spool.Entry) (*message.Payload, error) {
	body, err := l.spool.Body(e)
	if err != nil {
		return nil, err
	}
	return message.Decode(body)
}

func (l *lane) input(s *setup, t *target, p *message.Payload) message.Input {
	in := message.Input{Target: t.Name, Payload: p, Title: t.message.Title, Text: t.message.Text, Mention: t.Mention}
	if s.acks != nil {
		in.Actions = s.acks.links
	}
	return in
}

func (l *lane) templateFailed(target string, err error) {
	l.metrics.templates.WithLabelValues(target).Inc()
	l.templateLog.Warn(l.options.Logger, "a template failed; the message is made without it", "target", target, "err", err)
}
