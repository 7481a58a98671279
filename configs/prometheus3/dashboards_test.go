package prometheus3

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDashboards parses every query of every dashboard, with a value in the place of each
// of Grafana's variables.
func TestDashboards(t *testing.T) {
	for _, side := range []string{"leader", "follower"} {
		for _, name := range files(t, "../../dashboards/"+side+"/*.json") {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var board any
			if err := json.Unmarshal(text, &board); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			queries := 0
			each(board, func(expr string) {
				queries++
				parse(t, name, filled(expr))
			})
			if queries == 0 {
				t.Errorf("%s has no query", name)
			}
		}
	}
}

// each finds the expressions in a dashboard, at whatever depth.
func each(value any, found func(expr string)) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if expr, ok := inner.(string); ok && key == "expr" {
				found(expr)
				continue
			}
			each(inner, found)
		}
	case []any:
		for _, inner := range v {
			each(inner, found)
		}
	}
}

// variable is one of Grafana's: $name or ${name}, or ${name:format}.
var variable = regexp.MustCompile(`\$(?:\{(\w+)(?::\w+)?\}|(\w+))`)

// filled has durations for the variables that are durations, and words for the others.
func filled(expr string) string {
	return variable.ReplaceAllStringFunc(expr, func(text string) string {
		switch name := strings.Trim(strings.Split(text, ":")[0], "${}"); name {
		case "__rate_interval", "__interval", "__range":
			return "5m"
		case "__range_s", "__interval_ms":
			return "300"
		default:
			return "x" + name
		}
	})
}

func TestVariablesAreFilled(t *testing.T) {
	for from, want := range map[string]string{
		`rate(x{a="$cluster",b=~"${node:regex}"}[$__rate_interval])`: `rate(x{a="xcluster",b=~"xnode"}[5m])`,
		`x[${__range}] / $__range_s`:                                 `x[5m] / 300`,
	} {
		if got := filled(from); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}
