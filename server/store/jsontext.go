package store

import (
	"strconv"
	"unicode/utf8"
)

// MPush's programs write the members of their JSON in a fixed order and leave out
// those that are null. This file does the same, but escapes what must be escaped.

// appendMember appends ,"name":"value", or nothing if the value is empty.
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return appendQuoted(dst, value)
}

// appendNumber appends ,"name":value.
func appendNumber(dst []byte, name string, value int64) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return strconv.AppendInt(dst, value, 10)
}

// closeObject makes an object of members that each start with a comma.
func closeObject(members []byte) []byte {
	if len(members) == 0 {
		return append(members, "{}"...)
	}
	members[0] = '{'
	return append(members, '}')
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends a JSON string. Bytes that are not UTF-8 become U+FFFD, as
// they do when a Java node reads them.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return append(dst, '"')
}
