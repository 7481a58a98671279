package protocol

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// objectWriter appends a JSON object member by member.
type objectWriter struct {
	dst     []byte
	members int
}

func openObject(dst []byte) objectWriter { return objectWriter{dst: append(dst, '{')} }

func (w *objectWriter) close() []byte { return append(w.dst, '}') }

// name begins a member. Names are ours and need no escapes.
func (w *objectWriter) name(name string) {
	if w.members > 0 {
		w.dst = append(w.dst, ',')
	}
	w.members++
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, '"', ':')
}

// string writes a member unless it is empty, MPush's null.
func (w *objectWriter) string(name, value string) {
	if value != "" {
		w.name(name)
		w.dst = appendQuoted(w.dst, value)
	}
}

// bytes writes text in bytes as a string.
func (w *objectWriter) bytes(name string, value []byte) {
	if len(value) > 0 {
		w.name(name)
		w.dst = appendQuoted(w.dst, value)
	}
}

// base64 writes arbitrary bytes.
func (w *objectWriter) base64(name string, value []byte) {
	if len(value) > 0 {
		w.name(name)
		w.dst = append(w.dst, '"')
		w.dst = base64.StdEncoding.AppendEncode(w.dst, value)
		w.dst = append(w.dst, '"')
	}
}

func (w *objectWriter) int(name string, value int64) {
	w.name(name)
	w.dst = strconv.AppendInt(w.dst, value, 10)
}

// positive writes a number as MPush does in OK and ERROR: not at all if it is 0
// or less.
func (w *objectWriter) positive(name string, value int64) {
	if value > 0 {
		w.int(name, value)
	}
}

const upperHex = "0123456789ABCDEF"

// appendQuoted appends s as a JSON string with fastjson's escapes: the short ones
// where JSON has them, \u for the other control characters and for the two line
// separators that end a JavaScript string, everything else as it is. Bytes that
// are no UTF-8 become U+FFFD.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if b := s[i]; b >= ' ' && b < 0x7f && b != '"' && b != '\\' {
			i++
			continue
		}
		r, size := decodeRune(s[i:])
		if r > 0x9f && r != '\u2028' && r != '\u2029' && !(r == utf8.RuneError && size == 1) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, r)
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// decodeRune is utf8.DecodeRune for either type.
func decodeRune[T string | []byte](s T) (rune, int) {
	var head [utf8.UTFMax]byte
	return utf8.DecodeRune(head[:copy(head[:], s)])
}

// appendEscape appends one character that cannot stand for itself.
func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case utf8.RuneError:
		return utf8.AppendRune(dst, r)
	default:
		return append(dst, '\\', 'u', upperHex[r>>12&15], upperHex[r>>8&15], upperHex[r>>4&15], upperHex[r&15])
	}
}
