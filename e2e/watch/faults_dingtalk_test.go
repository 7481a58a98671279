//go:build linux

package watch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
	"github.com/fanfare-push/fanfare/dingtalk/robot"
)

// dingtalkFaults are about the bridge and DingTalk's robots.
func dingtalkFaults() []scenario {
	return []scenario{
		{
			name: "DingTalk bans a robot", how: "somebody else sends too much with it", alerts: []string{"DingTalkRobotBanned"},
			names: []string{"ops-1"}, needs: []string{"robots", filesOfBridge},
			inject: func(t *testing.T, s *stack) {
				s.exhaust(t, token("ops", 1))
				eventually(t, "the bridge meets the ban", func() string {
					s.notify(t, "ops", "DrillOfTheRobots", time.Now().String())
					return unless(s.dingtalk.Answers(token("ops", 1))["130101"] > 1, "robot 1 answered %v", s.dingtalk.Answers(token("ops", 1)))
				})
				// What met the ban arrives by another robot.
				s.notify(t, "ops", "DrillAfterTheBan", "x")
				s.awaitText(t, "DrillAfterTheBan", s.began, promised)
			},
			repair: func(t *testing.T, s *stack) { s.replaceRobot(t, token("ops", 1)) },
		},
	}
}

// exhaust uses up a robot's limit behind the bridge's back, until DingTalk bans it.
func (s *stack) exhaust(t *testing.T, which string) {
	t.Helper()
	r, err := robot.New(robot.Options{Name: "another", URL: dingtalktest.Address(s.remote, which), Secret: robotSecret(which), HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"msgtype":"text","text":{"content":"somebody else"}}`)
	for range 40 {
		if result := r.Send(t.Context(), body); result.Kind == robot.RateLimited {
			return
		}
	}
	t.Fatal("DingTalk banned nobody")
}

// notify gives the bridge a notification as Alertmanager would, past the ledger.
func (s *stack) notify(t testing.TB, target, alert, key string) {
	t.Helper()
	if code, text := post(t, "http://"+s.bridge.address+"/dingtalk/"+target+"/send", webhook(alert, key)); code != http.StatusOK {
		t.Errorf("the bridge answers %d: %s", code, text)
	}
}

// webhook is a notification of one alert that fires. The key makes it one of its own.
func webhook(alert, key string) []byte {
	labels := map[string]string{"alertname": alert, "cluster": "fanfare", "severity": "warning", "key": key}
	body, _ := json.Marshal(map[string]any{ // maps and texts only
		"version": "4", "groupKey": fmt.Sprintf("{}:{alertname=%q, key=%q}", alert, key), "status": "firing", "receiver": "ding-ops",
		"groupLabels": labels, "commonLabels": labels, "commonAnnotations": map[string]string{}, "externalURL": "http://127.0.0.1:9093",
		"alerts": []any{map[string]any{
			"status": "firing", "labels": labels, "annotations": map[string]string{"summary": alert + " is a drill", "summary_zh": alert + " 演习"},
			"startsAt": time.Now().UTC().Format(time.RFC3339Nano), "endsAt": "0001-01-01T00:00:00Z", "fingerprint": fingerprint(alert + key),
		}},
	})
	return body
}

// fingerprint is sixteen hexadecimal digits that another text does not have.
func fingerprint(text string) string {
	h := fnv.New64a()
	_, _ = io.WriteString(h, text)
	return fmt.Sprintf("%016x", h.Sum64())
}

func post(t testing.TB, url string, body []byte) (code int, text string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := c.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(read)
}

// replaceRobot gives the bridge a new robot in the place of one that is of no use: an
// operator makes it in DingTalk and writes its token into the configuration.
func (s *stack) replaceRobot(t *testing.T, old string) {
	t.Helper()
	fresh := old + "-new"
	s.dingtalk.Add(dingtalktest.Robot{Token: fresh, Secret: robotSecret(old)})
	s.editBridge(t, func(config string) string {
		return strings.ReplaceAll(config, "access_token="+old, "access_token="+fresh)
	})
}

// editBridge changes the bridge's configuration and has it read again.
func (s *stack) editBridge(t *testing.T, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(s.bridgeConfig)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.bridgeConfig, change(string(text)))
	if code, text := post(t, "http://"+s.bridge.address+"/-/reload", nil); code != http.StatusOK {
		t.Logf("the bridge answers %d to a reload: %s", code, text)
	}
}
