package message

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestDigestNamesAll: what does not fit into one message is in the next ones.
func TestDigestNamesAll(t *testing.T) {
	templates := loaded(t, Options{})
	var payloads []*Payload
	for _, a := range nodes(1200).Alerts {
		payloads = append(payloads, group(a))
	}
	list, err := templates.Digests(payloads, Mention{Mobiles: []string{"138"}}, 18)
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for i, m := range list {
		check(t, m)
		all += m.Text
		if m.Truncated != 0 || (i == 0) != (len(m.At.Mobiles) == 1) {
			t.Errorf("message %d leaves %d out and calls %v", i, m.Truncated, m.At)
		}
		number := fmt.Sprintf("（%d/%d）", i+1, len(list))
		if !strings.HasSuffix(m.Title, number) || !strings.Contains(strings.SplitN(m.Text, "\n", 2)[0], number) {
			t.Errorf("message %d is not numbered %s: %s\n%.100s", i, number, m.Title, m.Text)
		}
	}
	for _, p := range payloads {
		if node := p.Alerts[0].Labels["node"]; strings.Count(all, node) != 1 {
			t.Fatalf("%s is named %d times in %d messages", node, strings.Count(all, node), len(list))
		}
	}
	if len(list) > 6 {
		t.Errorf("1200 alerts took %d messages", len(list))
	}
	m, err := templates.Digest(payloads, Mention{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, m)
	if shown := strings.Count(m.Text, "- 节点"); m.Truncated != 1200-shown || !strings.Contains(m.Text, fmt.Sprintf("… 还有 %d 条", m.Truncated)) || strings.Contains(m.Title, "/1）") {
		t.Errorf("%d are shown, %d left out: %s", shown, m.Truncated, m.Title)
	}
}

// TestDigestNewestState: the newest state of each alert counts, whoever sent it.
func TestDigestNewestState(t *testing.T) {
	templates := loaded(t, Options{Language: English})
	now := templates.words.now()
	alert := func(node string, over bool) Alert {
		a := nodeDown(node, now.Add(-5*time.Minute))
		if over {
			a.Status, a.EndsAt = StatusResolved, now
		}
		return a
	}
	anonymous := alert("d", false)
	anonymous.Fingerprint = ""
	first := group(alert("a", false), alert("b", false), alert("c", true), anonymous)
	first.TruncatedAlerts = 4
	again := group(alert("a", true), alert("c", false), anonymous)
	again.GroupKey, again.TruncatedAlerts = first.GroupKey, 1
	m, err := templates.Digest([]*Payload{first, again}, Mention{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, m)
	for _, want := range []string{"Digest: 3 alerts, 1 resolved", "Critical · FanfareNodeDown × 3", "- Node b ", "- Node c does not answer · 03:03", "- Node d ", "- Node a does not answer · lasted 5m", "… and 1 more", "2 notifications"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("%q is not in\n%s", want, m.Text)
		}
	}
	if strings.Index(m.Text, "Node a") < strings.Index(m.Text, "Node b") {
		t.Errorf("what is over comes first:\n%s", m.Text)
	}
	m, err = templates.Digest([]*Payload{group(alert("a", true))}, Mention{All: true, Severities: []string{"critical"}})
	if check(t, m); err != nil || !strings.Contains(m.Title, "🟢 Digest: 1 alert resolved") || m.At.All {
		t.Errorf("%v %q %v", err, m.Title, m.At)
	}
	if _, err := templates.Digest([]*Payload{nil, {}}, Mention{}); err == nil {
		t.Error("a digest was made of nothing")
	}
}

func TestDurations(t *testing.T) {
	zh, en := loaded(t, Options{}).words, loaded(t, Options{Language: English}).words
	for d, want := range map[time.Duration][2]string{
		-time.Second:                           {"0 秒", "0s"},
		400 * time.Millisecond:                 {"0 秒", "0s"},
		59 * time.Second:                       {"59 秒", "59s"},
		time.Minute:                            {"1 分钟", "1m"},
		9*time.Minute + 5*time.Second:          {"9 分钟 5 秒", "9m 5s"},
		10*time.Minute + 5*time.Second:         {"10 分钟", "10m"},
		time.Hour + time.Second:                {"1 小时", "1h"},
		25*time.Hour + 5*time.Minute:           {"1 天 1 小时", "1d 1h"},
		40*24*time.Hour + 5*time.Hour:          {"40 天", "40d"},
		2*time.Hour + 59*time.Minute + 59*1e9:  {"2 小时 59 分钟", "2h 59m"},
		23*time.Hour + 59*time.Minute + 59.6e9: {"1 天", "1d"},
	} {
		if got := [2]string{zh.duration(d), en.duration(d)}; got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	now := zh.now()
	for at, want := range map[time.Time]string{
		now: "03:08", now.Add(-4 * time.Hour): "11-21 23:08", now.AddDate(-1, 0, 0): "2025-11-22 03:08", now.UTC(): "03:08",
	} {
		if got := zh.clock(at); got != want {
			t.Errorf("%v: %s, want %s", at, got, want)
		}
	}
}
