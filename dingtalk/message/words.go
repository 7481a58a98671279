package message

import (
	"fmt"
	"strings"
	"time"
)

// words says things in one language.
type words struct {
	chinese bool
	zone    *time.Location
	now     func() time.Time
}

func (w words) pick(zh, en string) string {
	if w.chinese {
		return zh
	}
	return en
}

// class is how bad an alert is, whatever its rules call it; the least is the worst.
type class int

const (
	critical class = iota
	warning
	unclassed
	info
	none
	classes // how many there are
)

// classify finds the class of a severity label.
func classify(severity string) class {
	switch strings.ToLower(strings.TrimSpace(severity)) {
	case "critical", "crit", "page", "emergency", "fatal", "disaster", "p0", "p1":
		return critical
	case "warning", "warn", "error", "major", "high", "p2":
		return warning
	case "info", "information", "notice", "minor", "low", "p3", "p4":
		return info
	case "none":
		return none
	}
	return unclassed
}

func (c class) icon() string { return [...]string{"🔴", "🟠", "🟡", "🔵", "⚪"}[c] }

const resolvedIcon = "🟢"

// severity names a class.
func (w words) severity(c class) string {
	return [...]string{w.pick("严重", "Critical"), w.pick("警告", "Warning"), w.pick("告警", "Alert"), w.pick("提示", "Info"), w.pick("例行", "Routine")}[c]
}

// duration is a length of time in one or two units, such as "1 小时 5 分钟" or "1h 5m".
func (w words) duration(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	units := []struct {
		length time.Duration
		zh, en string
	}{{24 * time.Hour, " 天", "d"}, {time.Hour, " 小时", "h"}, {time.Minute, " 分钟", "m"}, {time.Second, " 秒", "s"}}
	for i, u := range units {
		n := d / u.length
		if n == 0 && i < len(units)-1 {
			continue
		}
		text := fmt.Sprintf("%d%s", n, w.pick(u.zh, u.en))
		// Seconds matter within ten minutes only, minutes within a day, hours within a month.
		if rest := d % u.length; i < len(units)-1 && n < [...]time.Duration{30, 24, 10}[i] {
			if m := rest / units[i+1].length; m > 0 {
				text += fmt.Sprintf(" %d%s", m, w.pick(units[i+1].zh, units[i+1].en))
			}
		}
		return text
	}
	return ""
}

// clock is a time of day where the readers live, with the date if it is not today's.
func (w words) clock(t time.Time) string {
	t, now := t.In(w.zone), w.now().In(w.zone)
	switch {
	case t.Year() != now.Year():
		return t.Format("2006-01-02 15:04")
	case t.YearDay() != now.YearDay():
		return t.Format("01-02 15:04")
	}
	return t.Format("15:04")
}

// since says when an alert began and how long ago; "" if that is not known.
func (w words) since(a Alert) string {
	if a.StartsAt.IsZero() {
		return ""
	}
	ago := w.duration(w.now().Sub(a.StartsAt))
	return fmt.Sprintf(w.pick("%s 开始（已 %s）", "since %s (%s)"), w.clock(a.StartsAt), ago)
}

// lasted says how long an alert lasted; "" if that is not known.
func (w words) lasted(a Alert) string {
	switch {
	case a.StartsAt.IsZero() || a.EndsAt.Before(a.StartsAt):
		return ""
	case a.EndsAt.IsZero():
		return w.since(a)
	}
	return fmt.Sprintf(w.pick("持续 %s（%s → %s）", "lasted %s (%s → %s)"), w.duration(a.EndsAt.Sub(a.StartsAt)), w.clock(a.StartsAt), w.clock(a.EndsAt))
}

// label names a label.
func (w words) label(name string) string {
	switch name {
	case "cluster":
		return w.pick("集群", "cluster")
	case "node":
		return w.pick("节点", "node")
	case "instance":
		return w.pick("实例", "instance")
	case "job":
		return w.pick("任务", "job")
	}
	return escape(oneLine(name, 60))
}

// alerts counts alerts.
func (w words) alerts(n int) string {
	if !w.chinese && n == 1 {
		return "1 alert"
	}
	return fmt.Sprintf(w.pick("%d 条告警", "%d alerts"), n)
}

// resolved counts alerts that are over.
func (w words) resolved(n int) string {
	if w.chinese {
		return w.alerts(n) + "已恢复"
	}
	return w.alerts(n) + " resolved"
}

// more says how many alerts are not shown.
func (w words) more(n int) string {
	return fmt.Sprintf(w.pick("… 还有 %d 条", "… and %d more"), n)
}
