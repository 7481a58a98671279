package dingtalk

import (
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// merge makes one payload of all that belong to a group: the newest one, with every
// alert that any of them named in its newest state. An alert whose end was told in an
// older one is not in the newest, but people must hear of it. drop may leave out alerts;
// it gets their states in order.
func merge(all []*message.Payload, drop func(states []message.Alert) bool) []*message.Payload {
	type group struct {
		newest *message.Payload
		order  []string
		states map[string][]message.Alert
	}
	groups := map[string]*group{}
	var order []string
	for _, p := range all {
		g := groups[p.GroupKey]
		if g == nil {
			g = &group{states: map[string][]message.Alert{}}
			groups[p.GroupKey] = g
			order = append(order, p.GroupKey)
		}
		g.newest = p
		for _, a := range p.Alerts {
			id := identity(a)
			if g.states[id] == nil {
				g.order = append(g.order, id)
			}
			g.states[id] = append(g.states[id], a)
		}
	}
	var merged []*message.Payload
	for _, key := range order {
		g := groups[key]
		p := *g.newest
		p.Alerts, p.Status = nil, message.StatusResolved
		for _, id := range g.order {
			states := g.states[id]
			if drop != nil && drop(states) {
				continue
			}
			last := states[len(states)-1]
			p.Alerts = append(p.Alerts, last)
			if !last.Resolved() {
				p.Status = message.StatusFiring
			}
		}
		if len(p.Alerts) > 0 {
			merged = append(merged, &p)
		}
	}
	return merged
}

// identity tells alerts apart: by fingerprint, or by all labels for a sender that has none.
func identity(a message.Alert) string {
	if a.Fingerprint != "" {
		return a.Fingerprint
	}
	id := ""
	for _, p := range a.Labels.SortedPairs() {
		id += p.Name + "\x00" + p.Value + "\x00"
	}
	return id
}

// maxAnnounced bounds what a lane remembers of alerts it has told.
const maxAnnounced = 20000

func announcement(a message.Alert) string {
	return identity(a) + a.StartsAt.UTC().Format(time.RFC3339Nano)
}

// announce remembers that people know of alerts that fire.
func (l *lane) announce(d *draft) {
	for _, p := range d.payloads {
		for _, a := range p.Alerts.Firing() {
			if len(l.announced) >= maxAnnounced {
				clear(l.announced)
				l.forgot = l.options.Now()
			}
			l.announced[announcement(a)] = struct{}{}
		}
	}
}

// dropper decides on alerts that were over before anybody was told, if the configuration
// wants them left out. An alert from before this lane can remember may have been told.
func (l *lane) dropper(s *setup) func([]message.Alert) bool {
	if !s.config.Digest.DropResolved {
		return nil
	}
	return func(states []message.Alert) bool {
		first, last := states[0], states[len(states)-1]
		_, told := l.announced[announcement(last)]
		return !told && !first.Resolved() && last.Resolved() && last.StartsAt.After(l.forgot)
	}
}
