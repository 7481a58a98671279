package dashboards

import "strings"

// Selectors that most queries share.
const (
	ofCluster = `cluster="$cluster"`
	ofNode    = `cluster="$cluster",node=~"$node"`
	// Times of a message are measured where it came in, which is an allocator for the
	// HTTP API: a process without the label node.
	ofEntry = `cluster="$cluster",node=~"$node|"`
)

// Outcomes that the objective for delivery judges; the others are nobody's fault
// (a device that is not there, a filter, an expired message).
const (
	goodOutcomes = "acked|sent"
	badOutcomes  = "ack_timeout|rejected|slow|node_lost|evicted|failed"
)

// fed selects a series that the leader recorded. Those of single nodes are federated as
// they are: replicas of a follower record the same, so one of them is taken.
func fed(record string, matchers ...string) string {
	selector := record + "{" + strings.Join(append([]string{ofCluster}, matchers...), ",") + "}"
	if strings.HasPrefix(record, "global:") {
		return selector
	}
	return "max without (replica) (" + selector + ")"
}

// lively keeps the series of a record, summed by a label, that were more than zero at
// some time in the last hour, for labels with many values of which few happen.
func lively(label, record string) string {
	return "sum by (" + label + ") (" + fed(record) + ") and on (" + label + ") sum by (" + label + ") (max_over_time(" + fed(record) + "[1h])) > 0"
}

// rate is the rate of a raw counter in the time that Grafana finds right.
func rate(metric, matchers string) string {
	return "rate(" + metric + "{" + matchers + "}[$__rate_interval])"
}

// happened keeps the rates, summed by labels, of what happened in the last hour.
func happened(labels, metric, matchers string) string {
	return "sum by (" + labels + ") (" + rate(metric, matchers) + ") and on (" + labels + ") sum by (" + labels + ") (increase(" + metric + "{" + matchers + "}[1h])) > 0"
}

// quantile estimates a quantile from buckets that are summed by labels.
func quantile(share, labels, rates string) string {
	by := "le"
	if labels != "" {
		by += ", " + labels
	}
	return "histogram_quantile(" + share + ", sum by (" + by + ") (" + rates + "))"
}

// ratio divides, and has no answer where there is nothing to divide by.
func ratio(part, whole string) string { return part + " / (" + whole + " > 0)" }

// detail leads to a dashboard of the follower's Grafana, with the same cluster and time.
func detail(uid string) link {
	return link{"Detail / 明细", "${follower_url}/d/" + uid + "?var-cluster=${cluster}&${__url_time_range}"}
}

// nodeDetail leads from a series with the label node to that node.
func nodeDetail() link {
	return link{"Node ${__field.labels.node} / 节点", "${follower_url}/d/fanfare-node?var-cluster=${cluster}&var-node=${__field.labels.node}&${__url_time_range}"}
}

// here leads to another dashboard of the same Grafana.
func here(title, uid string) link {
	return link{title, "/d/" + uid + "?var-cluster=${cluster}&${__url_time_range}"}
}

// outcomePaint gives outcomes the same colours everywhere.
func outcomePaint() map[string]string {
	return map[string]string{
		"acked": "green", "sent": "dark-green", "ack_timeout": "orange", "offline": "blue", "expired": "light-blue", "evicted": "dark-orange",
		"collapsed": "purple", "filtered": grey, "rejected": "yellow", "slow": "dark-yellow", "node_lost": "dark-red", "failed": "red",
	}
}

// statePaint gives the states of nodes the same colours everywhere.
func statePaint() map[string]string {
	return map[string]string{"serving": "green", "draining": "yellow", "lost": "red"}
}

// upDown names 1 and 0.
func upDown() []mapping {
	return []mapping{{"0", "down / 停", red}, {"1", "up / 正常", green}}
}
