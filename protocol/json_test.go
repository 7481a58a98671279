package protocol

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestQuoting: fastjson's escapes for every character that JSON or JavaScript
// does not take as it is.
func TestQuoting(t *testing.T) {
	for in, want := range map[string]string{
		"":                       `""`,
		"plain ~ text":           `"plain ~ text"`,
		"\"\\/":                  `"\"\\/"`,
		"\b\f\n\r\t":             `"\b\f\n\r\t"`,
		"\x00\x01\x0b\x1f":       `"\u0000\u0001\u000B\u001F"`,
		"\x7f\u0080\u009f\u00a0": `"\u007F\u0080\u009F` + "\u00a0\"",
		"\u2028\u2029":           `"\u2028\u2029"`,
		"你好 😀 <&>":               `"你好 😀 <&>"`,
		"bad\xffutf8\xc3":        "\"bad\ufffdutf8\ufffd\"",
		"\ufffd stays":           "\"\ufffd stays\"",
		"\xe4\xbd":               "\"\ufffd\ufffd\"",
	} {
		got := string(appendQuoted(nil, in))
		if got != want || string(appendQuoted(nil, []byte(in))) != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back != replaceInvalid(in) {
			t.Errorf("%q: back as %q, err %v", in, back, err)
		}
	}
}

// replaceInvalid is what a string becomes on its way through JSON: one U+FFFD for
// each byte that is no UTF-8.
func replaceInvalid(s string) string { return string([]rune(s)) }

func TestEmptyMembersAreLeftOut(t *testing.T) {
	for want, m := range map[string]Message{
		`{}`:                      &Bind{},
		`{"userId":"u"}`:          &Bind{UserID: "u"},
		`{"cmd":5}`:               &OK{Command: CmdBind},
		`{"reason":"r"}`:          &Error{Command: CmdUnknown, Code: CodeUnknown, Reason: "r"},
		`{"reason":"r","code":1}`: &Error{Code: 1, Reason: "r"},
	} {
		if got := string(m.AppendJSON(nil)); got != want {
			t.Errorf("%+v: %s, want %s", m, got, want)
		}
	}
}

func TestJSONPacketWithoutBody(t *testing.T) {
	want := `{"bodyLength":0,"cmd":23,"flags":16,"sessionId":-7}`
	for _, m := range []Message{nil, &Ack{}, &Bind{}, &Push{}} {
		if got := string(AppendJSONPacket(nil, CmdAck, 0, -7, m)); got != want {
			t.Errorf("%T: %s, want %s", m, got, want)
		}
	}
}

// rawMessage is a Message of another package: bodyLength is counted, not told.
type rawMessage struct {
	Message
	json string
}

func (m rawMessage) AppendJSON(dst []byte) []byte { return append(dst, m.json...) }

func TestBodyLengthCountsMembers(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1}`:                       `"bodyLength":1,`,
		`{"a":"x,y","b":"\",\\"}`:       `"bodyLength":2,`,
		`{"a":[1,2],"b":{"c":1,"d":2}}`: `"bodyLength":2,`,
	} {
		if got := string(AppendJSONPacket(nil, CmdOK, 0, 1, rawMessage{json: text})); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestParseJSONPacket(t *testing.T) {
	for text, want := range map[string]Packet{
		` {"cmd":5}` + "\n":                       {Command: CmdBind, Flags: 16},
		`{"cmd":null,"flags":null,"body":null}`:   {Command: CmdUnknown, Flags: 16},
		`{"cmd":"15","flags":"24","x":[1]}`:       {Command: CmdPush, Flags: 24},
		`{"sessionId":4294967295}`:                {Command: CmdUnknown, Flags: 16, SessionID: -1},
		`{"flags":272,"body":{"content":"hi"}}`:   {Command: CmdUnknown, Flags: 16, Body: []byte(`{"content":"hi"}`)},
		`{"body":{ "a" : 1 },"bodyLength":"odd"}`: {Command: CmdUnknown, Flags: 16, Body: []byte(`{ "a" : 1 }`)},
	} {
		if got, err := ParseJSONPacket([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, err %v", text, got, err)
		}
	}
}

func TestParseJSONPacketRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "hello", "[]", "null", "1", `"{}"`, "{", "{}{}", "{} x", "{'cmd':5}", "{cmd:5}", "{}//",
		`{"cmd":true}`, `{"cmd":{}}`, `{"cmd":1.5}`, `{"cmd":"five"}`, `{"cmd":99999999999999999999}`,
		`{"flags":[]}`, `{"sessionId":"x"}`, `{"body":1}`, `{"body":"s"}`, `{"body":[]}`, `{"cmd":2,"a":"` + "\xff" + `"}`,
		strings.Repeat(`{"body":`, 20_000), "\xdf",
	} {
		if p, err := ParseJSONPacket([]byte(text)); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%.40q: %+v, err %v", text, p, err)
		}
	}
	p, err := ParseJSONPacket([]byte(`{"cmd":5,"flags":0,"sessionId":2}`))
	if !errors.Is(err, ErrNotJSONBody) || p.Command != CmdBind || p.SessionID != 2 {
		t.Errorf("flags 0: %+v, err %v", p, err)
	}
}

// TestJSONBodiesTolerance: what Java lets pass and what it answers with ERROR 100.
func TestJSONBodiesTolerance(t *testing.T) {
	for _, text := range []string{"", " ", "null", "{}", `{"deviceId":null,"unknown":[{}]}`} {
		for name, m := range bodies() {
			got := fresh(m)
			if err := got.UnmarshalJSON([]byte(text)); err != nil || !reflect.DeepEqual(got, fresh(m)) {
				t.Errorf("%s from %q: %+v, err %v", name, text, got, err)
			}
		}
	}
	for _, c := range []struct {
		m    Message
		text string
	}{
		{&Handshake{}, `{"deviceId":1}`}, {&Bind{}, `{"userId":123}`}, {&Bind{}, `{"userId":{}}`}, {&Bind{}, `[]`}, {&Bind{}, `{`},
		{&OK{}, `{"cmd":"x"}`}, {&OK{}, `{"cmd":200}`}, {&FastConnect{}, `{"minHeartbeat":2147483648}`}, {&Push{}, `{"content":[1]}`},
		{&HTTPRequest{}, `{"body":"not base64!"}`}, {&HTTPRequest{}, `{"method":-1}`}, {&Ack{}, `1`}, {&HandshakeOK{}, `"x"`},
	} {
		if err := c.m.UnmarshalJSON([]byte(c.text)); !errors.Is(err, ErrBadJSON) {
			t.Errorf("%T from %s: %v", c.m, c.text, err)
		}
	}
	ok := new(OK)
	if err := ok.UnmarshalJSON([]byte(`{"cmd":"5","code":"-1","data":"d"}`)); err != nil || *ok != (OK{CmdBind, CodeUnknown, "d"}) {
		t.Errorf("numbers as strings: %+v, err %v", ok, err)
	}
}

// TestJSONPushIsAlwaysText: content that is no UTF-8 still makes a valid frame.
func TestJSONPushIsAlwaysText(t *testing.T) {
	frame := AppendJSONPacket(nil, CmdPush, 0, 1, &Push{Content: []byte("\xff\xfe\x00\x01")})
	if !utf8.Valid(frame) || !json.Valid(frame) {
		t.Errorf("frame %q", frame)
	}
}
