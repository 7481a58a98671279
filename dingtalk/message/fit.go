package message

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostCalls is how many bytes the numbers, and the user ids, that a message calls may
// have: some hundred people.
const mostCalls = 1500

// cutBytes cuts a text to so many bytes, between two runes.
func cutBytes(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// at is whom a message about these alerts calls.
func (m Mention) at(alerts views) At {
	wanted := func(v view) bool {
		return !v.Resolved() && slices.ContainsFunc(m.Severities, func(s string) bool { return strings.EqualFold(s, v.Alert.Severity()) })
	}
	if len(m.Severities) > 0 && !slices.ContainsFunc(alerts, wanted) {
		return At{}
	}
	return m.everybody()
}

// everybody is the call whatever the message is about.
func (m Mention) everybody() At {
	keep := func(list []string) []string {
		left := mostCalls
		return slices.DeleteFunc(slices.Clone(list), func(who string) bool {
			bad := who == "" || strings.ContainsFunc(who, func(c rune) bool { return !unicode.IsGraphic(c) || c == ' ' || strings.ContainsRune("\\\"<>[]()", c) })
			if bad || len(who) > left {
				return true
			}
			left -= len(who)
			return false
		})
	}
	return At{Mobiles: keep(m.Mobiles), UserIDs: keep(m.UserIDs), All: m.All}
}

// call adds to a text whom it calls: a phone rings only for a number that is in the text.
func (at At) call(text string) string {
	var missing []string
	for _, who := range append(slices.Clone(at.Mobiles), at.UserIDs...) {
		if !calls(text, who) {
			missing = append(missing, "@"+who)
		}
	}
	if len(missing) == 0 {
		return text
	}
	return text + "\n\n" + strings.Join(missing, " ")
}

// calls reports whether a text calls somebody, and not somebody whose number is longer.
func calls(text, who string) bool {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "@"+who)
		if !found {
			return false
		}
		next, _ := utf8.DecodeRuneInString(after)
		if after == "" || !(next >= '0' && next <= '9' || next < utf8.RuneSelf && letter(byte(next))) {
			return true
		}
		rest = after
	}
}

// tidy makes a text fit for sending: valid UTF-8, no control characters, never more than
// one empty line.
func tidy(text string) string {
	text = strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, "�"))
	var out strings.Builder
	empty := 0
	for line := range strings.Lines(text) {
		// Two blanks at the end of a line are a line break; more blanks mean nothing.
		stripped := strings.TrimRight(line, " \t\n")
		if stripped == "" {
			empty++
			continue
		}
		if out.Len() > 0 {
			out.WriteString("\n\n"[:1+min(empty, 1)])
		}
		empty = 0
		out.WriteString(stripped)
		if strings.HasSuffix(strings.TrimRight(line, "\n"), "  ") {
			out.WriteString("  ")
		}
	}
	return out.String()
}

// fits reports whether a message may be sent.
func (m Message) fits() bool { return len(m.Encode()) <= MaxBody }

// cut shortens the text of a message until it fits; tail is kept at its end.
func (m Message) cut(text, tail string) Message {
	low, high := 0, len(text) // what fits, what may not
	for low < high {
		middle := (low + high + 1) / 2
		if m.Text = shorten(text, middle) + tail; m.fits() {
			low = middle
		} else {
			high = middle - 1
		}
	}
	m.Text = shorten(text, low) + tail
	return m
}

// shorten cuts a text to so many bytes, at the end of a line if there is one near.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	text = cutBytes(text, most)
	if i := strings.LastIndexByte(text, '\n'); i > len(text)-len(text)/8 {
		text = strings.TrimRight(text[:i], "\n")
	}
	return text + "…"
}
