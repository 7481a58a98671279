package message

import (
	"fmt"
	"strings"
)

// Fallback makes a message without any template. It cannot fail.
func (t *Templates) Fallback(in Input) Message {
	return t.plainly(in, func(v view) string {
		line := v.Icon() + " " + v.How() + t.words.pick("：", ": ") + v.Short()
		if where := v.Where(); where != "" {
			line += "\n\n  " + where
		}
		return line
	})
}

// Bare makes a message with nothing in it that a content filter could object to: no
// links, no annotations, no label but the alert's name. It cannot fail.
func (t *Templates) Bare(in Input) Message {
	m := t.plainly(bareInput(in), func(v view) string {
		return v.Icon() + " " + v.How() + t.words.pick("：", ": ") + v.Short()
	})
	m.Text += "\n\n" + t.words.pick("钉钉拒绝了原来的内容，详情请看 Alertmanager。", "DingTalk refused the original text; see Alertmanager for the details.")
	return m
}

// bareInput leaves of each alert its name, severity and times.
func bareInput(in Input) Input {
	if in.Payload == nil {
		return in
	}
	p := *in.Payload
	p.Alerts = make(Alerts, len(in.Payload.Alerts))
	for i, a := range in.Payload.Alerts {
		labels := KV{}
		for _, name := range []string{"alertname", "severity"} {
			if a.Labels[name] != "" {
				labels[name] = a.Labels[name]
			}
		}
		p.Alerts[i] = Alert{Status: a.Status, Labels: labels, StartsAt: a.StartsAt, EndsAt: a.EndsAt}
	}
	in.Payload = &p
	return in
}

// plainly makes a message of a line for each alert, as far as there is room.
func (t *Templates) plainly(in Input, line func(view) string) Message {
	if in.Payload == nil || len(in.Payload.Alerts) == 0 {
		nothing := t.words.pick("一条没有内容的告警", "An alert without content")
		return Message{Title: nothing, Text: nothing}
	}
	in.Actions = nil
	d := t.data(in)
	m := Message{Title: d.Headline(), At: in.Mention.at(d.all)}
	// An alert that is cut has at least its name in front.
	room := newRoom(m, 200)
	text := strings.Builder{}
	head := "### " + d.icon() + " " + d.counts()
	room.take(head)
	text.WriteString(head)
	shown := 0
	for _, v := range d.all {
		paragraph := "\n\n" + tidy(line(v))
		if !room.take(paragraph) {
			break
		}
		text.WriteString(paragraph)
		shown++
	}
	m.Truncated = len(d.all) - shown
	if left := m.Truncated + in.Payload.TruncatedAlerts; left > 0 {
		fmt.Fprintf(&text, "\n\n%s", t.words.more(left))
	}
	m.Text = m.At.call(text.String())
	return m
}

// room is how many bytes of text still fit into a message.
type room struct{ left int }

// newRoom is the room in a message that has its title and its call, with so many bytes
// kept for later.
func newRoom(m Message, kept int) *room {
	m.Text = m.At.call("")
	return &room{MaxBody - len(m.Encode()) - kept}
}

// take takes the room for a text, if there is enough of it.
func (r *room) take(text string) bool {
	need := len(Message{Text: text}.Encode()) - len(Message{}.Encode())
	if need > r.left {
		return false
	}
	r.left -= need
	return true
}
