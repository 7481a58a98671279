package message

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	mostSummary     = 200  // runes
	mostDescription = 1000 // runes, for a single alert
	mostPlaces      = 6    // labels that say where
	mostDetailed    = 4    // alerts of a message that are shown with everything
)

// view is an alert as templates see it: the alert itself and what people want to read of
// it, escaped. Its methods are the template authors' interface.
type view struct {
	Alert
	words   words
	links   Links
	actions func(Alert) []Link
	// placed: the heading of the message names the cluster.
	placed bool
}

func (v view) class() class { return classify(v.Alert.Severity()) }

// Icon is a coloured dot for the severity.
func (v view) Icon() string {
	if v.Resolved() {
		return resolvedIcon
	}
	return v.class().icon()
}

// How is the severity in words, or that the alert is over.
func (v view) How() string {
	if v.Resolved() {
		return v.words.pick("已恢复", "Resolved")
	}
	if s := oneLine(v.Alert.Severity(), 30); v.class() == unclassed && s != "" {
		return escape(s)
	}
	return v.words.severity(v.class())
}

// annotation is the annotation of a name in the language of the reader.
func (v view) annotation(name string) string {
	if v.words.chinese && strings.TrimSpace(v.Annotations[name+"_zh"]) != "" {
		return v.Annotations[name+"_zh"]
	}
	return v.Annotations[name]
}

// plain is what is wrong, without escapes.
func (v view) plain() string {
	for _, text := range []string{v.annotation("summary"), v.annotation("title"), v.annotation("description"), v.annotation("message")} {
		if text = oneLine(text, mostSummary); text != "" {
			return text
		}
	}
	text := oneLine(v.Name(), mostSummary)
	if text == "" {
		text = v.words.pick("没有名字的告警", "An alert without a name")
	}
	for _, label := range []string{"node", "instance", "pod"} {
		if place := oneLine(v.Labels[label], 60); place != "" {
			return text + " " + place
		}
	}
	return text
}

// Summary is what is wrong, in one line.
func (v view) Summary() string { return escape(v.plain()) }

// Description is the rest of what the rule has to say, "" if it is nothing more, or over.
func (v view) Description() string {
	if v.Resolved() {
		return ""
	}
	for _, name := range []string{"description", "message"} {
		if text := v.annotation(name); strings.TrimSpace(text) != "" && oneLine(text, mostSummary) != v.plain() {
			return escapeLines(text, mostDescription)
		}
	}
	return ""
}

// When says since when the alert fires, or how long it lasted.
func (v view) When() string {
	if v.Resolved() {
		return v.words.lasted(v.Alert)
	}
	return v.words.since(v.Alert)
}

// Where names the labels that say where: cluster, node or instance, and a few others that
// are not only for machines.
func (v view) Where() string {
	var parts []string
	for _, p := range v.places() {
		parts = append(parts, v.words.label(p.Name)+" "+escape(oneLine(p.Value, 80)))
	}
	return strings.Join(parts, " · ")
}

func (v view) places() Pairs {
	var places Pairs
	add := func(name string) {
		if len(places) < mostPlaces && strings.TrimSpace(v.Labels[name]) != "" {
			places = append(places, Pair{name, v.Labels[name]})
		}
	}
	if !v.placed {
		add("cluster")
	}
	add("node")
	if v.Labels["node"] == "" {
		add("instance")
	}
	if len(places) == 0 && !v.placed {
		add("job")
	}
	for _, p := range v.Labels.SortedPairs() {
		switch p.Name {
		case "alertname", "severity", "component", "prometheus", "replica", "monitor", "job", "cluster", "node", "instance", "__name__":
		default:
			add(p.Name)
		}
	}
	return places
}

// Rule is the alert's name.
func (v view) Rule() string { return escape(oneLine(v.Name(), 80)) }

