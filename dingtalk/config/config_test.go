package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// oldFile has every key of prometheus-webhook-dingtalk, and YAML that such files use.
const oldFile = `
timeout: 7s
no_builtin_template: false
template: one.tmpl
templates:
  - contrib/templates/*.tmpl
default_message: &message
  title: '{{ template "legacy.title" . }}'
  text: |
    {{ template "legacy.content" . }} ${NOT_EXPANDED}
targets:
  webhook1:
    url: https://oapi.dingtalk.com/robot/send?access_token=xxx
    secret: SEC000000000000000000000
  webhook_mention-users:
    url: https://oapi.dingtalk.com/robot/send?access_token=yyy
    mention: {mobiles: ['156xxxx8827', 13800000000]}
    message:
      <<: *message
      title: own
  all:
    url: https://oapi.dingtalk.com/robot/send?access_token=zzz
    mention: {all: true}
    message: *message
`

func TestOldFile(t *testing.T) {
	c, err := Parse("config.yml", []byte(oldFile), env())
	if err != nil {
		t.Fatal(err)
	}
	one, users := c.Targets["webhook1"], c.Targets["webhook_mention-users"]
	if one.Robots[0].URL.Reveal() != "https://oapi.dingtalk.com/robot/send?access_token=xxx" || one.Robots[0].Secret.Reveal() != "SEC000000000000000000000" || one.Robots[0].Name != "webhook1" {
		t.Errorf("webhook1 is %+v", one)
	}
	if fmt.Sprint(users.Mention.Mobiles) != "[156xxxx8827 13800000000]" || users.Message.Title != "own" || !strings.Contains(users.Message.Text, "${NOT_EXPANDED}") {
		t.Errorf("webhook_mention-users is %+v", users)
	}
	if !c.Targets["all"].Mention.All || c.MessageOf(one) != c.DefaultMessage || c.Timeout != 7*time.Second || len(c.Templates) != 2 {
		t.Errorf("the configuration is %+v", c)
	}
	if c.Limits.PerMinute != 18 || c.Language != "zh" || c.Location.String() != "Asia/Shanghai" {
		t.Errorf("the defaults are %+v", c.Limits)
	}
}

func TestEnvironmentAndFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"secret": "SECfile\n", "url": "https://h/robot/send?access_token=fromfile\n", "key": strings.Repeat("k", 32)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Parse(filepath.Join(dir, "config.yml"), []byte(`
targets:
  a: {url: "${API}/robot/send?access_token=${TOKEN}", secret: "x$${TOKEN}"}
  b: {url_file: url, secret_file: secret}
  c: {url: "${API:-https://other}/robot/send?access_token=${EMPTY:-}"}
  d: {url: ""}
silence: {key_file: key}
`), env("API", "https://h", "TOKEN", "${API}", "EMPTY", ""))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Targets["a"].Robots[0]; r.URL.Reveal() != "https://h/robot/send?access_token=${API}" || r.Secret.Reveal() != "x${TOKEN}" {
		t.Errorf("a is %q %q: values are expanded once", r.URL.Reveal(), r.Secret.Reveal())
	}
	if r := c.Targets["b"].Robots[0]; r.URL.Reveal() != "https://h/robot/send?access_token=fromfile" || r.Secret.Reveal() != "SECfile" {
		t.Errorf("b is %q %q", r.URL.Reveal(), r.Secret.Reveal())
	}
	if !c.Targets["c"].Preview() || !c.Targets["d"].Preview() || c.Targets["a"].Preview() {
		t.Error("an address without a token, and none, are for preview; others are not")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, *c.Targets["b"]); strings.Contains(text, "SECfile") || strings.Contains(text, "fromfile") {
			t.Errorf("%s shows a secret: %s", verb, text)
		}
	}
	if shown := c.Show(); strings.Contains(shown, "SECfile") || strings.Contains(shown, "fromfile") || strings.Contains(shown, "kkkk") || !strings.Contains(shown, "access_token=<secret>") {
		t.Errorf("shown:\n%s", shown)
	}
	before := c.Fingerprint()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("SECnew"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c.Fingerprint() == before {
		t.Error("a changed secret does not change the fingerprint")
	}
}

