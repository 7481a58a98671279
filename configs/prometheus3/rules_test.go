package prometheus3

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// files are those that match, of which there must be some.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) == 0 {
		t.Fatalf("no file matches %s: %v", pattern, err)
	}
	return all
}

// TestRules reads every rule file as the server does at its start: names, labels,
// templates of annotations and expressions.
func TestRules(t *testing.T) {
	for _, side := range []string{"leader", "follower-1", "follower-2"} {
		rules := 0
		for _, name := range files(t, "../rules/"+side+"/*.yml") {
			groups, errs := rulefmt.ParseFile(name, false, model.LegacyValidation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
			for _, err := range errs {
				t.Error(err)
			}
			if groups == nil {
				continue
			}
			for _, group := range groups.Groups {
				rules += len(group.Rules)
				for _, rule := range group.Rules {
					parse(t, name+": "+rule.Record+rule.Alert, rule.Expr)
				}
			}
		}
		if rules < 10 {
			t.Errorf("%s has %d rules", side, rules)
		}
	}
}
