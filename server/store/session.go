package store

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Session is what a device needs to resume without a key exchange.
type Session struct {
	OSName, OSVersion, ClientVersion, DeviceID string

	// Key is the session key and IV, as mixed at the handshake.
	Key protocol.SessionKey
	// Expires ends the session; resuming does not move it.
	Expires time.Time
}

// MPush's text of a session is six fields joined by commas, without escapes: it
// cannot read a name with a comma. The escape character below keeps such a name
// in one field. Java then resumes the session too and merely shows the escape;
// only a comma in the device id makes it answer "invalid device", after which the
// device does a handshake. Names with neither character are Java's byte for byte.
const (
	escape        = '\x1b'
	escapedComma  = "\x1bc"
	escapedEscape = "\x1be"
	// absent is how Java writes a missing name. A device that really calls its
	// system "null" reads back as one without a name, in Java as here.
	absent = "null"
)

// AppendText appends the text form that MPush keeps in Redis (mp:rs:<id>):
// names, device, then key and IV as signed decimal bytes joined by bars. The
// expiry is not part of it. The error is always nil; it makes Session an
// [encoding.TextAppender].
func (s Session) AppendText(dst []byte) ([]byte, error) {
	for _, name := range [...]string{s.OSName, s.OSVersion, s.ClientVersion} {
		if name == "" {
			name = absent
		}
		dst = append(appendEscaped(dst, name), ',')
	}
	dst = append(appendEscaped(dst, s.DeviceID), ',')
	dst = append(appendSigned(dst, s.Key.Key), ',')
	return appendSigned(dst, s.Key.IV), nil
}

func appendEscaped(dst []byte, name string) []byte {
	for _, b := range []byte(name) {
		switch b {
		case ',':
			dst = append(dst, escapedComma...)
		case escape:
			dst = append(dst, escapedEscape...)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

func appendSigned(dst []byte, key [16]byte) []byte {
	for i, b := range key {
		if i > 0 {
			dst = append(dst, '|')
		}
		dst = strconv.AppendInt(dst, int64(int8(b)), 10)
	}
	return dst
}

// ParseSession reads the text form, written by this package or by MPush. The
// expiry of the result is zero.
func ParseSession(text []byte) (Session, error) {
	fields := bytes.Split(text, []byte(","))
	if len(fields) != 6 {
		return Session{}, fmt.Errorf("session text has %d fields, want 6", len(fields))
	}
	s := Session{DeviceID: unescaped(fields[3])}
	for i, name := range []*string{&s.OSName, &s.OSVersion, &s.ClientVersion} {
		if string(fields[i]) != absent {
			*name = unescaped(fields[i])
		}
	}
	if err := parseSigned(&s.Key.Key, fields[4]); err != nil {
		return Session{}, fmt.Errorf("key of a session: %w", err)
	}
	if err := parseSigned(&s.Key.IV, fields[5]); err != nil {
		return Session{}, fmt.Errorf("iv of a session: %w", err)
	}
	return s, nil
}

func unescaped(field []byte) string {
	if bytes.IndexByte(field, escape) < 0 {
		return string(field)
	}
	return strings.NewReplacer(escapedComma, ",", escapedEscape, string(escape)).Replace(string(field))
}

// parseSigned never puts the text into an error: it is a secret.
func parseSigned(into *[16]byte, text []byte) error {
	parts := strings.Split(string(text), "|")
	if len(parts) != len(into) {
		return fmt.Errorf("%d bytes, want %d", len(parts), len(into))
	}
	for i, part := range parts {
		b, err := strconv.ParseInt(part, 10, 8)
		if err != nil {
			return fmt.Errorf("byte %d is not a signed decimal", i)
		}
		into[i] = byte(b)
	}
	return nil
}
