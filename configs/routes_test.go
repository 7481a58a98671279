package configs

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

const alertmanagerFile = "alertmanager/alertmanager.yml"

func TestAmtoolAcceptsTheConfiguration(t *testing.T) {
	t.Parallel()
	run(t, "amtool", "check-config", alertmanagerFile)
}

// TestReceivers sends every alert that there is, as its rule labels it, and some that
// others may add.
func TestReceivers(t *testing.T) {
	t.Parallel()
	lookPath(t, "amtool")
	tests := map[string]string{ // labels to receivers
		"alertname=Foreign severity=warning cluster=c":           "ding-ops",
		"alertname=Foreign severity=critical cluster=c":          "ding-critical",
		"alertname=Foreign cluster=c":                            "ding-ops",
		"alertname=Foreign severity=warning cluster=c node=n":    "ding-ops",
		"alertname=Foreign severity=none cluster=c":              "nobody",
		"alertname=Foreign severity=critical node=n":             "ding-critical",
		"alertname=Foreign severity=critical component=dingtalk": "ding-critical,ding-ops",
	}
	for _, a := range alerts(t) {
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(a.Labels)) {
			labels = append(labels, key+"="+a.Labels[key])
		}
		want := "ding-ops"
		switch {
		case a.Alert == "Watchdog":
			want = "deadman"
		case a.Labels["component"] == "dingtalk":
			want = "ding-critical,ding-ops"
		case a.Labels["severity"] == "critical":
			want = "ding-critical"
		}
		tests["alertname="+a.Alert+" cluster=c "+strings.Join(labels, " ")] = want
	}
	for labels, want := range tests {
		args := append([]string{"config", "routes", "test", "--config.file=" + alertmanagerFile, "--verify.receivers=" + want}, strings.Fields(labels)...)
		run(t, "amtool", args...)
	}
}

// TestBeatsAreNotSkipped: an alert is repeated when its group is due and repeat_interval
// has passed since the last message was out, which is a moment after it was due.
func TestBeatsAreNotSkipped(t *testing.T) {
	t.Parallel()
	var file struct {
		Route struct {
			Routes []struct {
				Receiver string
				Group    time.Duration `yaml:"group_interval"`
				Repeat   time.Duration `yaml:"repeat_interval"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, alertmanagerFile)), &file); err != nil {
		t.Fatal(err)
	}
	first := file.Route.Routes[0]
	if first.Receiver != "deadman" || first.Group <= 0 || first.Repeat <= 0 || first.Repeat >= first.Group {
		t.Errorf("the first route is %+v: its alert is not repeated every time", first)
	}
}

// matcher is one of alertmanager.yml, such as alertname=~"A|B".
type matcher struct{ label, operator, value string }

func (m *matcher) UnmarshalYAML(text []byte) error {
	var s string
	if err := yaml.Unmarshal(text, &s); err != nil {
		return err
	}
	found := regexp.MustCompile(`^(\w+)(=~|!~|!=|=)"(.*)"$`).FindStringSubmatch(s)
	if found == nil {
		return fmt.Errorf("%q is no matcher", s)
	}
	*m = matcher{found[1], found[2], found[3]}
	return nil
}

// matches tells whether a value is the one, or one of those, that the matcher names.
func (m matcher) matches(value string) bool {
	if m.operator == "=" || m.operator == "!=" {
		return value == m.value
	}
	return regexp.MustCompile("^(?:" + m.value + ")$").MatchString(value)
}

type inhibition struct {
	Source []matcher `yaml:"source_matchers"`
	Target []matcher `yaml:"target_matchers"`
	Equal  []string
}

func inhibitions(t *testing.T) []inhibition {
	t.Helper()
	var file struct {
		Inhibitions []inhibition `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal([]byte(read(t, alertmanagerFile)), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Inhibitions) < 10 {
		t.Fatalf("only %d inhibitions were found", len(file.Inhibitions))
	}
	return file.Inhibitions
}

// TestInhibitionsNameAlertsThatExist: each name in them, and each alternative of a
// pattern, or a renamed alert would lose its inhibition.
func TestInhibitionsNameAlertsThatExist(t *testing.T) {
	t.Parallel()
	all := alerts(t)
	for i, inhibition := range inhibitions(t) {
		for _, m := range slices.Concat(inhibition.Source, inhibition.Target) {
			if m.label != "alertname" {
				continue
			}
			for _, name := range alternatives(m.value) {
				exact := matcher{m.label, "=~", name}
				if !slices.ContainsFunc(all, func(a rule) bool { return exact.matches(a.Alert) }) {
					t.Errorf("inhibition %d names %s, and no alert is called so", i+1, name)
				}
			}
		}
	}
}

// alternatives takes A|B(C|D) apart into A, BC and BD.
func alternatives(pattern string) []string {
	if open := strings.Index(pattern, "("); open >= 0 {
		end := strings.Index(pattern, ")")
		start := strings.LastIndex(pattern[:open], "|") + 1
		stop := len(pattern)
		if next := strings.Index(pattern[end:], "|"); next >= 0 {
			stop = end + next
		}
		var all []string
		for _, inner := range strings.Split(pattern[open+1:end], "|") {
			all = append(all, pattern[start:open]+inner+pattern[end+1:stop])
		}
		for _, rest := range []string{strings.TrimSuffix(pattern[:start], "|"), strings.TrimPrefix(pattern[stop:], "|")} {
			if rest != "" {
				all = append(all, alternatives(rest)...)
			}
		}
		return all
	}
	return strings.Split(pattern, "|")
}

func TestAlternatives(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{"A": "A", "A|B": "A B", "A(B|C)D": "ABD ACD", "X|A(B|C)|Y|Z": "AB AC X Y Z", "A.+|B": "A.+ B"} {
		if got := strings.Join(alternatives(pattern), " "); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}

// TestInhibitionsNeedTheirLabels: a label that two alerts both lack counts as equal. Every
// alert here has a cluster and a name; any other label must be asked for on both sides.
func TestInhibitionsNeedTheirLabels(t *testing.T) {
	t.Parallel()
	for i, inhibition := range inhibitions(t) {
		if !slices.Contains(inhibition.Equal, "cluster") {
			t.Errorf("inhibition %d is not limited to one cluster", i+1)
		}
		for _, label := range inhibition.Equal {
			needed := matcher{label, "=~", ".+"}
			if label != "cluster" && label != "alertname" && !(slices.Contains(inhibition.Source, needed) && slices.Contains(inhibition.Target, needed)) {
				t.Errorf("inhibition %d does not ask for the label %s on both sides", i+1, label)
			}
		}
	}
}
