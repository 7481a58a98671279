//go:build linux

package watch

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dashboards"
)

// question is a query that has no answer yet.
type question struct {
	dashboards.Query
	server *prometheus
	expr   string // lapsed
	why    string
}

// dashboardsHaveData runs every query of every dashboard under traffic, until each has an
// answer that is not empty, or for a minute: so long may a panel be empty at first.
func dashboardsHaveData(t *testing.T, s *stack) {
	defer s.traffic(t)()
	open := s.questions(t)
	total, began := len(open), time.Now()
	for deadline := began.Add(patience); len(open) > 0 && time.Now().Before(deadline); time.Sleep(time.Second) {
		var rest []question
		for _, q := range open {
			if q.why = q.unanswered(); q.why != "" {
				rest = append(rest, q)
			}
		}
		open = rest
	}
	for _, q := range open {
		t.Errorf("%s, %s: %s\n%s", q.Dashboard, q.Panel, q.why, q.expr)
	}
	t.Logf("%d of %d queries of the dashboards were answered after %.0f s", total-len(open), total, time.Since(began).Seconds())
}

// unanswered is empty when the answer is what it should be.
func (q question) unanswered() string {
	answer, err := q.server.try(q.expr)
	if err != nil {
		return err.Error()
	}
	if q.MayBeEmpty != "" {
		return ""
	}
	if len(answer) > 0 && !slices.ContainsFunc(answer, func(s sample) bool { return !math.IsNaN(s.value()) }) {
		return q.server.name + " has nothing but NaN, which nobody sees"
	}
	return unless(len(answer) > 0, "%s has no series", q.server.name)
}

// questions are the queries of all dashboards in lapsed time.
func (s *stack) questions(t *testing.T) (all []question) {
	t.Helper()
	servers := map[string]*prometheus{"prom-leader": s.leader, "prom-follower-1": s.follower1, "prom-follower-2": s.follower2}
	scrape := s.lapse.interval(defaultScrape)
	for _, q := range dashboards.Queries() {
		server := servers[q.DataSource.UID]
		if server == nil {
			t.Errorf("%s, %s asks %+v, which is no Prometheus here", q.Dashboard, q.Panel, q.DataSource)
			continue
		}
		expr, err := s.lapse.expression(q.Resolve(dashboards.Values{}), scrape, false)
		if err != nil {
			t.Error(fmt.Errorf("%s, %s: %s: %w", q.Dashboard, q.Panel, q.Expr, err))
			continue
		}
		all = append(all, question{Query: q, server: server, expr: expr})
	}
	return all
}
