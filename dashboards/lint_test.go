package dashboards

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// plain is the JSON of a dashboard, decoded.
func plain(t *testing.T, d Dashboard) object {
	t.Helper()
	text, err := d.JSON(Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var board object
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	return board
}

// each calls check for every panel of every dashboard.
func each(t *testing.T, check func(t *testing.T, d Dashboard, p object)) {
	t.Helper()
	for _, d := range All() {
		for _, p := range list(plain(t, d), "panels") {
			t.Run(fmt.Sprint(d.UID, "/", p["title"]), func(t *testing.T) { check(t, d, p) })
		}
	}
}

func TestDashboards(t *testing.T) {
	uids := make(map[string]bool)
	for _, d := range All() {
		board := plain(t, d)
		if uids[d.UID] || !strings.HasPrefix(d.UID, "fanfare-") || len(d.UID) > 40 {
			t.Errorf("the uid %q is taken or wrong", d.UID)
		}
		uids[d.UID] = true
		for key, want := range map[string]any{
			"editable": false, "schemaVersion": float64(37), "uid": d.UID, "title": d.Title, "refresh": "30s", "graphTooltip": float64(1),
		} {
			if board[key] != want {
				t.Errorf("%s: %s is %v, not %v", d.UID, key, board[key], want)
			}
		}
		for _, key := range []string{"id", "rows", "version", "slug", "originalTitle", "hideControls", "sharedCrosshair"} {
			if _, ok := board[key]; ok {
				t.Errorf("%s: has %s", d.UID, key)
			}
		}
		if !bilingual(d.Title) || !strings.Contains(board["description"].(string), "\n\n") {
			t.Errorf("%s is not in both languages", d.UID)
		}
		if from := inside(board, "time")["from"]; from != "now-1h" {
			t.Errorf("%s: begins at %v", d.UID, from)
		}
	}
	if len(uids) != 9 {
		t.Errorf("%d dashboards", len(uids))
	}
}

// bilingual reports whether a title is English, a slash and Chinese.
func bilingual(title string) bool {
	english, chinese, ok := strings.Cut(title, " / ")
	return ok && english != "" && !hasHan(english) && (hasHan(chinese))
}

func hasHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

func TestIDsAreUniqueAndPanelsDoNotOverlap(t *testing.T) {
	for _, d := range All() {
		ids, cells := make(map[any]bool), make(map[[2]int]string)
		for _, p := range list(plain(t, d), "panels") {
			if id := p["id"]; ids[id] || id == float64(0) {
				t.Errorf("%s: the id %v is taken", d.UID, id)
			}
			ids[p["id"]] = true
			pos := inside(p, "gridPos")
			x, y, w, h := int(pos["x"].(float64)), int(pos["y"].(float64)), int(pos["w"].(float64)), int(pos["h"].(float64))
			if x < 0 || w < 1 || h < 1 || x+w > 24 {
				t.Errorf("%s, %v: lies at %v", d.UID, p["title"], pos)
			}
			for i := x; i < x+w; i++ {
				for j := y; j < y+h; j++ {
					if other := cells[[2]int{i, j}]; other != "" {
						t.Fatalf("%s: %v lies on %s", d.UID, p["title"], other)
					}
					cells[[2]int{i, j}] = p["title"].(string)
				}
			}
		}
	}
}

// coreTypes are the panels that every Grafana from 9.4 on has without a plugin.
var coreTypes = []string{"row", "timeseries", "stat", "gauge", "bargauge", "table", "heatmap", "state-timeline"}

// knownUnits are names of units that Grafana 9.4 knows.
var knownUnits = []string{"none", "short", "ops", "cps", "reqps", "s", "bytes", "Bps", "percentunit", "string", "suffix: cores"}

func TestPanels(t *testing.T) {
	titles := make(map[string]bool)
	each(t, func(t *testing.T, d Dashboard, p object) {
		kind := p["type"].(string)
		if !slices.Contains(coreTypes, kind) {
			t.Errorf("the type %s is not a part of Grafana", kind)
		}
		title := p["title"].(string)
		if !bilingual(title) {
			t.Errorf("the title %q is not in both languages", title)
		}
		if kind == "row" {
			return
		}
		if titles[d.UID+title] {
			t.Errorf("a second panel is called %q", title)
		}
		titles[d.UID+title] = true
		english, chinese, _ := strings.Cut(fmt.Sprint(p["description"]), "\n\n")
		if !strings.HasSuffix(english, ".") || hasHan(english) || !hasHan(chinese) || !strings.HasSuffix(chinese, "。") {
			t.Errorf("the description %q is not a sentence in both languages", p["description"])
		}
		defaults := inside(inside(p, "fieldConfig"), "defaults")
		if !slices.Contains(knownUnits, fmt.Sprint(defaults["unit"])) {
			t.Errorf("the unit is %v", defaults["unit"])
		}
		checkThresholds(t, inside(defaults, "thresholds"))
		checkTargets(t, p)
	})
}

func checkThresholds(t *testing.T, thresholds object) {
	t.Helper()
	steps := list(thresholds, "steps")
	if thresholds["mode"] != "absolute" || len(steps) == 0 || steps[0]["value"] != nil {
		t.Fatalf("the thresholds are %v", thresholds)
	}
	last := -1e300
	for _, s := range steps[1:] {
		value, ok := s["value"].(float64)
		if !ok || value <= last || s["color"] == "" {
			t.Errorf("the thresholds do not rise: %v", steps)
		}
		last = value
	}
}

var sourceByVariable = object{"type": "prometheus", "uid": "${datasource}"}

func checkTargets(t *testing.T, p object) {
	t.Helper()
	targets := list(p, "targets")
	if len(targets) == 0 {
		t.Fatal("asks nothing")
	}
	if !equal(p["datasource"], sourceByVariable) {
		t.Errorf("the data source is %v", p["datasource"])
	}
	refs := make(map[any]bool)
	for _, q := range targets {
		if refs[q["refId"]] {
			t.Errorf("%v is taken", q["refId"])
		}
		refs[q["refId"]] = true
		if !equal(q["datasource"], sourceByVariable) {
			t.Errorf("a query asks %v", q["datasource"])
		}
		if q["instant"] == q["range"] {
			t.Errorf("query %v is for both the newest and all values, or for none", q["refId"])
		}
		if len(targets) > 1 && p["type"] != "table" && q["legendFormat"] == "__auto" {
			t.Errorf("query %v of several has no legend", q["refId"])
		}
	}
	wantFormat := map[any]string{"table": "table", "heatmap": "heatmap"}[p["type"]]
	if wantFormat != "" && targets[0]["format"] != wantFormat {
		t.Errorf("the format is %v", targets[0]["format"])
	}
}

func equal(a any, b object) bool { return fmt.Sprint(a) == fmt.Sprint(map[string]any(b)) }

// rangeIn finds the windows of functions over time.
var rangeIn = regexp.MustCompile(`(\w+)\([^()]*\[([^\]]+)\]`)

func TestRates(t *testing.T) {
	for _, q := range Queries() {
		raw := q.DataSource != leaderSource
		for _, m := range rangeIn.FindAllStringSubmatch(q.Expr, -1) {
			function, window := m[1], m[2]
			switch {
			case !raw && (function == "rate" || function == "irate" || function == "increase"):
				t.Errorf("%s, %s: a %s over federated series: %s", q.Dashboard, q.Panel, function, q.Expr)
			case function == "rate" && window != "$__rate_interval" && window != "10m":
				t.Errorf("%s, %s: a rate over %s: %s", q.Dashboard, q.Panel, window, q.Expr)
			}
		}
		// What ends in _total is a counter: it is asked for with rate or increase only.
		for _, m := range regexp.MustCompile(`(\w*)\(?(\b\w+_total)\b`).FindAllStringSubmatch(q.Expr, -1) {
			if m[1] != "rate" && m[1] != "increase" && !strings.HasPrefix(q.Panel, "Load") { // which counts series, to know the cores
				t.Errorf("%s, %s: the counter %s without a rate: %s", q.Dashboard, q.Panel, m[2], q.Expr)
			}
		}
	}
}

// TestQueriesAskOneCluster: without it, two clusters on one Prometheus would be mixed.
func TestQueriesAskOneCluster(t *testing.T) {
	shared := regexp.MustCompile(`job="federate"|alertname="Watchdog"|^up$|:objective`)
	for _, q := range Queries() {
		if !strings.Contains(q.Expr, `cluster="$cluster"`) && !shared.MatchString(q.Expr) {
			t.Errorf("%s, %s asks all clusters: %s", q.Dashboard, q.Panel, q.Expr)
		}
		d, _ := Find(q.Dashboard)
		if strings.Contains(q.Expr, "$node") && !d.node {
			t.Errorf("%s, %s: has no variable node", q.Dashboard, q.Panel)
		}
	}
}

// TestReasonsToBeEmpty: a reason is a sentence without its full stop, and most queries
// have none.
func TestReasonsToBeEmpty(t *testing.T) {
	all := Queries()
	empty := slices.DeleteFunc(slices.Clone(all), func(q Query) bool { return q.MayBeEmpty == "" })
	for _, q := range empty {
		if len(strings.Fields(q.MayBeEmpty)) < 4 {
			t.Errorf("%s, %s: %q is no reason", q.Dashboard, q.Panel, q.MayBeEmpty)
		}
	}
	if len(empty)*5 > len(all) {
		t.Errorf("%d of %d queries may be empty", len(empty), len(all))
	}
}