// TestMistakes: each names the file, the line, the key and what to do, and no secret.
func TestMistakes(t *testing.T) {
	const good = "targets: {a: {url: 'https://h/?access_token=t'}}\n"
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "targets:\n  a:\n    url: https://h/?access_token=t\n    sekret: SECRETVALUE\n", "f.yml:4: targets.a.sekret is not a known key; known here: mention, message, robots, secret"},
		{"unknown top key", good + "timout: 5s\n", "f.yml:2: timout is not a known key"},
		{"twice", good + "timeout: 5s\ntimeout: 6s\n", "f.yml:3: timeout is given twice, first in line 2"},
		{"no targets", "timeout: 5s\n", "f.yml: targets has no target"},
		{"empty", "", "f.yml: targets has no target"},
		{"target name", "targets: {1a: {url: ''}}\n", "f.yml:1: targets.1a is not a name for a target"},
		{"no url", "targets: {a: {secret: SECRETVALUE}}\n", `f.yml:1: targets.a has neither url, url_file nor robots; write url: ""`},
		{"null target", "targets: {a: }\n", "f.yml:1: targets.a has neither"},
		{"url and robots", "targets: {a: {url: '', robots: []}}\n", "has both url and robots"},
		{"empty robots", "targets: {a: {robots: []}}\n", "targets.a.robots is empty"},
		{"bad url", "targets: {a: {url: 'SECRETVALUE'}}\n", "f.yml:1: targets.a.url must be the robot's address"},
		{"timeout", good + "timeout: fast\n", "f.yml:2: timeout must be a duration from"},
		{"negative timeout", good + "timeout: -5s\n", "timeout must be a duration"},
		{"language", good + "language: fr\n", "f.yml:2: language must be zh or en"},
		{"zone", good + "timezone: Mars\n", "f.yml:2: timezone must be the name of a time zone"},
		{"limit", good + "limits: {per_minute: 0}\n", "limits.per_minute must be a whole number from 1"},
		{"size", good + "limits: {body: 2MB}\n", "limits.body must be a size"},
		{"bool", "targets: {a: {url: '', mention: {all: maybe}}}\n", "targets.a.mention.all must be true or false"},
		{"list", "targets: {a: {url: '', mention: {mobiles: '138'}}}\n", "targets.a.mention.mobiles must be a list"},
		{"link", good + "links: {bridge: 'bridge:8060'}\n", "links.bridge must be an address"},
		{"deadman target", good + "deadman: {w: {targets: [b]}}\n", `deadman.w.targets names "b", which is not a target; known: [a]`},
		{"deadman without", good + "deadman: {w: {interval: 30s}}\n", "deadman.w has no targets"},
		{"variable", "targets: {a: {url: '${NOPE}'}}\n", "targets.a.url uses the variable NOPE, which is not set; set it, or write ${NOPE:-}"},
		{"secret file", "targets: {a: {url: '', secret_file: nowhere}}\n", "targets.a.secret_file nowhere does not exist"},
		{"robot name", "targets: {a: {robots: [{name: r, url: 'https://h/?access_token=1'}, {name: r, url: 'https://h/?access_token=2'}]}}\n", `targets.a.robots[1].name "r" is the name of another robot`},
		{"section", "targets: [a]\n", "f.yml:1: targets must be a section"},
		{"not YAML", "targets: {a: {secret: SECRETVALUE\n", "f.yml:1: is not YAML"},
		{"two documents", good + "---\n" + good, "a second YAML document"},
		{"too deep", good + "- - - - - - - - - - - - - - - - - x\n", "f.yml:2: is nested more than 16 levels deep"},
		{"brackets", good + "x: " + strings.Repeat("[", 65) + "\n", "f.yml:2: is nested more than 16 levels deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f.yml", []byte(c.text), env())
			if err == nil {
				t.Fatal("no mistake was found")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "SECRETVALUE") {
				t.Errorf("got:\n%v\nwant:\n%s", err, c.want)
			}
		})
	}
}

func TestFileMistakes(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yml")
	if err := os.WriteFile(large, []byte(strings.Repeat("#\n", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yml"): "does not exist",
		filepath.Join(large, "x"):      "cannot be read",
		dir:                            "is a folder, not a file",
		large:                          "has more than 1048576 bytes",
	} {
		if _, err := Load(file, env()); err == nil || err.Error() != file+": "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := Parse("f.yml", []byte("language: fr\ntimeout: x\ntargets: {a: {url: ''}}\n"), env())
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v", err)
	}
}

// TestShippedFile: without the environment it previews, with it it sends.
func TestShippedFile(t *testing.T) {
	const file = "../../configs/dingtalk/config.yml"
	c, err := Load(file, env())
	if err != nil {
		t.Fatal(err)
	}
	if !c.Targets["ops"].Preview() || !c.Targets["critical"].Preview() || c.Deadman["watchdog"].Period() != 90*time.Second {
		t.Errorf("the shipped file: %+v", c)
	}
	c, err = Load(file, env("FANFARE_DINGTALK_TOKEN", "t", "FANFARE_DINGTALK_SECRET", "s"))
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Targets["critical"].Robots; c.Targets["critical"].Preview() || r[0].Secret.Reveal() != "s" || r[1].URL != "" {
		t.Errorf("with a token: %+v", r)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{oldFile, "targets: &a {x: *a}", "a: &a [*a, *a]\ntargets: *a", "<<: {targets: {a: {url: ''}}}", "targets: {a: {<<: [{url: ''}]}}", "? [a]\n: b", "!!binary x: y", "targets:\n  a: &x\n    <<: *x\n    url: ''", "- - - -"} {
		f.Add(seed)
	}
	shipped, err := os.ReadFile("../../configs/dingtalk/config.yml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(shipped))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f.yml", []byte(text), env("FANFARE_DINGTALK_TOKEN", "HUSH"))
		if err != nil {
			if c != nil || !strings.HasPrefix(err.Error(), "f.yml") {
				t.Fatalf("%+v, %v", c, err)
			}
			return
		}
		if len(c.Targets) == 0 || c.Location == nil || c.Timeout <= 0 {
			t.Fatalf("%+v", c)
		}
		for _, target := range c.Targets {
			if len(target.Robots) == 0 {
				t.Fatalf("%+v", target)
			}
		}
		_ = c.Show()
	})
}
