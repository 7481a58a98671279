package message

import (
	"slices"
	"time"
)

// The two states of an alert and of a group of them.
const (
	StatusFiring   = "firing"
	StatusResolved = "resolved"
)

// Payload is what Alertmanager posts to a webhook, version 4 of the format: one group of
// alerts. A payload that [Decode] returned has no nil map and at least one alert, and
// every alert has a status.
type Payload struct {
	Version string `json:"version"`
	// GroupKey names the route and the group; it stays the same as long as the group lives.
	GroupKey string `json:"groupKey"`
	// TruncatedAlerts is how many alerts Alertmanager itself left out (max_alerts).
	TruncatedAlerts   int    `json:"truncatedAlerts"`
	Receiver          string `json:"receiver"`
	Status            string `json:"status"`
	Alerts            Alerts `json:"alerts"`
	GroupLabels       KV     `json:"groupLabels"`
	CommonLabels      KV     `json:"commonLabels"`
	CommonAnnotations KV     `json:"commonAnnotations"`
	// ExternalURL is the address under which people's browsers reach Alertmanager.
	ExternalURL string `json:"externalURL"`
	// NotificationReason says why this is sent ("repeat interval elapsed"); Alertmanager
	// 0.32 and newer only.
	NotificationReason string `json:"notification_reason,omitempty"`
	// RouteLabels are the labels of the route; Alertmanager 0.34 and newer only.
	RouteLabels KV `json:"routeLabels,omitempty"`
}

// Alert is one alert of a [Payload].
type Alert struct {
	Status      string `json:"status"`
	Labels      KV     `json:"labels"`
	Annotations KV     `json:"annotations"`
	// StartsAt keeps the offset that Alertmanager sent: templates in the field add eight
	// hours to a UTC time by hand. It is zero if it was not sent or not readable.
	StartsAt time.Time `json:"startsAt"`
	// EndsAt is zero while the alert fires.
	EndsAt       time.Time `json:"endsAt"`
	GeneratorURL string    `json:"generatorURL"`
	// Fingerprint is a hash of the labels, sixteen hexadecimal digits.
	Fingerprint string `json:"fingerprint"`
}

// Resolved reports whether the alert is over.
func (a Alert) Resolved() bool { return a.Status == StatusResolved }

// Severity is the label of that name, "" if there is none.
func (a Alert) Severity() string { return a.Labels["severity"] }

// Name is the label alertname, "" if there is none.
func (a Alert) Name() string { return a.Labels["alertname"] }

// Alerts is a list of alerts.
type Alerts []Alert

// Firing returns the alerts that fire.
func (as Alerts) Firing() Alerts { return as.with(StatusFiring) }

// Resolved returns the alerts that are over.
func (as Alerts) Resolved() Alerts { return as.with(StatusResolved) }

func (as Alerts) with(status string) Alerts {
	var list Alerts
	for _, a := range as {
		if a.Status == status {
			list = append(list, a)
		}
	}
	return list
}

// KV holds labels or annotations. The nil map is usable.
type KV map[string]string

// Pair is a name with its value.
type Pair struct{ Name, Value string }

// Pairs is a list of them.
type Pairs []Pair

// Names returns the names in the order of the list.
func (ps Pairs) Names() []string {
	names := make([]string, len(ps))
	for i, p := range ps {
		names[i] = p.Name
	}
	return names
}

// Values returns the values in the order of the list.
func (ps Pairs) Values() []string {
	values := make([]string, len(ps))
	for i, p := range ps {
		values[i] = p.Value
	}
	return values
}

// SortedPairs returns what kv holds by name, alertname before all others.
func (kv KV) SortedPairs() Pairs {
	names := make([]string, 0, len(kv))
	for name := range kv {
		if name != "alertname" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if _, ok := kv["alertname"]; ok {
		names = slices.Insert(names, 0, "alertname")
	}
	pairs := make(Pairs, len(names))
	for i, name := range names {
		pairs[i] = Pair{Name: name, Value: kv[name]}
	}
	return pairs
}

// Remove returns a copy of kv without the given names.
func (kv KV) Remove(names []string) KV {
	rest := make(KV, len(kv))
	for name, value := range kv {
		if !slices.Contains(names, name) {
			rest[name] = value
		}
	}
	return rest
}

// Names returns the sorted names.
func (kv KV) Names() []string { return kv.SortedPairs().Names() }

// Values returns the values in the order of [KV.Names].
func (kv KV) Values() []string { return kv.SortedPairs().Values() }
