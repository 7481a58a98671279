package store

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/fanfare-push/fanfare/protocol"
)

// recorded are values that MPush wrote.
type recorded struct {
	Routes, Sessions []string
	Kicks            []struct{ Channel, Message string }
}

func mpush(t testing.TB) (v recorded) {
	t.Helper()
	text, err := os.ReadFile("testdata/mpush.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Routes) < 5 || len(v.Sessions) < 5 || len(v.Kicks) < 2 {
		t.Fatalf("%d routes, %d sessions, %d kicks", len(v.Routes), len(v.Sessions), len(v.Kicks))
	}
	return v
}

func TestRouteTextIsMPushs(t *testing.T) {
	for _, text := range mpush(t).Routes {
		r, err := parseRouteJSON([]byte(text))
		if err != nil || r.Online != strings.Contains(text, "connId") {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
		if got := string(appendRouteJSON(nil, r)); got != text {
			t.Errorf("got  %s\nwant %s", got, text)
		}
	}
	text := `{"port":3001,"host":"127.0.0.1","deviceId":"device-0001","osName":"android","clientVersion":"2.0","connId":"1a2b3c4d"}`
	want := Route{
		Address: "127.0.0.1:3001", DeviceID: "device-0001", OSName: "android", ClientVersion: "2.0", Connection: "1a2b3c4d", Online: true,
	}
	if r, err := parseRouteJSON([]byte(text)); err != nil || r != want {
		t.Errorf("%+v, %v; want %+v", r, err, want)
	}
}

func TestRouteTextHasOursBehindMPushs(t *testing.T) {
	r := Route{
		Node: "n1", Address: "10.0.0.1:3001", PublicIP: "203.0.113.1", Connection: "c1", DeviceID: `d"1\`, OSName: "ios", OSVersion: "17",
		ClientVersion: "2.0", Since: time.UnixMilli(1_500_000_000_123), Online: true,
	}
	java := `{"port":3001,"host":"10.0.0.1","deviceId":"d\"1\\","osName":"ios","clientVersion":"2.0"`
	for want, change := range map[string]func(*Route){
		java + `,"connId":"c1","node":"n1","osVersion":"17","since":1500000000123,"list":"203.0.113.1"}`: func(*Route) {},
		java + `,"node":"n1","osVersion":"17","since":1500000000123,"list":"203.0.113.1"}`:               func(r *Route) { r.Online = false },
		java + `,"connId":"c1"}`: func(r *Route) {
			r.Node, r.OSVersion, r.Since, r.PublicIP = "", "", time.Time{}, "10.0.0.1"
		},
	} {
		v := r
		change(&v)
		if got := string(appendRouteJSON(nil, v)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestRouteTextIsReadTolerantly(t *testing.T) {
	for text, want := range map[string]Route{
		`{}`: {},
		" \n{ \"connId\" : \"c\", \"host\":\"h\", \"port\":1 }": {Address: "h:1", Connection: "c", Online: true},
		`{"connId":"","host":null,"port":7,"extra":[{}]}`:       {Address: ":7"},
		`{"port":1,"host":"::1","deviceId":"\u8bbe\/"}`:         {Address: "[::1]:1", DeviceID: "设/"},
	} {
		if got, err := parseRouteJSON([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "null", "[]", `"text"`, "12", "{", `{"deviceId":"a"b"}`, `{"port":"3001"}`, `{"host":{}}`, `{"connId":7}`, "{}x", "\xff",
	} {
		if got, err := parseRouteJSON([]byte(text)); err == nil {
			t.Errorf("%s was read as %+v", text, got)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is no line", err)
		}
	}
}

func TestRouteTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Route{
			Node: rapid.String().Draw(t, "node"), Address: "10.0.0.1:3001", PublicIP: rapid.StringN(0, 9, -1).Draw(t, "list"),
			Connection: rapid.StringN(1, -1, -1).Draw(t, "connection"), DeviceID: rapid.String().Draw(t, "device"),
			OSName: rapid.String().Draw(t, "os"), ClientVersion: rapid.StringMatching(`["\\/\x00-\x1f\x7f,{}]*`).Draw(t, "version"),
			Since: time.UnixMilli(rapid.Int64Range(1, 1<<50).Draw(t, "since")), Online: true,
		}
		text := appendRouteJSON(nil, r)
		if got, err := parseRouteJSON(text); err != nil || got != r {
			t.Fatalf("%+v became %s and %+v, %v", r, text, got, err)
		}
	})
}

func TestTextThatIsNotUTF8IsWrittenAsUTF8(t *testing.T) {
	text := appendRouteJSON(nil, Route{DeviceID: "a\xffb\xc0", Connection: "c", Online: true})
	r, err := parseRouteJSON(text)
	if err != nil || !utf8.Valid(text) || r.DeviceID != "a\ufffdb\ufffd" {
		t.Errorf("%q, %+v, %v", text, r, err)
	}
}

func FuzzParseRouteJSON(f *testing.F) {
	f.Add(`{"port":3001,"host":"h","connId":"c","since":5,"list":"l"}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRouteJSON([]byte(text))
		if err != nil {
			return
		}
		once := appendRouteJSON(nil, r)
		r, err = parseRouteJSON(once)
		if err != nil {
			t.Fatalf("%q: %v", once, err)
		}
		if twice := appendRouteJSON(nil, r); string(twice) != string(once) {
			t.Fatalf("%s, then %s", once, twice)
		}
	})
}

func kickText(t testing.TB, k Kick) string {
	t.Helper()
	text, err := k.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKickTextIsMPushs(t *testing.T) {
	for _, v := range mpush(t).Kicks {
		k, err := ParseKick([]byte(v.Message))
		if err != nil || v.Channel != kickChannel+k.Address {
			t.Errorf("%s on %s: %+v, %v", v.Message, v.Channel, k, err)
		}
		if got := kickText(t, k); got != v.Message {
			t.Errorf("got  %s\nwant %s", got, v.Message)
		}
	}
	want := Kick{User: "u", DeviceID: `"`, ClientType: protocol.ClientUnknown, Address: "h:1"}
	text := `{"clientType":-1,"deviceId":"\"","targetPort":1,"targetServer":"h","userId":"u"}`
	if got := kickText(t, want); got != text {
		t.Errorf("got  %s\nwant %s", got, text)
	}
	if got, err := ParseKick([]byte(text)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "[]", `{"clientType":1000}`, `{"userId":1}`} {
		if k, err := ParseKick([]byte(text)); err == nil {
			t.Errorf("%q was read as %+v", text, k)
		}
	}
}

func TestSessionsOfMPush(t *testing.T) {
	for _, text := range mpush(t).Sessions {
		s, err := ParseSession([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if strings.HasPrefix(text, ",,,") { // we write an absent name as null
			text = "null,null,null" + strings.TrimPrefix(text, ",,")
		}
		if again := strings.TrimPrefix(sessionText(t, s), "before"); again != text {
			t.Errorf("got  %s\nwant %s", again, text)
		}
	}
}
