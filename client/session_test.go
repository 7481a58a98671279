package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// javaSession is a file that MPush's Java client wrote.
const javaSession = "0123456789abcdef0123456789abcdef,1700086400000," +
	"-3|-2|-1|0|1|2|3|4|5|6|7|8|9|10|11|12,16|17|18|19|20|21|22|23|24|25|26|27|28|29|30|31"

func javaSessionValue() Session {
	s := Session{ID: "0123456789abcdef0123456789abcdef", Expires: time.UnixMilli(1700086400000)}
	for i := range protocol.KeySize {
		s.Key.Key[i], s.Key.IV[i] = byte(i-3), byte(i+16)
	}
	return s
}

func TestSessionTextIsTheJavaClients(t *testing.T) {
	text, err := javaSessionValue().AppendText([]byte("> "))
	if err != nil || string(text) != "> "+javaSession {
		t.Fatalf("AppendText = %q, %v", text, err)
	}
	for _, stored := range []string{javaSession, javaSession + "\n"} {
		if s, err := ParseSession([]byte(stored)); err != nil || s != javaSessionValue() {
			t.Fatalf("ParseSession(%q) = %+v, %v", stored, s, err)
		}
	}
}

func TestSessionTextThatIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"three fields":  "a,1,1|2",
		"five fields":   javaSession + ",x",
		"no id":         strings.TrimPrefix(javaSession, "0123456789abcdef0123456789abcdef"),
		"bad time":      strings.Replace(javaSession, "1700086400000", "soon", 1),
		"short key":     strings.Replace(javaSession, "|12,", ",", 1),
		"long iv":       javaSession + "|1",
		"byte too big":  strings.Replace(javaSession, "|12,", "|128,", 1),
		"byte no digit": strings.Replace(javaSession, "|31", "|x", 1),
	} {
		_, err := ParseSession([]byte(text))
		if !errors.Is(err, ErrBadSession) {
			t.Errorf("%s: error %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "|") {
			t.Errorf("%s: the error quotes key bytes: %v", name, err)
		}
	}
	for _, id := range []string{"", "a,b", "a\nb"} {
		if _, err := (Session{ID: id}).AppendText(nil); !errors.Is(err, ErrBadSession) {
			t.Errorf("AppendText with id %q: error %v", id, err)
		}
	}
}

func TestSessionStores(t *testing.T) {
	for name, store := range map[string]SessionStore{
		"memory": new(MemorySessions),
		"file":   FileSessions(filepath.Join(t.TempDir(), "session")),
	} {
		t.Run(name, func(t *testing.T) {
			if _, ok, err := store.LoadSession(); ok || err != nil {
				t.Fatalf("an empty store has %v, %v", ok, err)
			}
			other := javaSessionValue()
			other.ID = "another"
			for _, s := range []Session{other, javaSessionValue()} {
				if err := store.SaveSession(s); err != nil {
					t.Fatal(err)
				}
				if got, ok, err := store.LoadSession(); got != s || !ok || err != nil {
					t.Fatalf("loaded %+v, %v, %v", got, ok, err)
				}
			}
			for range 2 {
				if err := store.DeleteSession(); err != nil {
					t.Fatal(err)
				}
			}
			if _, ok, _ := store.LoadSession(); ok {
				t.Fatal("deleted session is still there")
			}
		})
	}
}

func TestFileSessionsAreTheOwnersAndWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "session")
	if err := os.WriteFile(path, []byte(javaSession), 0o644); err != nil { // as Java leaves it
		t.Fatal(err)
	}
	store := FileSessions(path)
	if s, ok, err := store.LoadSession(); s != javaSessionValue() || !ok || err != nil {
		t.Fatalf("loaded %+v, %v, %v", s, ok, err)
	}
	if err := store.SaveSession(javaSessionValue()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := store.SaveSession(Session{}); !errors.Is(err, ErrBadSession) {
		t.Errorf("saving no session: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != javaSession {
		t.Errorf("a failed save left %q", text)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("files left: %v", entries)
	}
}

func TestFileSessionsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	if err := FileSessions(filepath.Join(dir, "absent", "session")).SaveSession(javaSessionValue()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("saving into a directory that is not there: %v", err)
	}
	if err := FileSessions(dir).SaveSession(javaSessionValue()); err == nil {
		t.Error("a directory was replaced by a session")
	}
	garbage := FileSessions(filepath.Join(dir, "garbage"))
	if err := os.WriteFile(string(garbage), []byte(strings.Repeat("x", 2*maxSessionFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := garbage.LoadSession(); ok || !errors.Is(err, ErrBadSession) {
		t.Errorf("garbage loaded: %v, %v", ok, err)
	}
	if _, _, err := FileSessions(dir).LoadSession(); err == nil {
		t.Error("a directory was loaded")
	}
	if err := os.Mkdir(filepath.Join(dir, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := FileSessions(dir).DeleteSession(); err == nil {
		t.Error("a directory was deleted")
	}
}
