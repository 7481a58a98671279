package dashboards

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
)

// TestPromisesAreThoseOfTheRules: the numbers that colour the dashboards are those that
// the rules judge by and alert at.
func TestPromisesAreThoseOfTheRules(t *testing.T) {
	const promises, canary = "configs/rules/leader/slo.yml", "configs/rules/follower-1/delivery.yml"
	for _, c := range []struct {
		file, find, want string
	}{
		{promises, `delivery:objective\n +expr: vector\((.+)\)`, fmt.Sprint(objectiveDelivered)},
		{promises, `latency:objective\n +expr: vector\((.+)\)`, fmt.Sprint(objectiveInTime)},
		{promises, `duration_seconds_bucket:rate5m\{le="(.+)"\}`, fmt.Sprint(lateSeconds)},
		{canary, `fanfare_canary_seconds\[.+\]\)\) > ([0-9.]+)`, fmt.Sprint(lateSeconds)},
		{promises, `_burn:ratio1h > (.+)`, fmt.Sprint(burnHour)},
		{promises, `_burn:ratio6h > (.+)\n +and .+ratio30m`, fmt.Sprint(burnSixHours)},
		{promises, `delivery_bad:rate5m\n.*outcome=~"(.+)"`, badOutcomes},
		{promises, `delivery_all:rate5m\n.*outcome=~"(.+)"`, goodOutcomes + "|" + badOutcomes},
	} {
		for _, found := range inFiles(t, c.file, regexp.MustCompile(c.find)) {
			if found != c.want {
				t.Errorf("%s has %s where the dashboards have %s (%s)", c.file, found, c.want, c.find)
			}
		}
	}
}

// TestTextsNameThePromises: so do the texts for people.
func TestTextsNameThePromises(t *testing.T) {
	named := regexp.MustCompile(`[0-9]+\.[0-9]+ ?(?:%|s\b|秒)`)
	late, delivered := fmt.Sprint(lateSeconds), fmt.Sprintf("%.4g", 100*objectiveDelivered)
	promised := []string{late + " s", late + " 秒", delivered + " %"}
	seen := 0
	for _, d := range All() {
		texts := []string{d.description.en, d.description.zh}
		for _, p := range d.panels {
			texts = append(texts, p.about, p.aboutZH)
		}
		for _, text := range texts {
			for _, number := range named.FindAllString(text, -1) {
				if seen++; !slices.Contains(promised, number) {
					t.Errorf("%s says %q, which is none of %v: %s", d.UID, number, promised, text)
				}
			}
		}
	}
	if seen < len(promised) {
		t.Errorf("only %d promises were found in the texts", seen)
	}
}
