package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

var updateImports = flag.Bool("update", false, "write the .yaml and .report files of testdata/import")

// TestImportConfig turns files into configurations, which stand beside them with what
// was reported, and asks check-config about each.
func TestImportConfig(t *testing.T) {
	files, err := filepath.Glob("testdata/import/*.conf")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			file = filepath.ToSlash(file)
			r := run(t, "", nil, "import-config", file)
			if r.code != exitOK {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			golden(t, strings.TrimSuffix(file, ".conf")+".yaml", r.stdout)
			golden(t, strings.TrimSuffix(file, ".conf")+".report", r.stderr)
			if strings.Contains(r.stderr, "swordfish") || strings.Contains(r.stderr, "MII") {
				t.Error("the report shows a secret")
			}
			written := filepath.Join(t.TempDir(), "fanfare.yaml")
			if r := run(t, "", nil, "import-config", file, "--output", written); r.code != exitOK || r.stdout != "" {
				t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			if r := run(t, "", nil, "check-config", "--config", written); r.code != exitOK {
				t.Errorf("check-config: exit %d\n%s", r.code, r.stderr)
			}
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *updateImports {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s (%v): got\n%s\nwant\n%s", file, err, got, want)
	}
}

// conf writes an mpush.conf.
func conf(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mpush.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestImportConfigOutput(t *testing.T) {
	in := conf(t, "mp.redis.password=swordfish\n")
	out := filepath.Join(t.TempDir(), "out.yaml")
	r := run(t, "", nil, "import-config", in, "-o", out)
	info, err := os.Stat(out)
	if r.code != exitOK || err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("exit %d, %v %v", r.code, info, err)
	}
	text, _ := os.ReadFile(out)
	if !strings.Contains(string(text), `password: "swordfish"`) || !strings.Contains(string(text), "password_file") {
		t.Errorf("got %s", text)
	}
	if err := os.WriteFile(out, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	r = run(t, "", nil, "import-config", in, "-o", out)
	if text, _ := os.ReadFile(out); r.code != exitUsage || string(text) != "mine" || !strings.Contains(r.stderr, "--force") {
		t.Errorf("exit %d, %q, %s", r.code, text, r.stderr)
	}
	target := filepath.Join(t.TempDir(), "target")
	link := filepath.Join(filepath.Dir(out), "link.yaml")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", nil, "import-config", in, "-o", link); r.code != exitUsage {
		t.Errorf("a link that leads nowhere was followed: exit %d", r.code)
	}
	for _, name := range []string{out, link} {
		r = run(t, "", nil, "import-config", in, "-o", name, "--force")
		info, err = os.Lstat(name)
		if r.code != exitOK || err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: exit %d, %v %v", name, r.code, info, err)
		}
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a link was followed")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".fanfare-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, args := range [][]string{{"-o", filepath.Join(out, "x")}, {"-o", filepath.Join(filepath.Dir(out), "none", "x"), "--force"}} {
		if r := run(t, "", nil, append([]string{"import-config", in}, args...)...); r.code != exitFailure || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%v: exit %d\n%s", args, r.code, r.stderr)
		}
	}
}

// What cannot be read or understood is one line with the place, and nothing is written.
func TestImportConfigRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"mp.log-level":                                "mpush.conf:1: behind mp.log-level a = or { is missing",
		"mp {\n a = 1":                                "mpush.conf:1: the { in this line is not closed",
		"\ninclude classpath(\"x\")":                  "mpush.conf:2: include classpath(...) cannot be read here",
		"include \"mpush.conf\"":                      "is included by itself",
		"\nmp.security.private-key=\"c3dvcmRmaXNo\"":  "mpush.conf:2: mp.security.private-key: unusable RSA key",
		"mp.redis.cluster-model=sentinel":             "store.redis.master is not set",
		"mp.net.connect-server-port=0\n":              "",
		"mp.net.ws-server-port=9310":                  "node.listen.ops is :9310, as is node.listen.websocket",
		"mp.security {\n private-key=swordfish+x }\n": "mpush.conf:2: '+' needs quotes",
	} {
		r := run(t, "", nil, "import-config", conf(t, text))
		if want == "" {
			continue
		}
		if r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, want) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%q: exit %d\n%s%s", text, r.code, r.stdout, r.stderr)
		}
		if strings.Contains(r.stderr, "swordfish") || strings.Contains(r.stderr, "c3dv") {
			t.Errorf("%q: the error shows a secret: %s", text, r.stderr)
		}
	}
	for file, want := range map[string]string{"nowhere.conf": "cannot be read: no such file", t.TempDir(): "cannot be read: is a directory"} {
		if r := run(t, "", nil, "import-config", file); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit %d\n%s", file, r.code, r.stderr)
		}
	}
}

