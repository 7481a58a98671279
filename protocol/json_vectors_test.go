package protocol

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestJSONFrames compares text frames with those the Java server wrote, byte for
// byte, and reads them back.
func TestJSONFrames(t *testing.T) {
	for _, v := range loadCodec(t).JSON {
		t.Run(v.Name, func(t *testing.T) {
			m := fields{t: t, f: v.Fields}.message(v.Message)
			got := AppendJSONPacket([]byte("x"), Command(v.Cmd), Flags(v.Flags)&^FlagJSONBody, v.SessionID, m)
			if string(got[1:]) != v.FrameText {
				t.Errorf("frame\n%s, want\n%s", got[1:], v.FrameText)
			}
			p, err := ParseJSONPacket([]byte(v.FrameText))
			if err != nil {
				t.Fatal(err)
			}
			if p.Command != Command(v.Cmd) || p.SessionID != v.SessionID || p.Flags != Flags(v.Flags) {
				t.Errorf("parsed %+v", p)
			}
			read := reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
			if err := p.Unmarshal(read); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(read, m) {
				t.Errorf("read %+v, want %+v", read, m)
			}
		})
	}
}

// TestJSONDecode compares the reading of text frames with Java's. Its recorded
// toString has the header; bodies there are maps in arbitrary order.
func TestJSONDecode(t *testing.T) {
	for _, v := range loadCodec(t).JSONDecode {
		t.Run(v.FrameText, func(t *testing.T) {
			p, err := ParseJSONPacket([]byte(v.FrameText))
			if v.Decoded == "" {
				if !errors.Is(err, ErrNotJSON) {
					t.Errorf("err %v, want ErrNotJSON", err)
				}
				return
			}
			// The Java parser takes flags without bit 16; its dispatcher then fails.
			if wantErr := p.Flags&FlagJSONBody == 0; (err != nil) != wantErr || wantErr && !errors.Is(err, ErrNotJSONBody) {
				t.Errorf("err %v", err)
			}
			head := fmt.Sprintf("JsonPacket{cmd=%d, cc=0, flags=%d, sessionId=%d, lrc=0, body=", p.Command, p.Flags, p.SessionID)
			body, ok := strings.CutPrefix(strings.TrimSuffix(v.Decoded, "}"), head)
			if !ok {
				t.Fatalf("parsed %+v, want %s", p, v.Decoded)
			}
			if body == "null" {
				body = ""
			}
			got, want := parseObject(p.Body), parseObject([]byte(body))
			if !reflect.DeepEqual(got.members, want.members) {
				t.Errorf("body %s, want %s", p.Body, body)
			}
		})
	}
}

// TestKickJSON: the JSON form of GatewayKick is what nodes publish on Redis.
func TestKickJSON(t *testing.T) {
	want := loadCrypto(t).KickJSON
	m := &GatewayKick{
		UserID: "user-0", DeviceID: "device-0001", ConnID: "1a2b3c4d",
		ClientType: ClientMobile, TargetServer: "127.0.0.1", TargetPort: 3001,
	}
	if got := string(m.AppendJSON(nil)); got != want {
		t.Errorf("kick %s, want %s", got, want)
	}
	read := new(GatewayKick)
	if err := read.UnmarshalJSON([]byte(want)); err != nil || *read != *m {
		t.Errorf("read %+v, err %v", read, err)
	}
}
