package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const small = "targets:\n  ops: {url: ''}\n  on-call: {url: '', mention: {mobiles: ['1']}}\nlimits: {per_minute: 5}\ndeadman: {watchdog: {targets: [ops]}}\n"

// TestSet: the command line wins over the environment, and that over the file, for each
// key, whether its section is in the file or not.
func TestSet(t *testing.T) {
	token := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(token, []byte("https://d.example/robot/send?access_token=x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse("c.yml", []byte(small), env(
		"FANFARE_DINGTALK_LANGUAGE", "en", "FANFARE_DINGTALK_TIMEZONE", "UTC", "FANFARE_DINGTALK_LIMITS_PER_MINUTE", "7",
		"FANFARE_DINGTALK_LIMITS_QUEUE", "", "FANFARE_DINGTALK_LINKS_BRIDGE", "http://b/${X}", "FANFARE_DINGTALK_TARGETS_ON_CALL_SECRET", "pa${NOT}ss",
		"FANFARE_DINGTALK_TOKEN", "of the file's own", "FANFARE_DINGTALK_LIMITS", "no key"),
		"timezone=Asia/Tokyo", "limits.max_age=2h", "targets.ops.url_file="+token, "targets.on-call.mention.mobiles=2, 3", "deadman.watchdog.misses=9", "silence.duration=2h")
	if err != nil {
		t.Fatal(err)
	}
	on := c.Targets["on-call"]
	if c.Language != "en" || c.Location.String() != "Asia/Tokyo" || c.Limits.PerMinute != 7 || c.Limits.Queue != 10000 || c.Limits.MaxAge != 2*time.Hour ||
		c.Links.Bridge != "http://b/${X}" || on.Robots[0].Secret.Reveal() != "pa${NOT}ss" || strings.Join(on.Mention.Mobiles, " ") != "2 3" ||
		c.Targets["ops"].Preview() || c.Deadman["watchdog"].Misses != 9 || c.Silence.Duration != 2*time.Hour {
		t.Errorf("%+v", c)
	}
}

func TestSetMistakes(t *testing.T) {
	for _, c := range []struct{ set, env, want string }{
		{"limits.per_minute=HUSH", "", "--set: limits.per_minute must be a whole number from 1 to 1000"},
		{"limits.per_minit=3", "", "--set: limits.per_minit is not a known key"},
		{"targets.opz.url=HUSH", "", "--set: targets.opz.url is not a known key"},
		{"limits=HUSH", "", "--set: limits must be a section"},
		{"HUSH", "", "--set: must be written as key=value, such as limits.per_minute=18"},
		{"", "FANFARE_DINGTALK_LANGUAGE", "FANFARE_DINGTALK_LANGUAGE: language must be zh or en"},
	} {
		var set []string
		if c.set != "" {
			set = append(set, c.set)
		}
		_, err := Parse("c.yml", []byte(small), env(c.env, "HUSH"), set...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "HUSH") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s%s: %v", c.set, c.env, err)
		}
	}
}

// TestSecretForAFile: a secret that was written where its file belongs is not repeated.
func TestSecretForAFile(t *testing.T) {
	hush := strings.Repeat("0123456789abcdef", 4)
	for _, line := range []string{"url_file: https://oapi.dingtalk.com/robot/send?access_token=" + hush, "{url: '', secret_file: SEC" + hush + "}", "url_file: " + hush} {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "{"), "}")
		_, err := Parse("c.yml", []byte("targets:\n  ops: {"+line+"}\n"), env())
		if err == nil || strings.Contains(err.Error(), hush) || !strings.Contains(err.Error(), "the name of a file") {
			t.Errorf("%s: %v", line[:12], err)
		}
	}
}

func TestCAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse("c.yml", []byte("ca_file: "+file+"\n"+small), env())
	if err == nil || !strings.Contains(err.Error(), "c.yml:1: ca_file "+file+" has no certificate in PEM form") {
		t.Error(err)
	}
}