func TestConfValues(t *testing.T) {
	for text, want := range map[string]string{
		"10k": "10k", "10 K": "10k", "10240": "10k", "0": "0", "1.5m": "1536k", "2MB": "2000000", "1 GiB": "1g", "512 bytes": "512", "10kB": "10000",
		"": "!", "k": "!", "-1": "!", "1t": "!", "1e3": "1000", "99999999999g": "!", ".": "!", "1 0k": "!", "NaN": "!", "Inf": "!", "0x10": "!",
	} {
		got, err := asSize(text)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("size %q is %s (%v), want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"3m": "3m", "3 minutes": "3m", "5000": "5s", "0.5s": "500ms", "1d": "24h", "100ms": "100ms", "0": "0s", "1 hour": "1h", "2 days": "48h", "1us": "1µs",
		"": "!", "s": "!", "-1s": "!", "1w": "!", "1m30s": "!", "999999999999d": "!",
	} {
		got, err := asTime(text)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("time %q is %s (%v), want %s", text, got, err, want)
		}
	}
}

// FuzzImport: whatever the file says, what is written is good, says nothing else than
// the settings, and the report is lines.
func FuzzImport(f *testing.F) {
	odd, err := os.ReadFile("testdata/import/odd.conf")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(odd)) { // whole files are slow to mutate
		f.Add(line)
	}
	f.Add("mp.redis { password=\"'\\\": # \\u2028\", nodes=[\"a:1,b:2\"] }\nmp.net.public-ip=\"::1\"")
	f.Add("mp.http { proxy-enabled=on, dns-mapping { a: [\"1.2.3.4:80\"], \"b.c\": 1.2.3.5 }, max-content-length: 200m, default-read-timeout: 100s }")
	f.Add("mp.net { local-ip=a, public-ip=b, gateway-server-port=1, ws-server-port=2, connect-server-register-attr { weight=2, x=y }, public-host-mapping {a=c} }")
	f.Add("mp.push.flow-control { global { limit=1, duration=1d }, broadcast { limit=99999999, duration=1ns } }\nmp.core { min-heartbeat=1h, max-packet-size=10m }")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := importConf("f", []byte(text), nil)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, in.yaml(), 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := config.Load(config.Options{Role: config.RoleNode, File: file})
		if err != nil {
			t.Fatalf("%q becomes\n%s\n%v", text, in.yaml(), err)
		}
		want, _, err := config.Load(config.Options{Role: config.RoleNode, Set: in.assignments()})
		if err != nil || revealed(got) != revealed(want) {
			t.Fatalf("%q becomes\n%s\nwhich says %s, not %s (%v)", text, in.yaml(), revealed(got), revealed(want), err)
		}
		for _, line := range in.report() {
			if strings.ContainsAny(line, "\r\n") {
				t.Fatalf("%q: %q", text, line)
			}
		}
	})
}

// revealed is all of a configuration with its secrets.
func revealed(c *config.Config) string {
	return fmt.Sprintf("%v %q %q %q", *c, c.Security.PrivateKey.Reveal(), c.Store.Redis.Password.Reveal(), c.Registry.ZooKeeper.Digest.Reveal())
}
