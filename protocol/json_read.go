package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// objectReader reads the members of a JSON object by name. After the first error
// every further member is zero and err stays.
type objectReader struct {
	members map[string]json.RawMessage
	err     error
}

// parseObject reads data; nothing and null are an object without members.
func parseObject(data []byte) objectReader {
	var o objectReader
	if len(bytes.TrimSpace(data)) == 0 {
		return o
	}
	if err := json.Unmarshal(data, &o.members); err != nil {
		o.err = fmt.Errorf("%w: %w", ErrBadJSON, err)
	}
	return o
}

// member finds a member; one that is null is absent.
func (o *objectReader) member(name string) (json.RawMessage, bool) {
	raw, ok := o.members[name]
	if o.err != nil || !ok || string(raw) == "null" {
		return nil, false
	}
	return raw, true
}

// string reads a member that must be a string.
func (o *objectReader) string(name string) (s string) {
	raw, ok := o.member(name)
	if !ok {
		return ""
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		o.err = fmt.Errorf("%s: %w: want a string", name, ErrBadJSON)
		return ""
	}
	return s
}

// int reads a member that is a whole number, or a string that holds one.
func (o *objectReader) int(name string) int64 {
	raw, ok := o.member(name)
	if !ok {
		return 0
	}
	n, err := parseInt(raw)
	if err != nil {
		o.err = fmt.Errorf("%s: %w: %w", name, ErrBadJSON, err)
		return 0
	}
	return n
}

// readInt is int for the type of the field, which the number must fit.
func readInt[T ~int8 | ~uint8 | ~int32](o *objectReader, name string) T {
	wide := o.int(name)
	n := T(wide)
	if int64(n) != wide {
		o.err = fmt.Errorf("%s: %w: %d is out of range", name, ErrBadJSON, wide)
		return 0
	}
	return n
}

// base64 reads a member that holds bytes.
func (o *objectReader) base64(name string) []byte {
	s := o.string(name)
	if s == "" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		o.err = fmt.Errorf("%s: %w: %w", name, ErrBadJSON, err)
		return nil
	}
	return b
}

// done is the error of the whole body, which message names.
func (o *objectReader) done(message string) error {
	if o.err != nil {
		return fmt.Errorf("decoding %s: %w", message, o.err)
	}
	return nil
}

// parseInt reads a whole number or a string that holds one.
func parseInt(raw json.RawMessage) (int64, error) {
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, err
		}
	}
	return strconv.ParseInt(text, 10, 64)
}
