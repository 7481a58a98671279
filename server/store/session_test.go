package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"pgregory.net/rapid"
)

// testKey is the key and IV of MPush's recorded sessions.
func testKey() (k protocol.SessionKey) {
	for i := range k.Key {
		k.Key[i], k.IV[i] = byte(i-3), byte(i+16)
	}
	return k
}

const testKeyText = "-3|-2|-1|0|1|2|3|4|5|6|7|8|9|10|11|12,16|17|18|19|20|21|22|23|24|25|26|27|28|29|30|31"

func sessionText(t testing.TB, s Session) string {
	t.Helper()
	text, err := s.AppendText([]byte("before"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(text), "before")
}

// The texts were recorded from MPush.
func TestSessionTextIsMPushs(t *testing.T) {
	for _, test := range []struct {
		session Session
		text    string
	}{
		{Session{OSName: "android", OSVersion: "6.0", ClientVersion: "2.0", DeviceID: "device-0001"}, "android,6.0,2.0,device-0001,"},
		{Session{DeviceID: "d"}, "null,null,null,d,"},
		{Session{OSName: "ios", OSVersion: "17", ClientVersion: "1", DeviceID: "设备"}, "ios,17,1,设备,"},
	} {
		test.session.Key = testKey()
		if got := sessionText(t, test.session); got != test.text+testKeyText {
			t.Errorf("wrote %q, want %q", got, test.text+testKeyText)
		}
		got, err := ParseSession([]byte(test.text + testKeyText))
		if err != nil || got != test.session {
			t.Errorf("read %q as %+v, %v", test.text, got, err)
		}
	}
}

func TestSessionTextWithEmptyNames(t *testing.T) {
	got, err := ParseSession([]byte(",,,d," + testKeyText))
	if want := (Session{DeviceID: "d", Key: testKey()}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

// Java splits at every comma and wants six parts.
func TestSessionTextKeepsSixFields(t *testing.T) {
	s := Session{OSName: "a,b", OSVersion: ",", ClientVersion: "\x1b,c", DeviceID: "x,,y", Key: testKey()}
	text := sessionText(t, s)
	if n := strings.Count(text, ","); n != 5 {
		t.Errorf("%d commas in %q", n, text)
	}
	if got, err := ParseSession([]byte(text)); err != nil || got != s {
		t.Errorf("read back %+v, %v", got, err)
	}
}

func TestSessionTextRoundTrip(t *testing.T) {
	name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a,\x1bce]{0,6}`)).
		Filter(func(s string) bool { return s != absent })
	rapid.Check(t, func(t *rapid.T) {
		s := Session{
			OSName: name.Draw(t, "os"), OSVersion: name.Draw(t, "version"),
			ClientVersion: name.Draw(t, "client"), DeviceID: name.Draw(t, "device"),
		}
		copy(s.Key.Key[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))
		copy(s.Key.IV[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "iv"))
		text, err := s.AppendText(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseSession(text)
		if err != nil || got != s {
			t.Fatalf("%+v became %q and %+v, %v", s, text, got, err)
		}
		plain := strings.Join([]string{s.OSName, s.OSVersion, s.ClientVersion, s.DeviceID}, "")
		if !strings.ContainsAny(plain, ",\x1b") && !strings.HasPrefix(strings.ReplaceAll(string(text), absent, ""),
			s.OSName+","+s.OSVersion+","+s.ClientVersion+","+s.DeviceID+",") && !strings.Contains(plain, absent) {
			t.Fatalf("ordinary names were changed: %q", text)
		}
	})
}

func TestParseSessionRefuses(t *testing.T) {
	good := "android,6.0,2.0,dev," + testKeyText
	for _, text := range []string{
		"", "garbage", "a,b,6,2,d," + testKeyText, "android,6.0,2.0,dev",
		good + "|1", good + ",", strings.Replace(good, "-3", "128", 1), strings.Replace(good, "-3", "x", 1),
		strings.Replace(good, "-3|", "", 1), strings.Replace(good, "16|", "|", 1),
	} {
		if s, err := ParseSession([]byte(text)); err == nil {
			t.Errorf("%q was read as %+v", text, s)
		} else if strings.Contains(err.Error(), "12") {
			t.Errorf("the error shows key bytes: %v", err)
		}
	}
}

func TestSessionHidesItsKey(t *testing.T) {
	for _, shown := range []string{fmt.Sprint(Session{Key: testKey()}), fmt.Sprintf("%+v %#v", Session{Key: testKey()}, Session{Key: testKey()})} {
		if strings.Contains(shown, "17 18") || strings.Contains(shown, "0x11, 0x12") {
			t.Error(shown)
		}
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add("android,6.0,2.0,device-0001," + testKeyText)
	f.Add("a\x1bcb,null,,d," + testKeyText)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSession([]byte(text))
		if err != nil {
			return
		}
		again, err := ParseSession([]byte(sessionText(t, s)))
		names := []string{s.OSName, s.OSVersion, s.ClientVersion}
		if !slices.Contains(names, absent) && (err != nil || again != s) {
			t.Fatalf("%q: %+v, then %+v, %v", text, s, again, err)
		}
	})
}
