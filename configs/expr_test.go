package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// unseen is what has no names of metrics in it: comments, strings, ranges, and lists
	// of labels.
	unseen = regexp.MustCompile(`#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|` +
		`\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	selector = regexp.MustCompile(`\{[^}]*\}`)
	// word is a name, with the bracket of a function behind it. A duration of an offset
	// begins with a digit, and is skipped as a whole.
	word = regexp.MustCompile(`[0-9][0-9a-zA-Z_.]*|([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(?)`)
)

// keywords are the words of PromQL that stand alone.
var keywords = []string{"and", "or", "unless", "bool", "offset", "group_left", "group_right", "inf", "nan", "atan2"}

// aggregations may have their labels before the bracket.
var aggregations = []string{"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "stddev", "stdvar", "group", "count_values"}

// metrics are the names of the metrics in an expression, in order, each once. A selector
// without a name is an error: nobody could say whether there is such a metric.
func metrics(expr string) ([]string, error) {
	expr = unseen.ReplaceAllString(expr, " ")
	if nameless := regexp.MustCompile(`(^|[^a-zA-Z0-9_:\s])\s*\{`).FindString(expr); nameless != "" {
		return nil, fmt.Errorf("a selector without a metric in %q", expr)
	}
	var names []string
	for _, found := range word.FindAllStringSubmatch(selector.ReplaceAllString(expr, " "), -1) {
		name := found[1]
		if name == "" || found[2] != "" || slices.Contains(keywords, strings.ToLower(name)) ||
			slices.Contains(aggregations, name) || slices.Contains(names, name) {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

func TestMetricsOfExpressions(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`up{job="a"} == 0`: "up",
		`sum by (cluster, node) (rate(a_total{x=~"b|c{}"}[5m])) / on (cluster) group_left count(b)`:     "a_total b",
		`sum(a) by (node) > 2 # seconds, not minutes`:                                                   "a",
		`cluster:x:sum unless on (le) y offset 5m`:                                                      "cluster:x:sum y",
		`label_replace(a, "node", "$1", "to", '(.+)') or vector(1) < bool inf`:                          "a",
		`max_over_time(a[1h:5m]) * 1e9 >= 0x1F and a * on (x) group_right (y) b and time() - c > 1.5e3`: "a b c",
		`count without (cpu) (min by (a) (b))`:                                                          "b",
	} {
		got, err := metrics(expr)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v (%v), want %s", expr, got, err, want)
		}
	}
	for _, expr := range []string{`{__name__="a"}`, `sum({job="a"})`, `a + {job="a"}`} {
		if got, err := metrics(expr); err == nil {
			t.Errorf("%s: got %v, want an error", expr, got)
		}
	}
}
