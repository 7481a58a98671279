package client

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// A Session is what a device needs to resume its encrypted session on a new
// connection, to any node of the cluster, without the RSA handshake.
type Session struct {
	ID      string    // the server's name for it
	Expires time.Time // when the server forgets it; resuming does not prolong it
	Key     protocol.SessionKey
}

// AppendText appends the session in the form of MPush's Java client:
// "id,expireMs,key,iv", the key and the iv as signed decimal bytes separated by
// bars. An ID that would break the form is [ErrBadSession].
func (s Session) AppendText(dst []byte) ([]byte, error) {
	if s.ID == "" || bytes.ContainsAny([]byte(s.ID), ",\r\n") {
		return dst, fmt.Errorf("writing a session: id: %w", ErrBadSession)
	}
	dst = append(dst, s.ID...)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, s.Expires.UnixMilli(), 10)
	for _, field := range [][protocol.KeySize]byte{s.Key.Key, s.Key.IV} {
		separator := byte(',')
		for _, b := range field {
			dst = append(dst, separator)
			dst = strconv.AppendInt(dst, int64(int8(b)), 10)
			separator = '|'
		}
	}
	return dst, nil
}

// ParseSession reads the form written by [Session.AppendText], or by MPush's Java
// client. Anything else is [ErrBadSession]; the error does not quote the text.
func ParseSession(text []byte) (Session, error) {
	fields := bytes.Split(bytes.TrimSpace(text), []byte(","))
	if len(fields) != 4 || len(fields[0]) == 0 {
		return Session{}, fmt.Errorf("%w: want 4 fields, have %d", ErrBadSession, len(fields))
	}
	ms, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return Session{}, fmt.Errorf("%w: the time of expiry is no number", ErrBadSession)
	}
	s := Session{ID: string(fields[0]), Expires: time.UnixMilli(ms)}
	if s.Key.Key, err = parseSignedBytes(fields[2]); err != nil {
		return Session{}, fmt.Errorf("%w: key: %w", ErrBadSession, err)
	}
	if s.Key.IV, err = parseSignedBytes(fields[3]); err != nil {
		return Session{}, fmt.Errorf("%w: iv: %w", ErrBadSession, err)
	}
	return s, nil
}

// parseSignedBytes reads "-3|0|127|…", as many bytes as a key has.
func parseSignedBytes(text []byte) (key [protocol.KeySize]byte, err error) {
	parts := bytes.Split(text, []byte("|"))
	if len(parts) != len(key) {
		return key, fmt.Errorf("want %d bytes, have %d", len(key), len(parts))
	}
	for i, part := range parts {
		n, err := strconv.ParseInt(string(part), 10, 8)
		if err != nil {
			return key, fmt.Errorf("byte %d is not within -128 and 127", i)
		}
		key[i] = byte(n)
	}
	return key, nil
}
