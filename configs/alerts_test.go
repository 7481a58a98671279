package configs

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	severities  = []string{"critical", "warning", "info", "none"}
	components  = []string{"fanfare", "redis", "zookeeper", "host", "prometheus", "alertmanager", "dingtalk", "grafana", "probe"}
	annotations = []string{"dashboard", "description", "description_zh", "grafana", "runbook_url", "summary", "summary_zh"}
)

const runbook = "https://github.com/fanfare-push/fanfare/blob/main/docs/RUNBOOK.md#"

// TestAlertsAreComplete: who gets them, what it is in two languages, what to do about it.
func TestAlertsAreComplete(t *testing.T) {
	t.Parallel()
	for _, a := range alerts(t) {
		if !slices.Contains(severities, a.Labels["severity"]) || !slices.Contains(components, a.Labels["component"]) {
			t.Errorf("%s: severity %q, component %q", a.name(), a.Labels["severity"], a.Labels["component"])
		}
		if got := slices.Sorted(maps.Keys(a.Annotations)); !slices.Equal(got, annotations) {
			t.Errorf("%s: has the annotations %v, not %v", a.name(), got, annotations)
		}
		for _, key := range []string{"summary", "description"} {
			if text := a.Annotations[key]; text == "" || han(text) {
				t.Errorf("%s: %s is no English: %q", a.name(), key, text)
			}
			if text := a.Annotations[key+"_zh"]; !han(text) {
				t.Errorf("%s: %s_zh is no Chinese: %q", a.name(), key, text)
			}
		}
		if got, want := a.Annotations["runbook_url"], runbook+strings.ToLower(a.Alert); got != want {
			t.Errorf("%s: runbook_url is %s, not %s", a.name(), got, want)
		}
	}
}

func han(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// TestLanguagesSayTheSame: both use the same values, in whatever order.
func TestLanguagesSayTheSame(t *testing.T) {
	t.Parallel()
	field := regexp.MustCompile(`\$(?:labels\.\w+|value)`)
	for _, a := range alerts(t) {
		for _, key := range []string{"summary", "description"} {
			en, zh := field.FindAllString(a.Annotations[key], -1), field.FindAllString(a.Annotations[key+"_zh"], -1)
			slices.Sort(en)
			slices.Sort(zh)
			if en, zh = slices.Compact(en), slices.Compact(zh); !slices.Equal(en, zh) {
				t.Errorf("%s: %s tells %v in English and %v in Chinese", a.name(), key, en, zh)
			}
		}
	}
}

// TestAlertsHaveOneDefinition: the windows of a burning budget are one alert in degrees,
// anything else that is defined twice would be told twice.
func TestAlertsHaveOneDefinition(t *testing.T) {
	t.Parallel()
	seen := map[string]rule{}
	for _, a := range alerts(t) {
		key := a.Alert + " " + a.Labels["window"]
		if before, twice := seen[key]; twice {
			t.Errorf("%s is also defined in %s", a.name(), before.file)
		}
		if before, other := seen[a.Alert]; other && (before.file != a.file || !strings.HasSuffix(a.Alert, "BudgetBurn")) {
			t.Errorf("%s is also defined in %s", a.name(), before.file)
		}
		seen[key], seen[a.Alert] = a, a
	}
}

// TestRunbookHasAHeadingForEachAlert and none for what no rule can fire.
func TestRunbookHasAHeadingForEachAlert(t *testing.T) {
	t.Parallel()
	headings := map[string]int{}
	for _, found := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(read(t, "../docs/RUNBOOK.md"), -1) {
		if headings[found[1]]++; headings[found[1]] > 1 {
			t.Errorf("the runbook has the heading %s twice", found[1])
		}
	}
	names := map[string]bool{}
	for _, a := range alerts(t) {
		if names[a.Alert] = true; headings[a.Alert] == 0 {
			t.Errorf("%s: the runbook has no heading of that name", a.name())
		}
	}
	for name := range headings {
		if !names[name] {
			t.Errorf("the runbook has the heading %s, and no rule has an alert of that name", name)
		}
	}
}

// TestAlertsLeadToDashboards that the Grafana which they name has.
func TestAlertsLeadToDashboards(t *testing.T) {
	t.Parallel()
	uids := map[string][]string{}
	for _, name := range glob(t, "../dashboards/*/*.json") {
		var board struct{ UID string }
		if err := json.Unmarshal([]byte(read(t, name)), &board); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		grafana := filepath.Base(filepath.Dir(name))
		uids[grafana] = append(uids[grafana], board.UID)
	}
	link := regexp.MustCompile(`^/d/([a-z-]+)\?var-cluster=\{\{ \$(?:labels|externalLabels)\.cluster \}\}` +
		`(?:&var-node=\{\{ \$labels\.node \}\}|\{\{ with \$labels\.node \}\}&var-node=\{\{ \. \}\}\{\{ end \}\})?$`)
	for _, a := range alerts(t) {
		found := link.FindStringSubmatch(a.Annotations["dashboard"])
		if found == nil {
			t.Errorf("%s: the link to the dashboard has another form: %s", a.name(), a.Annotations["dashboard"])
			continue
		}
		if grafana := a.Annotations["grafana"]; !slices.Contains(uids[grafana], found[1]) {
			t.Errorf("%s: no dashboard of the Grafana %q has the uid %s", a.name(), grafana, found[1])
		}
	}
}
