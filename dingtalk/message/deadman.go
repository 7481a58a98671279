package message

import (
	"fmt"
	"strings"
	"time"
)

// Deadman says that the beats called name have stopped; last is the time of the last
// one, zero if there never was any.
func (t *Templates) Deadman(name string, last time.Time, mention Mention) Message {
	w := t.words
	name = oneLine(name, 60)
	silence, seen := w.pick("启动以来没有收到过心跳", "no beat since the start"), w.pick("启动以来一次也没有收到", "has not been seen since the start")
	if !last.IsZero() {
		ago := w.duration(w.now().Sub(last))
		silence = fmt.Sprintf(w.pick("已 %s没有心跳", "no beat for %s"), ago)
		seen = fmt.Sprintf(w.pick("最后一次在 %s（%s前）", "was last seen at %s (%s ago)"), w.clock(last), ago)
	}
	lines := []string{
		"### 🔴 " + w.pick("告警链路中断", "Alerts may not reach you"),
		fmt.Sprintf(w.pick("心跳 **%s** %s。", "The heartbeat **%s** %s."), escape(name), seen),
		w.pick("Prometheus、Alertmanager 或它们到这里的网络有一处不工作。**恢复之前，别的告警可能到不了这里。**",
			"Prometheus, Alertmanager or the network between them and this bridge does not work. **Until it does, other alerts may not arrive.**"),
		w.pick("先看 Prometheus leader 和 Alertmanager 是否在运行。", "See first whether the Prometheus leader and Alertmanager are running."),
		t.homes(),
	}
	at := mention.everybody()
	title := brief("🔴 "+w.pick("告警链路中断：", "Alerts may not reach you: ")+name+w.pick(" ", ": ")+silence, mostTitle)
	return Message{Title: title, Text: at.call(tidy(strings.Join(lines, "\n\n"))), At: at}
}

// DeadmanBack says that the beats called name, missed since last (zero if there never
// were any), have come back.
func (t *Templates) DeadmanBack(name string, last time.Time, mention Mention) Message {
	w := t.words
	name = oneLine(name, 60)
	gap := ""
	if !last.IsZero() {
		gap = fmt.Sprintf(w.pick("，中断了 %s（%s → %s）", " after %s (%s → %s)"), w.duration(w.now().Sub(last)), w.clock(last), w.clock(w.now()))
	}
	lines := []string{
		"### 🟢 " + w.pick("告警链路已恢复", "Alerts reach you again"),
		fmt.Sprintf(w.pick("心跳 **%s** 回来了%s。", "The heartbeat **%s** is back%s."), escape(name), gap),
		w.pick("中断期间发生的告警，仍未恢复的会重新发来。", "What began in the meantime and still fires will be sent now."),
	}
	if len(mention.Severities) > 0 { // whoever is called for trouble only is not called for its end
		mention = Mention{}
	}
	at := mention.everybody()
	return Message{Title: brief("🟢 "+w.pick("告警链路已恢复：", "Alerts reach you again: ")+name, mostTitle), Text: at.call(tidy(strings.Join(lines, "\n\n"))), At: at}
}

// homes links to the places from which everything can be seen.
func (t *Templates) homes() string {
	l := t.options.Links
	return joinLinks([]string{link("Alertmanager", l.Alertmanager), link("Grafana", l.GrafanaLeader), link(t.words.pick("告警桥", "Bridge"), l.Bridge)})
}
