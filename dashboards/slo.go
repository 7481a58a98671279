package dashboards

// What was promised, as configs/rules/leader/slo.yml has it, for colours: Grafana takes
// no threshold from a query. What is measured is recorded there.
const (
	objectiveDelivered = 0.995 // share of the messages that are judged
	objectiveInTime    = 0.99  // share of the deliveries that take less than lateSeconds
	lateSeconds        = 0.99

	// How many times too fast a budget burns when an alert fires, over an hour and over
	// six hours.
	burnHour     = 14.4
	burnSixHours = 6
)

// deliveredShare is the share of judged messages that ended well in five minutes.
func deliveredShare() string { return `1 - max(` + fed("global:fanfare_delivery_errors:ratio5m") + `)` }

// inTimeShare is the share of deliveries within the latency objective.
func inTimeShare() string { return `1 - max(` + fed("global:fanfare_latency_errors:ratio5m") + `)` }

// burnWindows are the windows that alerts look at.
func burnWindows() []string { return []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"} }

// burn asks how many times too fast a budget is used, for each window.
func burn(objective string) (out []query) {
	for _, window := range burnWindows() {
		out = append(out, q(`max(`+fed("global:fanfare_"+objective+"_burn:ratio"+window)+`)`, window))
	}
	return out
}

// budgetLeft is what is left of the budget of 30 days, as far as the leader's data reach.
func budgetLeft(objective string) string {
	over := func(record string) string {
		return `sum(sum_over_time(` + fed("global:fanfare_"+objective+"_"+record+":rate5m") + `[30d]))`
	}
	return `1 - ` + ratio(over("bad"), over("all")) + ` / scalar(1 - global:fanfare_slo_` + objective + `:objective)`
}

// canaryLossShare is the share of canary pushes that were lost.
func canaryLossShare() string {
	return ratio(`sum(`+fed("global:fanfare_canary_lost:rate5m")+`)`, `sum(`+fed("global:fanfare_canary_pushes:rate5m")+`)`)
}

// dataAge is how old the oldest of the followers' records is, in seconds.
func dataAge() string { return `max(` + fed("global:fanfare_record_age_seconds:max") + `)` }
