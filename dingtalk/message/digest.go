package message

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Digest makes one message of many payloads, which are given in the order of their
// arrival: the newest state of every alert, critical first, resolved last, a line each as
// far as there is room.
func (t *Templates) Digest(payloads []*Payload, mention Mention) (Message, error) {
	list, err := t.Digests(payloads, mention, 1)
	if err != nil {
		return Message{}, err
	}
	return list[0], nil
}

// Digests is Digest spread over at most so many messages, numbered, so that more alerts
// are named. Only the first one calls people; only the last one can leave alerts out.
func (t *Templates) Digests(payloads []*Payload, mention Mention, most int) ([]Message, error) {
	alerts, omitted := newest(payloads)
	if len(alerts) == 0 {
		return nil, fmt.Errorf("there is no alert in %d payloads to make a digest of", len(payloads))
	}
	all := t.views(alerts, nil)
	d := digest{Templates: t, all: all, count: all.count(), payloads: len(payloads), omitted: omitted, at: mention.at(all)}
	d.title = d.headline()
	return d.write(max(most, 1)), nil
}

// newest returns the newest state of every alert in the payloads, and how many alerts
// Alertmanager left out of them. Of a group's payloads the newest counts for that, but an
// alert that only an older one has is kept: its end, or its start, is still news.
func newest(payloads []*Payload) (alerts Alerts, omitted int) {
	place := map[string]int{}
	left := map[string]int{}
	for _, p := range payloads {
		if p == nil {
			continue
		}
		left[p.GroupKey] = p.TruncatedAlerts
		for _, a := range p.Alerts {
			key := identity(a)
			if i, ok := place[key]; ok {
				alerts[i] = a
				continue
			}
			place[key] = len(alerts)
			alerts = append(alerts, a)
		}
	}
	for _, n := range left {
		omitted += n
	}
	return alerts, omitted
}

// identity is equal for two states of one alert.
func identity(a Alert) string {
	if a.Fingerprint != "" {
		return a.Fingerprint
	}
	var key strings.Builder
	for _, p := range a.Labels.SortedPairs() {
		fmt.Fprintf(&key, "%q=%q,", p.Name, p.Value)
	}
	return key.String()
}

// digest is a digest in the making.
type digest struct {
	*Templates
	all      views
	count    count
	payloads int
	omitted  int
	title    string
	at       At
}

// headline is the title without a number.
func (d *digest) headline() string {
	w, c := d.words, d.count
	first := d.all[0]
	if c.fires == 0 {
		return brief(resolvedIcon+w.pick(" 汇总：", " Digest: ")+w.resolved(c.recovered), mostTitle)
	}
	text := fmt.Sprintf(w.pick("%s 汇总：%s", "%s Digest: %s"), first.Icon(), strings.ReplaceAll(c.severities(w), " · ", w.pick("、", ", ")))
	if c.recovered > 0 {
		text += fmt.Sprintf(w.pick("、已恢复 %d", ", resolved %d"), c.recovered)
	}
	return brief(text+w.pick("。", ". ")+first.plain(), mostTitle)
}

// opening is the head of each message.
func (d *digest) opening() string {
	w, c := d.words, d.count
	icon := d.all[0].Icon()
	heading := "### " + icon + w.pick(" 汇总：", " Digest: ")
	switch {
	case c.fires == 0:
		heading += w.resolved(c.recovered)
	case c.recovered == 0:
		heading += w.alerts(c.fires)
	default:
		heading += w.alerts(c.fires) + fmt.Sprintf(w.pick("，%d 条已恢复", ", %d resolved"), c.recovered)
	}
	why := ""
	if d.payloads > 1 {
		why = fmt.Sprintf(w.pick("告警太多，%d 组通知合并在这里", "%d notifications at once, merged here"), d.payloads)
	}
	parts := []string{c.severities(w), d.span(), why}
	return heading + "\n\n" + strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " · ")
}

// span is between when and when the firing alerts began.
func (d *digest) span() string {
	var first, last time.Time
	for _, v := range d.all {
		if at := v.StartsAt; !v.Resolved() && !at.IsZero() {
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
	}
	if first.IsZero() {
		return ""
	}
	from, to := d.words.clock(first), d.words.clock(last)
	if from == to {
		return fmt.Sprintf(d.words.pick("%s 开始", "since %s"), from)
	}
	return fmt.Sprintf(d.words.pick("%s 到 %s 之间开始", "began between %s and %s"), from, to)
}

// write spreads the alerts over messages.
func (d *digest) write(most int) []Message {
	var list []Message
	opening := d.opening()
	for next := 0; next < len(d.all); {
		m := Message{Title: d.title}
		if len(list) == 0 {
			m.At = d.at
		}
		text, shown := d.fill(newRoom(m, 600), opening, d.all[next:])
		next += shown
		if left := len(d.all) - next + d.omitted; left > 0 && (len(list)+1 == most || next == len(d.all)) {
			m.Truncated = len(d.all) - next
			text += "\n\n" + d.words.more(left)
			if all := d.allAlerts(); all != "" {
				text += " · " + all
			}
			next = len(d.all)
		}
		m.Text = m.At.call(text)
		list = append(list, m)
	}
	if len(list) > 1 {
		for i := range list {
			number := fmt.Sprintf(d.words.pick("（%d/%d）", " (%d/%d)"), i+1, len(list))
			list[i].Title += number
			list[i].Text = strings.Replace(list[i].Text, "\n", number+"\n", 1)
		}
	}
	return list
}

// fill writes as many alerts as there is room for, a line each; at least one.
func (d *digest) fill(r *room, opening string, rest views) (text string, shown int) {
	r.take(opening)
	var out strings.Builder
	out.WriteString(opening)
	for _, s := range sections(rest) {
		for i, v := range s.Alerts {
			entry := "- " + v.Short() + "\n"
			switch {
			case len(s.Alerts) == 1 && !v.Resolved():
				entry = "\n\n**" + s.Heading() + "** " + v.Short() + "\n"
			case i == 0:
				entry = "\n\n**" + s.Heading() + "**\n\n" + entry
			}
			if !r.take(entry) && shown > 0 {
				return tidy(out.String()), shown
			}
			out.WriteString(entry)
			shown++
		}
	}
	return tidy(out.String()), shown
}

// sections puts the alerts of one kind together.
func sections(vs views) []section {
	var list []section
	for i, v := range vs {
		if i > 0 && v.joins(vs[i-1]) {
			last := &list[len(list)-1]
			last.Alerts = append(last.Alerts, v)
			continue
		}
		list = append(list, section{Alerts: views{v}})
	}
	return list
}
