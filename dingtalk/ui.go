package dingtalk

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// maxDeadShown bounds the dead letters on the page.
const maxDeadShown = 50

// uiPage is what the state page shows.
type uiPage struct {
	Spool     string
	Targets   []uiTarget
	Deadmen   []uiDeadman
	Recent    []shown
	Dead      []spool.DeadLetter
	DeadCount int
	Preview   string // the target whose templates are shown
	Samples   []uiSample
}

type uiTarget struct {
	Name   string
	Gone   bool
	Depth  int
	Oldest time.Time
	Robots []uiRobot
}

type uiRobot struct {
	Name        string
	Banned      time.Time
	Disabled    bool
	Used, Limit int
}

type uiDeadman struct {
	Name  string
	State deadmanState
}

type uiSample struct {
	Sample, Title, Text, Problem string
	Bytes                        int
}

// ui shows the state of the bridge. It changes nothing.
func (b *Bridge) ui(w http.ResponseWriter, r *http.Request) {
	if !b.options.EnableUI {
		answer(w, http.StatusNotFound, uiOff)
		return
	}
	s := b.setup.Load()
	p := uiPage{Recent: b.recent.list(), Targets: b.uiTargets(s), Preview: r.URL.Query().Get("target")}
	if err := b.spool.Err(); err != nil {
		p.Spool = err.Error()
	}
	var err error
	if p.Dead, p.DeadCount, err = b.spool.DeadLetters(maxDeadShown); err != nil {
		p.Spool = cmp.Or(p.Spool, err.Error())
	}
	states := b.deadmen.states()
	for _, name := range slices.Sorted(maps.Keys(states)) {
		p.Deadmen = append(p.Deadmen, uiDeadman{name, states[name]})
	}
	if s.targets[p.Preview] == nil {
		p.Preview = s.config.TargetNames()[0] // there is one: the configuration was checked
	}
	p.Samples = previews(s, s.targets[p.Preview])
	b.page(w, r, http.StatusOK, "ui.html", "钉钉告警桥", "DingTalk bridge", p)
}

func (b *Bridge) uiTargets(s *setup) (list []uiTarget) {
	now := b.options.Now()
	for _, name := range b.queues(s) {
		t := uiTarget{Name: name, Gone: s.targets[name] == nil, Depth: b.spool.Depth(name), Oldest: b.spool.Oldest(name)}
		if !t.Gone {
			for _, r := range s.targets[name].robots {
				banned, disabled, used := r.gate.status(now)
				t.Robots = append(t.Robots, uiRobot{r.Name(), banned, disabled, used, s.config.Limits.PerMinute})
			}
		}
		list = append(list, t)
	}
	return list
}

// previews renders the samples with a target's templates.
func previews(s *setup, t *target) (list []uiSample) {
	for _, sample := range s.templates.Samples() {
		var m message.Message
		var err error
		if len(sample.Payloads) == 1 {
			m, err = s.templates.Render(message.Input{Target: t.Name, Payload: sample.Payloads[0], Title: t.message.Title, Text: t.message.Text, Mention: t.Mention})
		} else {
			m, err = s.templates.Digest(sample.Payloads, t.Mention)
		}
		shown := uiSample{Sample: sample.Title, Title: m.Title, Text: m.Text, Bytes: len(m.Encode())}
		if err != nil {
			shown.Problem = err.Error()
		}
		list = append(list, shown)
	}
	return list
}

// deadmanNames returns the names of the switches in order.
func deadmanNames(s *setup) []string { return slices.Sorted(maps.Keys(s.config.Deadman)) }
