package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// AppendJSONPacket appends the payload of one WebSocket text frame with exactly
// MPush's members in MPush's order. m may be nil for a packet without a body; a
// body without members is left out too. [FlagJSONBody] is added to flags.
func AppendJSONPacket(dst []byte, cmd Command, flags Flags, sessionID int32, m Message) []byte {
	dst = append(dst, '{')
	members := 0
	if m != nil {
		start := len(dst)
		dst = append(dst, `"body":`...)
		object := len(dst)
		dst = m.AppendJSON(dst)
		if members = countMembers(dst[object:]); members > 0 {
			dst = append(dst, ',')
		} else {
			dst = dst[:start]
		}
	}
	dst = append(dst, `"bodyLength":`...)
	dst = strconv.AppendInt(dst, int64(members), 10)
	dst = append(dst, `,"cmd":`...)
	dst = strconv.AppendInt(dst, int64(cmd), 10)
	dst = append(dst, `,"flags":`...)
	dst = strconv.AppendInt(dst, int64(flags|FlagJSONBody), 10)
	dst = append(dst, `,"sessionId":`...)
	dst = strconv.AppendInt(dst, int64(sessionID), 10)
	return append(dst, '}')
}

// countMembers counts the members of a compact JSON object.
func countMembers(object []byte) int {
	if len(object) <= len("{}") {
		return 0
	}
	members, depth, quoted := 1, 0, false
	for i := 0; i < len(object); i++ {
		switch b := object[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			depth++
		case b == '}' || b == ']':
			depth--
		case b == ',' && depth == 1:
			members++
		}
	}
	return members
}

// jsonPacket is the payload of a text frame.
type jsonPacket struct {
	Cmd       json.RawMessage `json:"cmd"`
	Flags     json.RawMessage `json:"flags"`
	SessionID json.RawMessage `json:"sessionId"`
	Body      json.RawMessage `json:"body"`
}

// ParseJSONPacket reads the payload of one WebSocket text frame. Body is a copy of
// the raw JSON object; it is nil if absent or null. Missing
// flags are [FlagJSONBody], a missing command is [CmdUnknown]; numbers may be
// strings and are cut to the width of their field, as in Java.
//
// Text that is not such an object is [ErrNotJSON]. An object whose flags lack
// [FlagJSONBody] is [ErrNotJSONBody], and the packet is filled in so that the
// error can be answered. Unlike fastjson, JSON is taken strictly: no comments, no
// single quotes, no names without quotes.
func ParseJSONPacket(text []byte) (Packet, error) {
	trimmed := bytes.TrimSpace(text)
	if len(trimmed) == 0 || trimmed[0] != '{' || !utf8.Valid(text) {
		return Packet{}, fmt.Errorf("text frame of %d bytes: %w", len(text), ErrNotJSON)
	}
	var raw jsonPacket
	if err := json.Unmarshal(trimmed, &raw); err != nil {
		return Packet{}, fmt.Errorf("text frame: %w: %w", ErrNotJSON, err)
	}
	p, err := raw.packet()
	if err != nil {
		return Packet{}, fmt.Errorf("text frame: %w: %w", ErrNotJSON, err)
	}
	if p.Flags&FlagJSONBody == 0 {
		return p, fmt.Errorf("text frame: %v: %w", p.Command, ErrNotJSONBody)
	}
	return p, nil
}

// packet converts the members.
func (raw *jsonPacket) packet() (p Packet, err error) {
	cmd, err := headerInt("cmd", raw.Cmd, int64(CmdUnknown))
	if err != nil {
		return p, err
	}
	flags, err := headerInt("flags", raw.Flags, int64(FlagJSONBody))
	if err != nil {
		return p, err
	}
	id, err := headerInt("sessionId", raw.SessionID, 0)
	if err != nil {
		return p, err
	}
	p = Packet{Command: Command(cmd), Flags: Flags(flags), SessionID: int32(id)}
	if len(raw.Body) > 0 && string(raw.Body) != "null" {
		if raw.Body[0] != '{' {
			return Packet{}, errors.New("body is no object")
		}
		p.Body = raw.Body
	}
	return p, nil
}

// headerInt reads a number of the header, or takes its default.
func headerInt(name string, raw json.RawMessage, absent int64) (int64, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return absent, nil
	}
	n, err := parseInt(raw)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}