// Facts are When, Where and Rule on one line.
func (v view) Facts() string {
	facts := []string{v.When(), v.Where()}
	if !strings.HasPrefix(v.plain(), v.Name()) {
		facts = append(facts, v.Rule())
	}
	return strings.Join(slices.DeleteFunc(facts, func(s string) bool { return s == "" }), " · ")
}

// Short is Summary with the time, the place if the summary does not tell, and the name of
// an alert that is over.
func (v view) Short() string {
	parts := []string{v.Summary()}
	if place := v.place(); place != "" && !strings.Contains(v.plain(), place) {
		parts = append(parts, escape(place))
	}
	switch {
	case v.StartsAt.IsZero():
	case v.Resolved() && v.EndsAt.After(v.StartsAt):
		parts = append(parts, fmt.Sprintf(v.words.pick("持续 %s", "lasted %s"), v.words.duration(v.EndsAt.Sub(v.StartsAt))))
	default:
		parts = append(parts, fmt.Sprintf(v.words.pick("%s 起", "%s"), v.words.clock(v.StartsAt)))
	}
	if name := v.Rule(); v.Resolved() && name != "" && name != parts[0] {
		parts = append(parts, name)
	}
	return strings.Join(parts, " · ")
}

// place is the node, or the host of the instance.
func (v view) place() string {
	if node := oneLine(v.Labels["node"], 60); node != "" {
		return node
	}
	instance := oneLine(v.Labels["instance"], 60)
	if host, _, err := net.SplitHostPort(instance); err == nil && host != "" && strings.Contains(v.plain(), host) {
		return host
	}
	return instance
}

// Links are where to look and what can be done, on one line.
func (v view) Links() string {
	list := v.look()
	if !v.Resolved() && v.actions != nil {
		for _, l := range v.actions(v.Alert) {
			list = append(list, link(l.Text, l.URL))
		}
	}
	return joinLinks(list)
}

func (v view) look() []string {
	list := []string{link(v.words.pick("看板", "Dashboard"), v.dashboard())}
	if list[0] == "" {
		list[0] = link(v.words.pick("图表", "Graph"), v.GeneratorURL)
	}
	if !v.Resolved() {
		list = append(list, link(v.words.pick("处理手册", "Runbook"), v.Annotations["runbook_url"]))
	}
	return list
}

func joinLinks(list []string) string {
	list = slices.DeleteFunc(list, func(l string) bool { return l == "" })
	return strings.Join(list, " · ")
}

// dashboard is the address of the alert's dashboard, opened at the time of the alert.
func (v view) dashboard() string {
	path := strings.TrimSpace(v.Annotations["dashboard"])
	if path == "" {
		return ""
	}
	if strings.HasPrefix(path, "/") {
		base := v.links.GrafanaLeader
		if v.Annotations["grafana"] == "follower" {
			base = v.links.GrafanaFollower
		}
		if base == "" {
			return ""
		}
		path = strings.TrimRight(base, "/") + path
	}
	u, err := url.Parse(path)
	if err != nil || v.StartsAt.IsZero() || u.Query().Has("from") {
		return path
	}
	to := "now"
	if v.Resolved() && !v.EndsAt.IsZero() {
		to = fmt.Sprint(v.EndsAt.Add(15 * time.Minute).UnixMilli())
	}
	separator := "?"
	if u.RawQuery != "" {
		separator = "&"
	}
	return fmt.Sprintf("%s%sfrom=%d&to=%s", path, separator, v.StartsAt.Add(-15*time.Minute).UnixMilli(), to)
}

// compareViews puts what needs somebody first: firing before resolved, critical before the
// rest, then names together, then the oldest.
func compareViews(a, b view) int {
	if a.Resolved() != b.Resolved() {
		if a.Resolved() {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(a.class(), b.class()), cmp.Compare(a.Name(), b.Name()), a.StartsAt.Compare(b.StartsAt))
}

// brief cuts a text to so many runes.
func brief(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
