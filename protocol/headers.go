package protocol

import "strings"

// Header is one line of the headers field of [HTTPRequest] and [HTTPResponse].
type Header struct{ Name, Value string }

// ParseHeaders reads the headers field: a line "name:value" for each, cut at the
// first colon, values untrimmed. Lines without a name are skipped.
//
// It differs from MPush's parser where that one damages data: a header with an
// empty value keeps it (MPush gives it the value of the header before, or null), a
// last line without a newline counts (MPush drops it), a name that comes twice
// stays twice (MPush keeps the last), and a carriage return before the newline is
// no part of the value.
func ParseHeaders(text string) []Header {
	var headers []Header
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if name, value, ok := strings.Cut(line, ":"); ok && name != "" {
			headers = append(headers, Header{name, value})
		}
	}
	return headers
}

// AppendHeaders appends headers in the form that [ParseHeaders] and MPush read.
// Newlines and carriage returns in a name or value, and colons in a name, would
// change the meaning: they become spaces, in names they are left out. A header
// without a name is left out.
func AppendHeaders(dst []byte, headers ...Header) []byte {
	names := strings.NewReplacer("\r", "", "\n", "", ":", "")
	values := strings.NewReplacer("\r", " ", "\n", " ")
	for _, h := range headers {
		name := names.Replace(h.Name)
		if name == "" {
			continue
		}
		dst = append(dst, name...)
		dst = append(dst, ':')
		dst = append(dst, values.Replace(h.Value)...)
		dst = append(dst, '\n')
	}
	return dst
}
