package dashboards

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/exporter"
)

func TestResolveLeavesNoVariable(t *testing.T) {
	for _, q := range Queries() {
		if expr := q.Resolve(Values{}); strings.ContainsRune(expr, '$') {
			t.Errorf("%s, %s: a variable is left in %s", q.Dashboard, q.Panel, expr)
		}
	}
	q := Query{Expr: `rate(x{cluster="$cluster",node=~"$node"}[$__rate_interval])`}
	if got, want := q.Resolve(Values{Cluster: "c", Node: "n", Rate: "5m"}), `rate(x{cluster="c",node=~"n"}[5m])`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestQueriesAreThoseOfTheJSON(t *testing.T) {
	want := make(map[string]int)
	for _, q := range Queries() {
		if strings.HasPrefix(q.Panel, "variable ") {
			continue
		}
		want[q.Dashboard+" "+q.Expr]++
	}
	for _, d := range All() {
		board := plain(t, d)
		for _, p := range list(board, "panels") {
			for _, target := range list(p, "targets") {
				want[d.UID+" "+target["expr"].(string)]--
			}
		}
		for _, a := range list(inside(board, "annotations"), "list") {
			want[d.UID+" "+a["expr"].(string)]--
		}
	}
	for expr, n := range want {
		if n != 0 {
			t.Errorf("%s: Queries and the JSON differ by %d", expr, n)
		}
	}
}

// Names that follow from one that is registered.
var suffixes = []string{"_bucket", "_count", "_sum"}

// notMetrics are the parts of a query in which no metric stands: strings, matchers,
// lists of labels, windows and names of functions.
var notMetrics = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|\b(?:by|on|without|group_left) ?\([^)]*\)|\b[a-z_0-9]+ ?\(`)

var matchers = regexp.MustCompile(`\{[^}]*\}`)

// named is what is left and has the form of a metric's name.
var named = regexp.MustCompile(`\b(?:up|ALERTS|[a-zA-Z]+[_:][a-zA-Z0-9_:]*)\b`)

// metrics are the names that a query asks for.
func metrics(expr string) []string {
	return named.FindAllString(matchers.ReplaceAllString(notMetrics.ReplaceAllString(expr, " "), " "), -1)
}

// TestEveryMetricExists: a name in a query is one that the exporter registers, one that
// a rule records, or one that is known of another program.
func TestEveryMetricExists(t *testing.T) {
	known := knownMetrics(t)
	seen := make(map[string]bool)
	for _, q := range Queries() {
		names := metrics(q.Resolve(Values{}))
		if len(names) == 0 {
			t.Errorf("%s, %s: no metric was found in %s", q.Dashboard, q.Panel, q.Expr)
		}
		for _, name := range names {
			seen[name] = true
			if !known[name] && !slices.ContainsFunc(suffixes, func(s string) bool { return known[strings.TrimSuffix(name, s)] }) {
				t.Errorf("%s, %s: nobody has the metric %s", q.Dashboard, q.Panel, name)
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d metrics were found in all queries", len(seen))
	}
}

// knownMetrics gathers the names that the exporter registers and those that stand in the
// bridge's source, in the rules, and in the lists of what other programs export.
func knownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{"up": true, "ALERTS": true, "scrape_duration_seconds": true, "scrape_samples_post_metric_relabeling": true}
	reg := exporter.NewRegistry(exporter.Build{})
	exporter.New(reg)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		known[f.GetName()] = true
	}
	collect := func(pattern, prefix, find string) {
		for _, name := range inFiles(t, pattern, regexp.MustCompile(find)) {
			known[prefix+name] = true
		}
	}
	collect("exporter/cluster_descs.go", "fanfare_", `desc\("([a-z_]+)"`)
	collect("exporter/metrics_canary.go", "fanfare_", `"(canary_[a-z_]+)"`)
	collect("dingtalk/metrics.go", "fanfare_dingtalk_", `(?:counter|gauge|desc)\("([a-z_]+)"`)
	collect("dingtalk/metrics.go", "fanfare_dingtalk_", `Name: +prefix \+ "([a-z_]+)"`)
	collect("*/*.go", "fanfare_", `"(certificate_expiry_timestamp_seconds)"`)
	collect("configs/rules/*/*.yml", "", `record: (\S+)`)
	collect("configs/testdata/foreign/*.txt", "", `(?m)^([a-zA-Z_0-9]+)\b`)
	return known
}

// inFiles finds what an expression catches in files of the repository.
func inFiles(t *testing.T, pattern string, find *regexp.Regexp) (found []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range find.FindAllSubmatch(text, -1) {
			found = append(found, string(match[1]))
		}
	}
	if len(found) == 0 {
		t.Errorf("nothing in %s looks like %s", pattern, find)
	}
	return found
}
