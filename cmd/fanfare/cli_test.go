package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

var commands = []string{"run", "node", "alloc", "push", "listen", "bench", "check-config", "import-config", "init-secrets", "check-health", "version"}

func TestHelp(t *testing.T) {
	r := run(t, "", nil, "--help")
	if r.code != exitOK || r.stderr != "" {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	for _, c := range commands {
		if !strings.Contains(r.stdout, "\n  "+c) {
			t.Errorf("%s is not listed", c)
		}
		one := run(t, "", nil, c, "--help")
		if one.code != exitOK || one.stderr != "" || !strings.Contains(one.stdout, "Usage: fanfare "+c) {
			t.Errorf("%s --help: exit %d\n%s%s", c, one.code, one.stdout, one.stderr)
		}
		if c != "bench" && c != "version" && !strings.Contains(one.stdout, "Examples:") {
			t.Errorf("%s --help has no examples", c)
		}
	}
	if r := run(t, "", nil); r.code != exitUsage || !strings.Contains(r.stdout, "Usage: fanfare") {
		t.Errorf("without arguments: exit %d\n%s", r.code, r.stdout)
	}
}

// TestExamplesAreValid parses every command line that help and the README show.
func TestExamplesAreValid(t *testing.T) {
	var text strings.Builder
	for _, c := range commands {
		text.WriteString(run(t, "", nil, c, "--help").stdout)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text.Write(readme)
	lines := regexp.MustCompile(`(?m)^(?:    |\$ |[^\n]*\| )?(?:bin/)?fanfare ((?:run|node|push|listen|check-config|import-config|init-secrets|check-health|version)\b[^#>&\n]*)`).FindAllStringSubmatch(text.String(), -1)
	if len(lines) < 10 {
		t.Fatalf("found %d examples only", len(lines))
	}
	for _, line := range lines {
		args := regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`).FindAllString(line[1], -1)
		for i := range args {
			args[i] = strings.Trim(args[i], `"'`)
		}
		parser, err := newParser(&process{ctx: t.Context(), stdout: failingWriter{}, stderr: failingWriter{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil {
			t.Errorf("%q: %v", line[0], err)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"--nonsense", "unknown flag --nonsense"},
		{"rnu", `unexpected argument rnu, did you mean "run"?`},
		{"run --lisen x", "unknown flag --lisen"},
		{"run extra", "unexpected argument extra"},
		{"run --set log.level", "--set needs section.key=value"},
		{"run --set log.levle=info", "did you mean log.level?"},
		{"run --listen not/a/host", "--listen"},
		{"run --log.level loud", "--log.level: log.level \"loud\" is not known"},
		{"run --config nowhere.yaml", "nowhere.yaml: cannot be read: no such file"},
		{"node", "security.private_key_file is not set; make a key with"},
		{"node --set security.private_key_file=nowhere.pem", "--set: security.private_key_file nowhere.pem cannot be read: no such file"},
		{"node --set security.demo_key=true --set store.dir=main_test.go", "store.dir main_test.go is a file, not a directory"},
		{"run --data-dir main_test.go/x", "--data-dir: store.dir main_test.go/x cannot be used: not a directory"},
		{"push --user a --broadcast x", "can't be used together"},
		{"push x", "give --user, --users or --broadcast"},
		{"push --user a", "nothing to push"},
		{"push --user a --ack maybe x", "--ack must be one of"},
		{"push --user a --wait=-1s x", "--wait must not be negative"},
		{"push --user a --client-type tv x", "--client-type"},
		{"push --user a --url ftp://x x", "not an http or https URL"},
		{"push --user a --token-file nowhere x", "--token-file: open nowhere: no such file"},
		{"listen --demo-key", "give --address or --allocator"},
		{"listen --address 127.0.0.1:1", "give --public-key-file, or --demo-key"},
		{"listen --address 127.0.0.1:1 --public-key-file main_test.go", "--public-key-file main_test.go:"},
		{"listen --address 127.0.0.1:1 --public-key-file nowhere", "--public-key-file: open nowhere: no such file"},
		{"check-config --for cook", "must be one of"},
	} {
		run(t, "", nil, strings.Fields(c.args)...).wantLine(t, exitUsage, c.want)
	}
}

func TestVersion(t *testing.T) {
	if r := run(t, "", nil, "version"); r.code != exitOK || !regexp.MustCompile(`^fanfare \S+ \(revision \w+, go1\.\d+\S*, \w+/\w+\)\n$`).MatchString(r.stdout) {
		t.Errorf("exit %d: %s", r.code, r.stdout)
	}
	var v struct{ Version, Revision, GoVersion, Platform string }
	r := run(t, "", nil, "version", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil || v.Version == "" || v.Platform == "" {
		t.Errorf("%s: %v", r.stdout, err)
	}
}

func TestCheckConfig(t *testing.T) {
	if r := run(t, "", nil, "check-config", "--config", "config/testdata/good/all.yaml"); r != (result{0, "the configuration is good\n", ""}) {
		t.Errorf("a good file: %+v", r)
	}
	if r := run(t, "", nil, "check-config", "--for", "run"); r.code != exitOK {
		t.Errorf("nothing at all, for run: %+v", r)
	}
	r := run(t, "", nil, "check-config", "--config", "config/testdata/bad/typo.yaml")
	if r.code != exitUsage || strings.Count(r.stderr, "\n") != 6 || !strings.Contains(r.stderr, "fanfare: config/testdata/bad/typo.yaml:2: node.lisen is not a known key; did you mean listen?\n") {
		t.Errorf("a bad file: %+v", r)
	}
	r = run(t, "", []string{"FANFARE_LOG_LEVLE=debug"}, "check-config", "--set", "security.demo_key=true")
	if r.code != exitOK || !strings.Contains(r.stderr, "warning: environment: FANFARE_LOG_LEVLE") {
		t.Errorf("a slip in the environment: %+v", r)
	}
}

// TestCheckConfigSaysWhatAStartWould starts a node with each bad file.
func TestCheckConfigSaysWhatAStartWould(t *testing.T) {
	entries, err := os.ReadDir("config/testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		file := "config/testdata/bad/" + e.Name()
		check, node := run(t, "", nil, "check-config", "-c", file), run(t, "", nil, "node", "-c", file)
		if check != node || check.code != exitUsage {
			t.Errorf("%s: check-config says\n%+v\nnode says\n%+v", file, check, node)
		}
	}
}

func TestReference(t *testing.T) {
	r := run(t, "", nil, "check-config", "--reference")
	if r.code != exitOK || !strings.Contains(r.stdout, "FANFARE_LIMITS_MAX_PACKET_SIZE") {
		t.Errorf("exit %d", r.code)
	}
	var stderr bytes.Buffer
	if code := Run(context.Background(), []string{"version"}, nil, failingWriter{}, &stderr, nil); code != exitFailure {
		t.Errorf("a full disk: exit %d, %s", code, &stderr)
	}
}
