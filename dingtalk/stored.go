package dingtalk

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// stored is a message as the spool keeps it.
type stored struct {
	Title     string     `json:"title"`
	Text      string     `json:"text"`
	At        message.At `json:"at"`
	Truncated int        `json:"truncated,omitempty"`
	// Groups are those of the notifications it is made of; what they say next comes after it.
	Groups []uint64 `json:"groups,omitempty"`
}

func storedOf(m message.Message) stored {
	return stored{Title: m.Title, Text: m.Text, At: m.At, Truncated: m.Truncated}
}

func storedAll(ms []message.Message) []stored {
	all := make([]stored, len(ms))
	for i, m := range ms {
		all[i] = storedOf(m)
	}
	return all
}

func (s stored) encode() []byte {
	return message.Message{Title: s.Title, Text: s.Text, At: s.At}.Encode()
}

func (s stored) json() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return nil // texts and booleans: it cannot fail
	}
	return b
}

// halves cuts a message in two, between lines if it has any. Nothing is left out.
func (s stored) halves() []stored {
	middle := len(s.Text) / 2
	at := strings.LastIndexByte(s.Text[:middle], '\n')
	if at <= 0 {
		at = middle
		for at > 0 && s.Text[at]&0xC0 == 0x80 { // not within a character
			at--
		}
	}
	first, second := s, s
	first.Text, second.Text = strings.TrimRight(s.Text[:at], "\n"), strings.TrimLeft(s.Text[at:], "\n")
	first.Truncated = 0
	if first.Text == "" || second.Text == "" {
		return []stored{s}
	}
	return []stored{first, second}
}

var (
	link    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	address = regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://\S+`)
)

// stripped is a message without links and addresses.
func (s stored) stripped() stored {
	strip := func(text string) string { return address.ReplaceAllString(link.ReplaceAllString(text, "$1"), "…") }
	s.Title, s.Text = strip(s.Title), strip(s.Text)
	return s
}

// plain is what is sent instead of a message that the content filter refused.
func (l *lane) plain(s *setup, d *draft) stored {
	if len(d.payloads) == 0 {
		return d.message.stripped()
	}
	all := *d.payloads[0]
	all.Alerts = nil
	for _, p := range d.payloads {
		all.Alerts = append(all.Alerts, p.Alerts...)
	}
	in := message.Input{Target: l.name, Payload: &all}
	if t := s.targets[l.name]; t != nil {
		in.Mention = t.Mention
	}
	return storedOf(s.templates.Bare(in))
}
