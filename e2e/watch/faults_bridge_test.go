//go:build linux

package watch

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// Targets of the bridge that only scenarios use, each with a robot of its own, so that
// what happens to it delays nothing else.
const (
	targetSilent    = "drill-silent"
	targetQueue     = "drill-queue"
	targetLetters   = "drill-letters"
	targetTemplates = "drill-templates"
)

func drillTargets() []string {
	return []string{targetSilent, targetQueue, targetLetters, targetTemplates}
}

// drillTemplate fails for alerts with a label that no sample has, or the bridge would not
// take it.
const drillTemplate = `{{ .Status }}{{ if .CommonLabels.key }}{{ (index .Alerts 99).Status }}{{ end }}`

// filesOfBridge is what scenarios need that change its configuration.
const filesOfBridge = "files of the bridge"

// bridgeFaults are about the bridge itself, and about what it can do nothing about.
func bridgeFaults() []scenario {
	return []scenario{
		bridgeKilled(),
		{
			name: "all robots of a target are silent", how: "DingTalk closes the connection", alerts: []string{"DingTalkSendFailing"},
			labels: map[string]string{"target": targetSilent}, names: []string{targetSilent},
			inject: func(t *testing.T, s *stack) {
				s.dingtalk.Always(token(targetSilent, 1), &dingtalktest.Fault{Drop: true})
				s.notify(t, targetSilent, "DrillInSilence", "x")
			},
			during: func(t *testing.T, s *stack, began time.Time) { s.bothGroups(t, "DingTalkSendFailing", began) },
			repair: func(_ *testing.T, s *stack) { s.dingtalk.Always(token(targetSilent, 1), nil) },
			after:  func(t *testing.T, s *stack) { s.awaitText(t, "DrillInSilence", s.began, promised) },
		},
		queueGrowing(),
		{
			name: "DingTalk refuses a message for good", how: "DingTalk answers 40035", alerts: []string{"DingTalkDeadLetters"},
			labels: map[string]string{"target": targetLetters}, names: []string{targetLetters}, window: 10 * time.Minute,
			inject: func(t *testing.T, s *stack) {
				s.dingtalk.Next(token(targetLetters, 1), dingtalktest.Fault{Body: `{"errcode":40035,"errmsg":"不合法的参数"}`})
				s.notify(t, targetLetters, "DrillOfTheLetters", "x")
			},
			repair: func(t *testing.T, s *stack) {
				s.notify(t, targetLetters, "DrillAfterTheLetters", "x")
				s.awaitText(t, "DrillAfterTheLetters", s.began, promised)
			},
		},
		{
			name: "a template fails for some alerts", how: "a label that it makes a mistake with", alerts: []string{"DingTalkTemplateFailing"},
			labels: map[string]string{"target": targetTemplates}, names: []string{targetTemplates}, window: 10 * time.Minute,
			inject: func(t *testing.T, s *stack) {
				s.notify(t, targetTemplates, "DrillOfTheTemplates", "x")
				s.awaitText(t, "DrillOfTheTemplates", s.began, promised) // in the plain form
			},
			repair: func(*testing.T, *stack) {},
		},
		{
			name: "a robot is taken out of its group", how: "DingTalk does not know its token", alerts: []string{"DingTalkRobotDisabled"},
			labels: map[string]string{"robot": "critical-1"}, names: []string{"critical-1"}, needs: []string{filesOfBridge},
			inject: func(t *testing.T, s *stack) {
				s.dingtalk.Remove(token("critical", 1))
				began := time.Now()
				s.notify(t, "critical", "DrillWithoutTheRobot", "x")
				if m := s.awaitText(t, "DrillWithoutTheRobot", began, promised); m.Token != token("critical", 2) {
					t.Errorf("it came by %s", m.Token)
				}
			},
			repair: func(t *testing.T, s *stack) { s.replaceRobot(t, token("critical", 1)) },
		},
		{
			name: "the bridge gets a configuration that is wrong", how: "the file", alerts: []string{"DingTalkConfigReloadFailed"},
			needs: []string{filesOfBridge},
			inject: func(t *testing.T, s *stack) {
				s.editBridge(t, func(config string) string { return config + wrongKey })
			},
			repair: func(t *testing.T, s *stack) {
				s.editBridge(t, func(config string) string { return strings.Replace(config, wrongKey, "", 1) })
			},
		},
		spoolFailing(),
	}
}

// wrongKey is no configuration of anything.
const wrongKey = "\nno_such_section: {}\n"

