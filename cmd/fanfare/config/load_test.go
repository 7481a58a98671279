package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the .want files of testdata/bad from what the loader says")

// TestBadFiles loads every file of testdata/bad; the problems stand in the .want
// file beside it, line for line.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, _, err := Load(Options{Role: RoleNode, File: file})
			if err == nil || c != nil {
				t.Fatalf("got %v and %v, want an error alone", c, err)
			}
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, readErr := os.ReadFile(want)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if got := err.Error() + "\n"; got != string(text) {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
			if strings.Contains(err.Error(), "swordfish") {
				t.Error("the problems show a secret")
			}
		})
	}
}

func demo(o Options) Options {
	o.Set = append(o.Set, Assignment{Source: "--set", Key: "security.demo_key", Text: "true"})
	return o
}

func mustLoad(t *testing.T, o Options) *Config {
	t.Helper()
	c, _, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEmptyFilesAreTheDefaults(t *testing.T) {
	want := Default()
	want.Security.DemoKey = true
	for _, file := range []string{"", "testdata/good/empty.yaml"} {
		if got := mustLoad(t, demo(Options{Role: RoleNode, File: file})); !equal(got, want) {
			t.Errorf("%q differs from the defaults:\n%+v\n%+v", file, got, want)
		}
	}
	c := mustLoad(t, demo(Options{Role: RoleNode, File: "testdata/good/sections.yaml"}))
	if c.Log.Level != "debug" || c.Log.Format != "json" || c.Push != want.Push {
		t.Errorf("got %+v", c)
	}
}

// equal compares field by field, secrets by what they hold.
func equal(a, b *Config) bool {
	for _, f := range Fields() {
		if reveal(f, a) != reveal(f, b) {
			return false
		}
	}
	return true
}

func TestEveryKindOfValue(t *testing.T) {
	c := mustLoad(t, Options{Role: RoleNode, File: "testdata/good/all.yaml"})
	for _, check := range []struct{ key, want string }{
		{"node.id", "007"}, {"node.listen.device", "0.0.0.0:3000"}, {"node.listen.websocket", ""},
		{"node.advertise.device", "push.example.org:3000"},
		{"api.tokens", "0123456789abcdef,fedcba9876543210"}, {"api.rate", "12.5"},
		{"security.allowed_origins", "https://app.example.org,https://other.example.org"},
		{"limits.max_packet_size", "16m"}, {"limits.user_bytes", "1k"},
		{"limits.session_ttl", "36h"}, {"limits.min_heartbeat", "30s"}, {"limits.max_heartbeat", "3m"},
	} {
		if got := reveal(fieldOf(t, check.key), c); got != check.want {
			t.Errorf("%s is %q, want %q", check.key, got, check.want)
		}
	}
	if k, err := c.KeyPair(); err != nil || k.IsDemo() || k.Bits() != 1024 {
		t.Errorf("key %v, %v", k, err)
	}
	if conf, err := c.TLS(); err != nil || len(conf.Certificates) != 1 {
		t.Errorf("TLS %v, %v", conf, err)
	}
}

func TestPrecedence(t *testing.T) {
	o := demo(Options{Role: RoleNode, File: "testdata/good/sections.yaml"})
	if got := mustLoad(t, o).Log.Level; got != "debug" {
		t.Errorf("the file gives %s", got)
	}
	o.Environ = []string{"FANFARE_LOG_LEVEL=warn", "FANFARE_SECURITY_ALLOWED_ORIGINS=https://a, https://b", "HOME=/root"}
	c := mustLoad(t, o)
	if c.Log.Level != "warn" || strings.Join(c.Security.AllowedOrigins, "|") != "https://a|https://b" {
		t.Errorf("the environment gives %s, %v", c.Log.Level, c.Security.AllowedOrigins)
	}
	for _, level := range []string{"info", "error"} {
		o.Set = append(o.Set, Assignment{"--set", "log.level", level})
		if got := mustLoad(t, o).Log.Level; got != level {
			t.Errorf("the command line gives %s, want %s", got, level)
		}
	}
}

func TestTheHostOfPublicAddresses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte("node: {listen: {device: ':4000', ops: ''}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Role: RoleRun, DefaultHost: "127.0.0.1"}
	for _, step := range []struct {
		file, host         string
		set                []Assignment
		device, ws, gw, op string
	}{
		{device: "127.0.0.1:3000", ws: "127.0.0.1:8008", gw: "127.0.0.1:3001", op: "127.0.0.1:9310"},
		{file: file, device: ":4000", ws: "127.0.0.1:8008", gw: "127.0.0.1:3001", op: ""},
		{file: file, host: "::", device: "[::]:4000", ws: "[::]:8008", gw: "127.0.0.1:3001", op: ""},
		{host: "0.0.0.0", set: []Assignment{{"--set", "node.listen.device", "10.0.0.1:1"}}, device: "10.0.0.1:1", ws: "0.0.0.0:8008", gw: "127.0.0.1:3001", op: "0.0.0.0:9310"},
	} {
		o.File, o.Host, o.Set = step.file, step.host, step.set
		l := mustLoad(t, o).Node.Listen
		if l != (Listen{Device: step.device, WebSocket: step.ws, Gateway: step.gw, Admin: "127.0.0.1:3002", Ops: step.op}) {
			t.Errorf("%+v gives %+v", step, l)
		}
	}
}

func TestSetProblems(t *testing.T) {
	for _, c := range []struct{ key, text, want string }{
		{"limits.max_packet_sise", "1k", "--set: limits.max_packet_sise is not a known key; did you mean limits.max_packet_size?"},
		{"limits", "1", "--set: limits is not a known key"},
		{"limits.max_packet_size", "1", `--set: limits.max_packet_size "1" is too small; the least is 256`},
		{"api.tokens", "0123456789abcdef,", "--set: api.tokens has an empty element; remove it"},
	} {
		_, _, err := Load(demo(Options{Role: RoleNode, Set: []Assignment{{"--set", c.key, c.text}}}))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s=%s: got %v, want %s", c.key, c.text, err, c.want)
		}
	}
	for _, arg := range []string{"", "log.level", "=x"} {
		if _, err := ParseSet(arg); err == nil {
			t.Errorf("%q is taken", arg)
		}
	}
	if a, err := ParseSet("node.id=a=b"); err != nil || a.Key != "node.id" || a.Text != "a=b" {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestEnvironmentProblems(t *testing.T) {
	o := demo(Options{Role: RoleNode, Environ: []string{"FANFARE_LOG_LEVEL=loud", "FANFARE_LOG_FORMET=json", "FANFARE_SERVICE_PORT=tcp://10.0.0.1:3000"}})
	_, warnings, err := Load(o)
	if want := `FANFARE_LOG_LEVEL: log.level "loud" is not known; known here: debug, info, warn, error`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].String(), "did you mean FANFARE_LOG_FORMAT?") {
		t.Errorf("warnings %v", warnings)
	}
}

