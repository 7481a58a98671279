package prometheus3

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// parse reads an expression and checks what the parser lets pass.
func parse(t *testing.T, where, text string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, text)
		return
	}
	for _, problem := range problems(expr) {
		t.Errorf("%s: %s\n%s", where, problem, text)
	}
}

// problems are what one version of Prometheus does and another does not: a bucket with a
// whole number as its bound is called le="1" by the one and le="1.0" by the other.
func problems(expr parser.Expr) (all []string) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, m := range selector.LabelMatchers {
			if m.Name == "le" && m.Value != "+Inf" && !strings.ContainsAny(m.Value, ".$|") {
				all = append(all, "Prometheus 3 has no bucket "+m.String())
			}
		}
		return nil
	})
	return all
}

func TestProblemsAreSeen(t *testing.T) {
	for text, want := range map[string]int{
		`x{le="1"}`:                            1,
		`sum(rate(x_bucket{le="10"}[5m])) / y`: 1,
		`x{le="0.99"} + x{le="+Inf"}`:          0,
		`x{level="1"}`:                         0,
	} {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := problems(expr); len(got) != want {
			t.Errorf("%s: %q, want %d", text, got, want)
		}
	}
}