// bridgeKilled cannot be told by a bridge that is dead: it is when there is one again.
func bridgeKilled() scenario {
	var back time.Time
	return scenario{
		name: "the DingTalk bridge is killed", how: "SIGKILL; told when it is back", alerts: []string{"DingTalkBridgeDown"},
		names: []string{"dingtalk:8060"}, alone: true,
		inject: func(t *testing.T, s *stack) {
			began := time.Now()
			s.bridge.kill(t)
			s.fires(t, "DingTalkBridgeDown")
			for _, m := range s.dingtalk.Received() {
				if m.At.After(began) && says(m, "DingTalkBridgeDown") {
					t.Errorf("a bridge that is dead said: %s", m.Title)
				}
			}
			back = time.Now()
			s.bridge.start(t)
			eventually(t, "the bridge is ready", func() string { return ready(s.bridge.address) })
		},
		mended: func() time.Time { return back },
		repair: func(*testing.T, *stack) {},
		during: func(t *testing.T, s *stack, began time.Time) { s.only(t, began, "DingTalkBridgeDown") },
	}
}

// queueGrowing is a storm of alerts that DingTalk takes slowly. If it took none at all,
// DingTalkSendFailing would say so instead.
func queueGrowing() scenario {
	var stop func()
	return scenario{
		name: "a storm of alerts and a slow DingTalk", how: "10 notifications a second, and answers after 4 s", alerts: []string{"DingTalkQueueGrowing"},
		labels: map[string]string{"target": targetQueue}, names: []string{targetQueue},
		inject: func(t *testing.T, s *stack) {
			s.dingtalk.Always(token(targetQueue, 1), &dingtalktest.Fault{Delay: 4 * time.Second})
			i := 0
			stop = repeatedly(100*time.Millisecond, func() {
				i++
				s.notify(t, targetQueue, "DrillOfTheQueue", fmt.Sprint(i))
			})
		},
		repair: func(_ *testing.T, s *stack) {
			stop()
			s.dingtalk.Always(token(targetQueue, 1), nil)
		},
	}
}

// What the bridge says past its queue, to those who look after the path of alerts.
const (
	diskFails = "告警桥的磁盘写不进去"
	diskWorks = "告警桥的磁盘又能写了"
)

// spoolFailing has the bridge's file grow no more, as if its disk were full. No alert can
// be told while that lasts, since none is accepted that could be lost; the bridge itself
// says so. It is alone because of the others' alerts.
func spoolFailing() scenario {
	var back time.Time
	return scenario{
		name: "the disk of the bridge is full", how: "RLIMIT_FSIZE; told when it can be written again, until then by the bridge's own message", alerts: []string{"DingTalkSpoolFailing"},
		names: []string{"dingtalk:8060"}, window: 5 * time.Minute, also: []string{"AlertmanagerNotificationsFailing"}, alone: true,
		inject: func(t *testing.T, s *stack) {
			began := time.Now()
			was := s.limitFiles(t, 4096)
			defer func() {
				back = time.Now()
				s.limitFiles(t, was)
			}()
			if code, text := post(t, "http://"+s.bridge.address+"/dingtalk/ops/send", webhook("DrillOfTheDisk", "x")); code != http.StatusServiceUnavailable {
				t.Errorf("a bridge that cannot write answers %d: %s", code, text)
			}
			s.fires(t, "DingTalkSpoolFailing")
			if m := s.awaitText(t, diskFails, began, diskPatience+promised); !strings.HasPrefix(m.Token, "token-critical-") {
				t.Errorf("it came by %s", m.Token)
			}
			if ready(s.bridge.address) == "" {
				t.Error("it came when the disk was not full any more")
			}
		},
		mended: func() time.Time { return back },
		repair: func(*testing.T, *stack) {},
		during: func(t *testing.T, s *stack, _ time.Time) { s.awaitText(t, diskWorks, back, promised) },
	}
}

// diskPatience is how long the bridge waits before it says that its disk fails. It is real
// time.
const diskPatience = 30 * time.Second

// limitFiles sets how long files may be that the bridge writes, in bytes.
func (s *stack) limitFiles(t *testing.T, limit uint64) (was uint64) {
	t.Helper()
	var old unix.Rlimit
	pid := s.bridge.command.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: old.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return old.Cur
}

// fires waits until an alert of follower-2 fires, whether or not anybody is told.
func (s *stack) fires(t *testing.T, alert string) {
	t.Helper()
	eventually(t, alert+" fires", func() string {
		all, err := s.follower2.try(`ALERTS{alertstate="firing",alertname="` + alert + `"}`)
		return unless(err == nil && len(all) > 0, "it does not, %v", err)
	})
}

// bothGroups waits until the robots of both groups of people have told of an alert.
func (s *stack) bothGroups(t *testing.T, alert string, after time.Time) {
	t.Helper()
	for _, target := range []string{"ops", "critical"} {
		within(t, promised, target+" hears of "+alert, func() string {
			for _, m := range s.dingtalk.Received() {
				if m.At.After(after) && strings.HasPrefix(m.Token, "token-"+target+"-") && says(m, alert) {
					return ""
				}
			}
			return "nothing yet"
		})
	}
}
