package dashboards

import "strings"

// Query is one question that a dashboard asks Prometheus.
type Query struct {
	Dashboard  string     // uid
	Panel      string     // title; "annotation" or "variable NAME" for those
	DataSource DataSource // whom it is asked
	Expr       string     // with Grafana's variables
	// MayBeEmpty says why an answer without a series is right, even under traffic. An
	// empty answer to any other query is a mistake.
	MayBeEmpty string
}

// Queries lists every query of every dashboard: those of panels, those of annotations,
// and the ones behind variables, as the series whose label a variable offers.
func Queries() (out []Query) {
	for _, d := range All() {
		for _, p := range d.panels {
			for _, q := range p.queries {
				out = append(out, Query{d.UID, p.title, d.Source, q.expr, q.mayBeEmpty})
			}
		}
		out = append(out, Query{d.UID, "annotation", d.Source, annotationExpr, "no alert has to fire"})
		for _, v := range d.variables(Settings{Source: d.Source}) {
			if asked, ok := v.Query.(object); ok {
				out = append(out, Query{d.UID, "variable " + v.Name, d.Source, series(asked["query"].(string)), ""})
			}
		}
	}
	return out
}

// series is the selector inside label_values(selector, label).
func series(expr string) string {
	expr = strings.TrimPrefix(expr, "label_values(")
	return expr[:strings.LastIndexByte(expr, ',')]
}

// Values are what Grafana would put in the place of variables.
type Values struct {
	Cluster string // default: fanfare
	Node    string // a regular expression; default: every node
	// Rate is $__rate_interval, which Grafana makes four scrape intervals long at
	// least. Default: 1m.
	Rate string
}

// Resolve puts values in the place of the variables in an expression: $cluster, $node,
// $__rate_interval and $__interval. What is left is PromQL.
func (q Query) Resolve(v Values) string {
	if v.Cluster == "" {
		v.Cluster = "fanfare"
	}
	if v.Node == "" {
		v.Node = allNodes
	}
	if v.Rate == "" {
		v.Rate = "1m"
	}
	return strings.NewReplacer("$__rate_interval", v.Rate, "$__interval", v.Rate, "$cluster", v.Cluster, "$node", v.Node).Replace(q.Expr)
}
