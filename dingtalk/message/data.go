package message

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	mostValue = 16 << 10 // bytes of a label or annotation that templates see
	mostTitle = 80       // runes
)

// data is what templates are run on: the payload, with the alerts as [view]s, of which
// there may be fewer than the payload has because there was no room.
type data struct {
	*Payload
	Alerts views
	// AtMobiles are the numbers that the message calls.
	AtMobiles []string
	Target    string

	words   words
	all     views // every alert, in the order of importance
	count   count
	cluster string // that all alerts have in common, "" if there is none
}

// data makes what templates are run on, with no alert shown yet.
func (t *Templates) data(in Input) data {
	all := t.views(in.Payload.Alerts, in.Actions)
	return data{Payload: in.Payload, Target: in.Target, words: t.words, all: all, count: all.count(), cluster: oneLine(common(all)["cluster"], 60)}
}

// views is a list of alerts as templates see it.
type views []view

// Firing returns the alerts that fire.
func (vs views) Firing() views {
	return slices.DeleteFunc(slices.Clone(vs), func(v view) bool { return v.Resolved() })
}

// Resolved returns the alerts that are over.
func (vs views) Resolved() views {
	return slices.DeleteFunc(slices.Clone(vs), func(v view) bool { return !v.Resolved() })
}

// count is how many alerts there are of each kind.
type count struct {
	firing           [classes]int
	fires, recovered int
}

func (vs views) count() count {
	var c count
	for _, v := range vs {
		if v.Resolved() {
			c.recovered++
		} else {
			c.firing[v.class()]++
			c.fires++
		}
	}
	return c
}

// severities says how many fire of each severity, such as "严重 3 · 警告 30".
func (c count) severities(w words) string {
	var parts []string
	for kind, n := range c.firing {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", w.severity(class(kind)), n))
		}
	}
	return strings.Join(parts, " · ")
}

// views makes the views of alerts, the most important first, with values of a bounded length.
func (t *Templates) views(alerts Alerts, actions func(Alert) []Link) views {
	vs := make(views, len(alerts))
	for i, a := range alerts {
		a.Labels, a.Annotations = bounded(a.Labels), bounded(a.Annotations)
		vs[i] = view{Alert: a, words: t.words, links: t.options.Links, actions: actions}
	}
	slices.SortStableFunc(vs, compareViews)
	return vs
}

// bounded returns kv, or a copy with its long values cut.
func bounded(kv KV) KV {
	long := false
	for name, value := range kv {
		long = long || len(value) > mostValue || len(name) > mostValue
	}
	if !long {
		return kv
	}
	kv = maps.Clone(kv)
	for name, value := range kv {
		if len(name) > mostValue {
			delete(kv, name)
		} else {
			kv[name] = cutBytes(value, mostValue)
		}
	}
	return kv
}

// FiringCount is how many alerts of the payload fire, whether they are shown or not.
func (d *data) FiringCount() int { return d.count.fires }

// icon is the colour of the worst alert.
func (d *data) icon() string { return d.all[0].Icon() }

// counts says how many alerts there are, if there are several.
func (d *data) counts() string {
	w, c := d.words, d.count
	switch {
	case c.fires == 0:
		return w.resolved(c.recovered)
	case c.recovered == 0:
		return w.alerts(c.fires)
	}
	return w.alerts(c.fires) + fmt.Sprintf(w.pick("，%d 条已恢复", ", %d resolved"), c.recovered)
}

// Headline is the title: what a phone shows before the message is opened. Plain text.
func (d *data) Headline() string {
	first := d.all[0]
	text := first.plain()
	if c := d.cluster; c != "" && !strings.Contains(text, c) {
		text = brief(text, mostTitle-20) + " · " + brief(c, 20)
	}
	what := first.words.severity(first.class())
	switch {
	case len(d.all) > 1:
		what = d.counts()
	case first.Resolved():
		what = d.words.pick("已恢复", "Resolved")
		if first.EndsAt.After(first.StartsAt) && !first.StartsAt.IsZero() {
			what += fmt.Sprintf(d.words.pick("（%s）", " (%s)"), d.words.duration(first.EndsAt.Sub(first.StartsAt)))
		}
	}
	return brief(d.icon()+" "+what+d.words.pick("：", ": ")+text, mostTitle)
}

// Heading is the first line of the text.
func (d *data) Heading() string {
	if first := d.all[0]; len(d.all) == 1 {
		return d.icon() + " " + first.How() + d.words.pick("：", ": ") + first.Summary()
	}
	text := d.icon() + " " + d.counts()
	if c := d.cluster; c != "" {
		text += " · " + d.words.label("cluster") + " " + escape(c)
	}
	return text
}

// section is a part of a message: one alert with everything, or several in a line each.
type section struct {
	Alerts   views
	Detailed bool
	alone    bool // the heading of the message says it all
}

// Sections are the parts of the message: one for each alert if they are few, else one
// for each kind of alert, and one for all that are over.
func (d *data) Sections() []section {
	shown := slices.Clone(d.Alerts)
	if len(d.all) > 1 && d.cluster != "" {
		for i := range shown {
			shown[i].placed = true
		}
	}
	if len(d.all) > mostDetailed {
		return sections(shown)
	}
	list := make([]section, len(shown))
	for i, v := range shown {
		list[i] = section{Alerts: views{v}, Detailed: true, alone: len(d.all) == 1}
	}
	return list
}

// joins reports whether v belongs into the section of another alert.
func (v view) joins(o view) bool {
	if v.Resolved() || o.Resolved() {
		return v.Resolved() == o.Resolved()
	}
	return v.class() == o.class() && v.Name() == o.Name()
}

// Heading names the section, "" if the message's heading does.
func (s section) Heading() string {
	first := s.Alerts[0]
	switch how := first.Icon() + " " + first.How(); {
	case s.alone:
		return ""
	case s.Detailed:
		return how + first.words.pick("：", ": ") + first.Summary()
	case first.Resolved():
		return how + times(len(s.Alerts))
	default:
		return how + " · " + first.Rule() + times(len(s.Alerts))
	}
}

func times(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" × %d", n)
}

// Links lead to the dashboard of the section's first alert, and act upon all of them.
func (s section) Links() string {
	first := s.Alerts[0]
	if first.Resolved() {
		return ""
	}
	if len(s.Alerts) > 1 {
		first.Alert.Labels, first.Fingerprint = common(s.Alerts), ""
		if first.Name() == "" { // nothing in common: links would act upon everything
			first.actions = nil
		}
	}
	return first.Links()
}

// common returns the labels that all alerts share.
func common(vs views) KV {
	shared := maps.Clone(vs[0].Labels)
	for _, v := range vs[1:] {
		maps.DeleteFunc(shared, func(name, value string) bool {
			other, ok := v.Labels[name]
			return !ok || other != value
		})
		if len(shared) == 0 {
			break
		}
	}
	return shared
}