func TestTwinOfALaterLayerWins(t *testing.T) {
	file := "testdata/good/all.yaml" // has api.tokens_file
	c := mustLoad(t, Options{Role: RoleNode, File: file, Environ: []string{"FANFARE_API_TOKENS=from-the-environment"}})
	if len(c.API.Tokens) != 1 || c.API.Tokens[0].Reveal() != "from-the-environment" || c.API.TokensFile != "" {
		t.Errorf("got %d tokens", len(c.API.Tokens))
	}
	c = mustLoad(t, demo(Options{Role: RoleNode, Environ: []string{"FANFARE_API_TOKENS=from-the-environment"},
		Set: []Assignment{{"--set", "api.tokens_file", "testdata/keys/tokens"}}}))
	if len(c.API.Tokens) != 2 {
		t.Errorf("got %d tokens, want those of the file", len(c.API.Tokens))
	}
}

func TestFileProblems(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "cannot be read: no such file or directory",
		dir:                             "is a directory, not a file",
		large:                           "is larger than 256k",
	} {
		_, _, err := Load(demo(Options{Role: RoleNode, File: file}))
		if err == nil || err.Error() != file+": "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestRunTakesTheDemoKeyAndMakesAToken(t *testing.T) {
	c, warnings, err := Load(Options{Role: RoleRun, DefaultHost: "127.0.0.1"})
	if err != nil || len(warnings) != 0 || c.NeedsToken() {
		t.Fatalf("got %v, %v", warnings, err)
	}
	if k, err := c.KeyPair(); err != nil || !k.IsDemo() {
		t.Errorf("key %v, %v", k, err)
	}
	c, warnings, err = Load(Options{Role: RoleRun, Host: "0.0.0.0"})
	if err != nil || len(warnings) != 1 || !c.NeedsToken() {
		t.Errorf("a public address without tokens: %v, %v", warnings, err)
	}
	_, _, err = Load(Options{Role: RoleRun, Set: []Assignment{{"--set", "api.tokens", "short"}}})
	if err == nil || !strings.Contains(err.Error(), "shorter than 16") || strings.Contains(err.Error(), "short\"") {
		t.Errorf("a short token: %v", err)
	}
}
