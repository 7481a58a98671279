// Package configs tests the configuration that is shipped: the tools of Prometheus and
// Alertmanager accept every file, every alert is complete, documented and refers to
// metrics that exist, and alerts reach whom they should.
package configs

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The programs of other people that the tests run, and what brings them. The name of the
// Debian package is also the part that FANFARE_TEST_WITHOUT may name.
var packages = map[string]string{
	"promtool": "prometheus", "prometheus": "prometheus",
	"amtool": "prometheus-alertmanager", "prometheus-alertmanager": "prometheus-alertmanager",
	"prometheus-node-exporter":     "prometheus-node-exporter",
	"prometheus-blackbox-exporter": "prometheus-blackbox-exporter",
	"prometheus-redis-exporter":    "prometheus-redis-exporter",
}

// lookPath finds a program. If it is missing the test fails, or is left out if the
// environment says that its package may be missing.
func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv("FANFARE_TEST_WITHOUT"), ","), packages[name]) {
		t.Skipf("%s is missing, and FANFARE_TEST_WITHOUT names %s", name, packages[name])
	}
	t.Fatalf("%s is missing: apt-get install %s", name, packages[name])
	return ""
}

// run runs a program to its end and fails the test, with what it printed, if it fails.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), lookPath(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// glob finds files, at least one.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no file is called %s (%v)", pattern, err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
