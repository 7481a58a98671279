package configs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// debian makes of a configuration one that this machine's Prometheus understands, with
// the paths of this machine. It fails the test if a path leads nowhere.
func (i instance) debian(t *testing.T) string {
	t.Helper()
	text := strings.ReplaceAll(read(t, i.config), "track_timestamps_staleness: true", "honor_timestamps: false")
	text = regexp.MustCompile(`/etc/[a-z-]+/[a-z*-]+\.yml`).ReplaceAllStringFunc(text, func(path string) string {
		inside := i.inside(path)
		if inside == "" {
			t.Errorf("%s: %s of %s is not mounted", i.service, path, i.config)
			return path
		}
		glob(t, inside)
		absolute, err := filepath.Abs(inside)
		if err != nil {
			t.Fatal(err)
		}
		return absolute
	})
	name := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPromtoolAcceptsTheConfigurations also reads the rules that each of them loads.
func TestPromtoolAcceptsTheConfigurations(t *testing.T) {
	t.Parallel()
	for _, i := range instances(t) {
		t.Run(i.service, func(t *testing.T) {
			t.Parallel()
			out := run(t, "promtool", "check", "config", i.debian(t))
			if !strings.Contains(out, "rules found") {
				t.Errorf("no rules were loaded:\n%s", out)
			}
		})
	}
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	t.Parallel()
	for _, side := range sides {
		run(t, "promtool", append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, glob(t, "rules/"+side+"/*.yml")...)...)
	}
}

// TestAlertsFireAndStaySilent runs the unit tests of the rules.
func TestAlertsFireAndStaySilent(t *testing.T) {
	t.Parallel()
	for _, name := range glob(t, "rules/tests/*.yml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			run(t, "promtool", "test", "rules", name)
		})
	}
}

// TestEveryAlertHasUnitTests: one that fires, with all its texts, and one that does not.
func TestEveryAlertHasUnitTests(t *testing.T) {
	t.Parallel()
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, name := range glob(t, "rules/tests/*.yml") {
		for _, c := range unitTests(t, name) {
			if len(c.Expected) == 0 {
				silent[c.Alert] = true
			}
			for _, e := range c.Expected {
				fires[c.Alert] = fires[c.Alert] || len(e.Annotations) > 0
			}
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Alert] {
			t.Errorf("%s: no test has it fire with its annotations", a.name())
		}
		if !silent[a.Alert] && a.Alert != "Watchdog" { // which always fires
			t.Errorf("%s: no test has it silent", a.name())
		}
	}
}

// unitTest is a question of a unit test of rules, and its answer.
type unitTest struct {
	Alert    string `yaml:"alertname"`
	Expected []struct {
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

func unitTests(t *testing.T, name string) (all []unitTest) {
	t.Helper()
	var file struct {
		Tests []struct {
			Alerts []unitTest `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, name)), &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, test := range file.Tests {
		all = append(all, test.Alerts...)
	}
	return all
}

// TestEveryRuleFileIsLoaded by a server that docker-compose.yml starts; debian fails for
// those that match nothing.
func TestEveryRuleFileIsLoaded(t *testing.T) {
	t.Parallel()
	loaded := map[string]bool{}
	for _, i := range instances(t) {
		for _, pattern := range regexp.MustCompile(`(?m)^ +- (/\S+\*\S+)$`).FindAllStringSubmatch(read(t, i.config), -1) {
			for _, name := range glob(t, i.inside(pattern[1])) {
				loaded[name] = true
			}
		}
	}
	for _, name := range glob(t, "rules/*/*") {
		if filepath.Base(filepath.Dir(name)) != "tests" && !loaded[name] {
			t.Errorf("no Prometheus server loads %s", name)
		}
	}
}

// TestReplicasDifferInTheirLabel: a replica watches and judges as the first one does.
func TestReplicasDifferInTheirLabel(t *testing.T) {
	t.Parallel()
	for _, b := range glob(t, "prometheus-*/prometheus-b.yml") {
		a := filepath.Join(filepath.Dir(b), "prometheus.yml")
		if want := strings.Replace(read(t, a), "replica: a}", "replica: b}", 1); read(t, b) != want || want == read(t, a) {
			t.Errorf("%s differs from %s in more, or less, than the external label replica", b, a)
		}
	}
}
