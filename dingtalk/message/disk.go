package message

import (
	"fmt"
	"strings"
	"time"
)

// DiskTrouble is that the bridge cannot write to its disk.
type DiskTrouble struct {
	Dir   string    // the data directory
	Cause string    // what the disk says
	Since time.Time // when it began
}

// DiskFails says that the bridge can keep no alert, so that none arrives.
func (t *Templates) DiskFails(d DiskTrouble, mention Mention) Message {
	w := t.words
	cause := ""
	if d.Cause != "" {
		cause = fmt.Sprintf(w.pick("（%s）", " (%s)"), escape(oneLine(d.Cause, 200)))
	}
	lines := []string{
		"### 🔴 " + w.pick("告警桥的磁盘写不进去", "The alert bridge cannot write to its disk"),
		fmt.Sprintf(w.pick("从 %s 起（已 %s），数据目录 **%s** 写不进去%s。", "Since %s (%s) nothing can be written to the data directory **%s**%s."),
			w.clock(d.Since), w.duration(w.now().Sub(d.Since)), escape(oneLine(d.Dir, 200)), cause),
		w.pick("新的告警会被拒收，由 Alertmanager 保留并重发，不会丢失。**但在能写入之前，谁也收不到这些告警。**",
			"New alerts are refused; Alertmanager keeps and repeats them, so nothing is lost. **But until the disk can be written, nobody hears of them.**"),
		w.pick("请给这个目录腾出空间，或者修好它（权限、只读挂载、坏盘），并查看告警桥的日志。现在有哪些告警，看 Alertmanager 的页面。",
			"Free space in that directory or repair it (rights, a mount that is read-only, a broken disk), and see the bridge's log. The page of Alertmanager shows what fires now."),
		joinLinks([]string{link(w.pick("处理手册", "Runbook"), runbook+"dingtalkspoolfailing"), t.homes()}),
	}
	at := mention.everybody()
	title := "🔴 " + w.pick("告警桥的磁盘写不进去，新告警收不到", "The alert bridge cannot write to its disk: no alert arrives")
	return Message{Title: brief(title, mostTitle), Text: at.call(tidy(strings.Join(lines, "\n\n"))), At: at}
}

// DiskWorks says that the bridge can write again, and how long it could not. It calls
// nobody.
func (t *Templates) DiskWorks(d DiskTrouble) Message {
	w := t.words
	lines := []string{
		"### 🟢 " + w.pick("告警桥的磁盘又能写了", "The alert bridge can write to its disk again"),
		fmt.Sprintf(w.pick("数据目录 **%s** 有 %s写不进去（%s → %s）。", "The data directory **%s** could not be written for %s (%s → %s)."),
			escape(oneLine(d.Dir, 200)), w.duration(w.now().Sub(d.Since)), w.clock(d.Since), w.clock(w.now())),
		w.pick("期间被拒收的告警，仍未恢复的会由 Alertmanager 重新发来。", "Alertmanager sends again what was refused in the meantime and still fires."),
	}
	return Message{Title: brief("🟢 "+w.pick("告警桥的磁盘又能写了", "The alert bridge can write to its disk again"), mostTitle), Text: tidy(strings.Join(lines, "\n\n"))}
}
