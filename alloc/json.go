package alloc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// value reads the JSON value of the member called name from d. Its errors are
// problems that name the member.
type value func(d *json.Decoder, name string) error

// decodeObject reads body, which must be one JSON object in UTF-8 and nothing
// else, member by member, and returns the names that were there. Unknown and
// repeated members are refused: both are mistakes of the caller that would
// otherwise silently change what is sent.
func decodeObject(body []byte, members map[string]value) (map[string]bool, error) {
	if !utf8.Valid(body) {
		return nil, invalid("", "invalid_utf8", "the body is not valid UTF-8; use content_base64 for binary content")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, invalid("", "invalid_json", "the body must be a JSON object")
	}
	seen := make(map[string]bool, len(members))
	for d.More() {
		if err := decodeMember(d, members, seen); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, syntaxError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("", "invalid_json", "there is more after the JSON object")
	}
	return seen, nil
}

func decodeMember(d *json.Decoder, members map[string]value, seen map[string]bool) error {
	t, err := d.Token()
	if err != nil {
		return syntaxError(err)
	}
	name, _ := t.(string) // the decoder yields nothing else as a key
	read, known := members[name]
	if !known {
		return invalid(clip(name), "unknown_field", "there is no field %q", clip(name))
	}
	if seen[name] {
		return invalid(name, "repeated_field", "the field %q is given twice", name)
	}
	seen[name] = true
	return read(d, name)
}

// clip shortens a name that came from outside before it goes into an answer.
func clip(name string) string {
	const most = 64
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

func syntaxError(err error) error {
	return invalid("", "invalid_json", "the body is not valid JSON: %v", err)
}

func wrongType(name, want string) error {
	return invalid(name, "invalid_type", "%q must be %s", name, want)
}

// scalar reads one token; a nested value is left to the caller's type check,
// which ends the decoding.
func scalar(d *json.Decoder) (json.Token, error) {
	t, err := d.Token()
	if err != nil {
		return nil, syntaxError(err)
	}
	return t, nil
}

func text(dst *string) value {
	return func(d *json.Decoder, name string) error {
		t, err := scalar(d)
		if err != nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return wrongType(name, "a string")
		}
		*dst = s
		return nil
	}
}

func boolean(dst *bool) value {
	return func(d *json.Decoder, name string) error {
		t, err := scalar(d)
		if err != nil {
			return err
		}
		b, ok := t.(bool)
		if !ok {
			return wrongType(name, "true or false")
		}
		*dst = b
		return nil
	}
}

// integer reads a whole number from 0 to most.
func integer(dst *int, most int) value {
	return func(d *json.Decoder, name string) error {
		t, err := scalar(d)
		if err != nil {
			return err
		}
		number, ok := t.(json.Number)
		if !ok {
			return wrongType(name, "a whole number")
		}
		n, err := strconv.Atoi(number.String())
		if err != nil || n < 0 || n > most {
			return invalid(name, "out_of_range", "%q must be a whole number from 0 to %d", name, most)
		}
		*dst = n
		return nil
	}
}

// duration reads a Go duration such as "3s", or the number 0.
func duration(dst *time.Duration) value {
	return func(d *json.Decoder, name string) error {
		t, err := scalar(d)
		if err != nil {
			return err
		}
		if n, ok := t.(json.Number); ok && n.String() == "0" {
			*dst = 0
			return nil
		}
		s, ok := t.(string)
		if !ok {
			return wrongType(name, `a duration such as "3s"`)
		}
		parsed, err := time.ParseDuration(s)
		if err != nil || parsed < 0 {
			return invalid(name, "invalid_duration", `%q must be a duration such as "3s" or "1h30m"`, name)
		}
		*dst = parsed
		return nil
	}
}

// texts reads a list of at most most strings, each of which check accepts. It
// stops at the first string that is one too many, before the rest takes memory.
func texts(dst *[]string, most int, check func(field, s string) error) value {
	return func(d *json.Decoder, name string) error {
		if t, err := scalar(d); err != nil {
			return err
		} else if t != json.Delim('[') {
			return wrongType(name, "a list of strings")
		}
		list := []string{}
		for d.More() {
			if len(list) == most {
				return invalid(name, "too_many", "%q may have at most %d entries", name, most)
			}
			var s string
			if err := text(&s)(d, name); err != nil {
				return err
			}
			if err := check(name, s); err != nil {
				return err
			}
			list = append(list, s)
		}
		*dst = list
		_, err := scalar(d)
		return err
	}
}
