package protocol

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// bodies has one message of each type with all fields set, and what a JSON
// object cannot carry.
func bodies() map[string]Message {
	return map[string]Message{
		"Handshake": &Handshake{
			DeviceID: "dev", OSName: "android", OSVersion: "6", ClientVersion: "1",
			IV: []byte("0123456789abcdef"), ClientKey: []byte("fedcba9876543210"),
			MinHeartbeat: -1, MaxHeartbeat: math.MaxInt32, Timestamp: math.MinInt64,
		},
		"HandshakeOK":   &HandshakeOK{ServerKey: []byte("0123456789abcdef"), Heartbeat: 1, SessionID: "s", ExpireTime: -1},
		"FastConnect":   &FastConnect{SessionID: "s", DeviceID: "d", MinHeartbeat: math.MinInt32, MaxHeartbeat: 2},
		"FastConnectOK": &FastConnectOK{Heartbeat: -7},
		"Bind":          &Bind{UserID: "u", Data: "d", Tags: "t"},
		"OK":            &OK{Command: CmdBind, Code: 1, Data: "d"},
		"Error":         &Error{Command: CmdBind, Code: CodeOffline, Reason: "r", Data: "d"},
		"Kick":          &Kick{DeviceID: "d", UserID: "u"},
		"Push":          &Push{Content: []byte("content")},
		"Ack":           &Ack{},
		"HTTPRequest":   &HTTPRequest{Method: 255, URI: "/", Headers: "A:1\n", Body: []byte{0, 255}},
		"HTTPResponse":  &HTTPResponse{Status: -200, Reason: "OK", Headers: "A:1\n", Body: []byte{255, 0}},
		"GatewayPush": &GatewayPush{
			UserID: "u", ClientType: ClientUnknown, Timeout: -3, Content: []byte{200}, TaskID: "t", Tags: "[]", Condition: "c",
		},
		"GatewayKick": &GatewayKick{
			UserID: "u", DeviceID: "d", ConnID: "c", ClientType: ClientWeb, TargetServer: "s", TargetPort: math.MaxInt32,
		},
	}
}

// fresh is a new message of the type of m.
func fresh(m Message) Message { return reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message) }

func TestBodiesRoundTrip(t *testing.T) {
	for name, m := range bodies() {
		binary, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := fresh(m)
		if err := got.UnmarshalBinary(append(binary, "trailing"...)[:len(binary)]); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: %+v, err %v", name, got, err)
		}
		got = fresh(m)
		text := m.AppendJSON(nil)
		if err := got.UnmarshalJSON(text); err != nil {
			t.Errorf("%s: %s: %v", name, text, err)
		}
		if again := got.AppendJSON(nil); string(again) != string(text) {
			t.Errorf("%s: %s became %s", name, text, again)
		}
	}
}

// TestBodiesTruncated: every proper prefix fails, but for bodies that are their
// content; bytes after the last field are ignored.
func TestBodiesTruncated(t *testing.T) {
	for name, m := range bodies() {
		if name == "Push" || name == "Ack" {
			continue
		}
		binary, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		for cut := range binary {
			if err := fresh(m).UnmarshalBinary(binary[:cut]); !errors.Is(err, ErrTruncated) {
				t.Errorf("%s cut at %d: %v", name, cut, err)
			}
		}
		got := fresh(m)
		if err := got.UnmarshalBinary(append(binary, "trailing"...)); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s with trailing bytes: %+v, err %v", name, got, err)
		}
	}
}

// TestBodiesAreCopies: decoded messages survive the read buffer.
func TestBodiesAreCopies(t *testing.T) {
	for name, m := range bodies() {
		binary, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := fresh(m)
		if err := got.UnmarshalBinary(binary); err != nil {
			t.Fatal(err)
		}
		clear(binary)
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%s changed with its buffer: %+v", name, got)
		}
	}
}

// TestFieldLengths: the short and the long form of a length (section 1.8).
func TestFieldLengths(t *testing.T) {
	for n, want := range map[int]string{
		0: "\x00\x00", 1: "\x00\x01", 32766: "\x7f\xfe", 32767: "\x7f\xff\x00\x00\x00\x00",
		32768: "\x7f\xff\x00\x00\x00\x01", 40000: "\x7f\xff\x00\x00\x1c\x41",
		math.MaxInt32 + 32767: "\x7f\xff\x7f\xff\xff\xff",
	} {
		if got, err := appendLength(nil, n); err != nil || string(got) != want {
			t.Errorf("length %d: %x, err %v", n, got, err)
		}
		if n > 40000 {
			continue
		}
		kick := &Kick{UserID: strings.Repeat("u", n)}
		binary, err := kick.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := new(Kick); got.UnmarshalBinary(binary) != nil || *got != *kick {
			t.Errorf("field of %d bytes came back with %d", n, len(got.UserID))
		}
	}
	if got, err := appendLength([]byte("x"), math.MaxInt32+32768); !errors.Is(err, ErrFieldTooLong) || string(got) != "x" {
		t.Errorf("too long: %v", err)
	}
}

// TestNegativeLengths: Java throws on those, and so the node answers ERROR 100.
func TestNegativeLengths(t *testing.T) {
	for name, body := range map[string]string{
		"-1": "\xff\xff", "-32768": "\x80\x00abc", "long form": "\x7f\xff\xff\xff\xff\xff", "long form least": "\x7f\xff\x80\x00\x00\x00",
	} {
		if err := new(Bind).UnmarshalBinary([]byte(body)); !errors.Is(err, ErrNegativeLength) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := new(Bind).UnmarshalBinary([]byte("\x7f\xff\x7f\xff\xff\xffabc")); !errors.Is(err, ErrTruncated) {
		t.Errorf("2 GiB announced: %v", err)
	}
}

// TestClientTypeOutOfRange: 257 is not the mobile class.
func TestClientTypeOutOfRange(t *testing.T) {
	body := []byte("\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	m := new(GatewayPush)
	if err := m.UnmarshalBinary(body); err != nil || m.ClientType != ClientUnknown {
		t.Errorf("client type %d, err %v", m.ClientType, err)
	}
	if err := m.UnmarshalJSON([]byte(`{"clientType":257}`)); err != nil || m.ClientType != ClientUnknown {
		t.Errorf("client type %d, err %v", m.ClientType, err)
	}
}

// TestUnmarshalChoosesByFlag: the flag decides between the two forms.
func TestUnmarshalChoosesByFlag(t *testing.T) {
	p := Packet{Flags: FlagJSONBody, Body: []byte(`{"userId":"u"}`)}
	m := new(Bind)
	if err := p.Unmarshal(m); err != nil || m.UserID != "u" {
		t.Errorf("%+v, err %v", m, err)
	}
	p.Flags = 0
	if err := p.Unmarshal(m); err == nil {
		t.Errorf("JSON read as binary: %+v", m)
	}
}
