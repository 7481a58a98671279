package message

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// oneLine makes a text safe to stand in a line: no line breaks, no control characters,
// nothing that turns the direction of writing, at most so many runes.
func oneLine(text string, most int) string {
	var line strings.Builder
	n, blank := 0, true
	for _, c := range text {
		if unicode.IsSpace(c) {
			if !blank {
				line.WriteByte(' ')
				n++
			}
			blank = true
			continue
		}
		if unicode.IsControl(c) || turns(c) || c == utf8.RuneError {
			continue
		}
		if n >= most {
			return strings.TrimRight(line.String(), " ") + "…"
		}
		line.WriteRune(c)
		n, blank = n+1, false
	}
	return strings.TrimRight(line.String(), " ")
}

// turns reports whether a rune changes the direction of writing.
func turns(c rune) bool {
	return c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 || c == 0x200e || c == 0x200f || c == 0x061c
}

// markdown puts a backslash before what markdown would take for a mark.
func markdown(text string) string {
	const marks = "\\`*_[]~"
	if !strings.ContainsAny(text, marks) {
		return text
	}
	var out strings.Builder
	for i := range len(text) {
		if strings.IndexByte(marks, text[i]) >= 0 {
			out.WriteByte('\\')
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

// escape makes a text stand in a line of markdown as it is: no marks, no tags, no lists.
// It writes entities only where a tag or an entity would begin, since not every client
// shows them well.
func escape(text string) string {
	text = markdown(text)
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		next := byte(' ')
		if i+1 < len(text) {
			next = text[i+1]
		}
		switch c := text[i]; {
		case c == '<' && (letter(next) || strings.IndexByte("/!?", next) >= 0):
			out.WriteString("&lt;")
		case c == '&' && (letter(next) || next == '#'):
			out.WriteString("&amp;")
		case i == 0 && strings.IndexByte("#>-+=", c) >= 0:
			out.WriteByte('\\')
			out.WriteByte(c)
		default:
			out.WriteByte(c)
		}
	}
	return escapeNumber(out.String())
}

// escapeNumber keeps "1. x" and "1) x" from becoming a list.
func escapeNumber(text string) string {
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits > 0 && digits < len(text) && (text[digits] == '.' || text[digits] == ')') && (digits+1 == len(text) || text[digits+1] == ' ') {
		return text[:digits] + `\` + text[digits:]
	}
	return text
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// escapeLines escapes each line of a text of at most so many runes and keeps the breaks.
func escapeLines(text string, most int) string {
	var lines []string
	left := most
	for line := range strings.Lines(text) {
		if line = oneLine(line, left); line == "" {
			continue
		}
		lines = append(lines, escape(line))
		if left -= utf8.RuneCountInString(line); left <= 0 {
			break
		}
	}
	return strings.Join(lines, "\n\n")
}

// safeURL returns an address fit for the parentheses of a link, "" if it is none that a
// message should lead to.
func safeURL(address string) string {
	if address = strings.TrimSpace(address); len(address) > 2048 || strings.ContainsFunc(address, unicode.IsControl) {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return ""
		}
	case "dingtalk":
	default:
		return ""
	}
	var out strings.Builder
	for _, c := range []byte(address) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("()<>[]\"'`\\^{}|*", c) >= 0 {
			const hex = "0123456789ABCDEF"
			out.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		out.WriteByte(c)
	}
	return out.String()
}

// link is a link in markdown, "" if its address is not good.
func link(text, address string) string {
	address = safeURL(address)
	if text = escape(oneLine(text, 60)); text == "" || address == "" {
		return ""
	}
	return "[" + text + "](" + address + ")"
}
