//go:build linux

package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// alertRule is one that ships, in lapsed time.
type alertRule struct {
	prometheus, name, severity string
	wait, keep                 time.Duration // for, keep_firing_for
}

// readRules reads the alerts in a folder of rule files.
func readRules(t testing.TB, prometheus, folder string) (all []alertRule) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules in %s: %v", folder, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rulesOf(t, prometheus, text)...)
	}
	return all
}

func rulesOf(t testing.TB, prometheus string, text []byte) (all []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, For string
				Keep       string `yaml:"keep_firing_for"`
				Labels     map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				all = append(all, alertRule{prometheus, r.Alert, r.Labels["severity"], must(t, r.For), must(t, r.Keep)})
			}
		}
	}
	return all
}

// must reads a duration that may be left out.
func must(t testing.TB, text string) time.Duration {
	t.Helper()
	if text == "" {
		return 0
	}
	d, err := parseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// rule finds an alert. Of several with one name, the one that waits longest counts.
func (s *stack) rule(t testing.TB, name string) (found alertRule) {
	t.Helper()
	for _, r := range s.rules {
		if r.name == name && (found.name == "" || r.wait > found.wait) {
			found = r
		}
	}
	if found.name == "" {
		t.Fatalf("no rule is called %s", name)
	}
	return found
}
