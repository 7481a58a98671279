package message

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// check checks what every message must be.
func check(t testing.TB, m Message) {
	t.Helper()
	body := m.Encode()
	if len(body) > MaxBody {
		t.Errorf("the body has %d bytes", len(body))
	}
	if !json.Valid(body) || !utf8.Valid(body) {
		t.Errorf("the body is not JSON in UTF-8: %q", body)
	}
	if strings.TrimSpace(m.Title) == "" || strings.TrimSpace(m.Text) == "" || strings.Contains(m.Title, "\n") || m.Truncated < 0 {
		t.Errorf("the message is %+v", m)
	}
	for _, who := range append(append([]string(nil), m.At.Mobiles...), m.At.UserIDs...) {
		if !strings.Contains(m.Text, "@"+who) {
			t.Errorf("%s is not called in the text", who)
		}
	}
}

func nodes(n int) *Payload {
	alerts := make(Alerts, n)
	for i := range alerts {
		alerts[i] = nodeDown(fmt.Sprintf("node-%05d", i), time.Date(2026, 11, 21, 18, i%60, 0, 0, time.UTC))
	}
	return group(alerts...)
}

// TestCutByWholeAlerts: of ten thousand alerts as many are shown as there is room for.
func TestCutByWholeAlerts(t *testing.T) {
	p := nodes(10000)
	p.TruncatedAlerts = 7
	for _, template := range []string{"", `{{ template "legacy.content" . }}`, `{{ template "default.__text_alert_list" .Alerts.Firing }}`} {
		for _, language := range []string{Chinese, English} {
			if template != "" && language == English {
				continue // they differ in words only
			}
			templates := loaded(t, Options{Language: language})
			m, err := templates.Render(Input{Payload: p, Text: template, Mention: Mention{Mobiles: []string{"138"}}, Actions: silence})
			if err != nil {
				t.Fatal(err)
			}
			check(t, m)
			shown := 0
			for _, a := range p.Alerts {
				if strings.Contains(m.Text, a.Labels["node"]) {
					shown++
				}
			}
			if shown+m.Truncated != 10000 || len(m.Encode()) < MaxBody-4000 {
				t.Errorf("%d are shown and %d left out in %d bytes", shown, m.Truncated, len(m.Encode()))
			}
			if more := templates.words.more(m.Truncated + 7); !strings.Contains(m.Text, more) {
				t.Errorf("the text does not say %q: …%s", more, m.Text[len(m.Text)-200:])
			}
			if !strings.Contains(m.Title, "10000") && template == "" {
				t.Errorf("the title is %q", m.Title)
			}
		}
	}
}

// TestWorstFirst: what is cut is the least important.
func TestWorstFirst(t *testing.T) {
	p := nodes(2000)
	for i := range p.Alerts {
		p.Alerts[i].Labels["severity"] = "info"
	}
	p.Alerts[1999].Labels["severity"] = "critical"
	p.Alerts[0].Status = StatusResolved
	m, err := loaded(t, Options{}).Render(Input{Payload: p})
	if err != nil {
		t.Fatal(err)
	}
	check(t, m)
	if m.Truncated == 0 || !strings.Contains(m.Text, "node-01999") || !strings.Contains(m.Title, "node-01999") || strings.Contains(m.Text, "node-00000") {
		t.Errorf("%s\n%s", m.Title, m.Text)
	}
}

// TestGiant: a single alert that is too long is cut between two runes.
func TestGiant(t *testing.T) {
	templates := loaded(t, Options{})
	for _, rune := range []string{"告", "🔴", "é", "x", `"`, "\\", "\x01", "\u2028", "<", "&lt;", "\n", "a\nb", "\xff", "*"} {
		giant := strings.Repeat(rune, 200000/len(rune))
		p := group(sampleAlert(time.Time{}, KV{"alertname": "X", "severity": "critical", "node": giant, giant: "x"}, KV{"summary": giant, "description": giant, "dashboard": "/" + giant}))
		for _, text := range []string{"", `{{ template "legacy.content" . }}`, `{{ range .Alerts }}{{ .Annotations.description }}{{ end }} @138`, `{{ range .Alerts }}{{ range until 1000 }}x 告警{{ end }}{{ end }}` + strings.Repeat("y", 19000)} {
			m, err := templates.Render(Input{Payload: p, Text: text, Mention: Mention{Mobiles: []string{"138"}}})
			if err != nil && !strings.Contains(err.Error(), "writes nothing") {
				t.Fatalf("%q %.60s: %v", rune, text, err)
			}
			if err == nil {
				check(t, m)
			}
		}
		check(t, templates.Fallback(Input{Payload: p}))
		check(t, templates.Bare(Input{Payload: p}))
		d, err := templates.Digest([]*Payload{p}, Mention{})
		if err != nil {
			t.Fatal(err)
		}
		check(t, d)
		check(t, templates.Deadman(giant, time.Time{}, Mention{}))
	}
}

func TestMentions(t *testing.T) {
	templates := loaded(t, Options{})
	firing, over := nodes(1), nodes(1)
	over.Alerts[0].Status = StatusResolved
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprint(13800000000 + i)
	}
	for i, c := range []struct {
		payload *Payload
		mention Mention
		text    string
		want    string
	}{
		{firing, Mention{}, "", `{"isAtAll":false}`},
		{firing, Mention{All: true}, "", `{"isAtAll":true}`},
		{over, Mention{All: true}, "", `{"isAtAll":true}`},
		{firing, Mention{Mobiles: []string{"1", ""}, UserIDs: []string{"u"}}, "", `{"atMobiles":["1"],"atUserIds":["u"],"isAtAll":false}`},
		{firing, Mention{Mobiles: []string{"1"}, Severities: []string{"Critical"}}, "", `{"atMobiles":["1"],"isAtAll":false}`},
		{firing, Mention{Mobiles: []string{"1"}, All: true, Severities: []string{"warning"}}, "", `{"isAtAll":false}`},
		{over, Mention{Mobiles: []string{"1"}, Severities: []string{"critical"}}, "", `{"isAtAll":false}`},
		{firing, Mention{Mobiles: []string{"1\n", "2 3", "]("}}, "", `{"isAtAll":false}`},
		{firing, Mention{Mobiles: []string{"138"}}, "x {{ range .AtMobiles }}@{{ . }}{{ end }}", `{"atMobiles":["138"],"isAtAll":false}`},
		{firing, Mention{Mobiles: []string{"138"}}, "call @1389", `{"atMobiles":["138"],"isAtAll":false}`},
	} {
		m, err := templates.Render(Input{Payload: c.payload, Text: c.text, Mention: c.mention})
		if err != nil {
			t.Fatal(err)
		}
		check(t, m)
		if got, _ := json.Marshal(m.At); string(got) != c.want {
			t.Errorf("%d: %s, want %s", i, got, c.want)
		}
		if c.text != "" && strings.Count(m.Text+" ", "@138 ") != 1 {
			t.Errorf("%d: %q", i, m.Text)
		}
	}
	m, err := templates.Render(Input{Payload: nodes(3000), Mention: Mention{Mobiles: many, UserIDs: many}})
	if err != nil || len(m.At.Mobiles) < 100 {
		t.Errorf("%d are called, %v", len(m.At.Mobiles), err)
	}
	check(t, m)
}

// TestMarkupIsInert: nothing in a label or an annotation makes a link, a tag or bold.
func TestMarkupIsInert(t *testing.T) {
	templates := loaded(t, Options{})
	for _, s := range templates.Samples() {
		if s.ID != "markup" {
			continue
		}
		m, err := templates.Render(Input{Payload: s.Payloads[0]})
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"](javascript", "](http://evil", "<b>", "<img", "<script", " **Not**", "\n- not", "\n> quote", "`lib`"} {
			if strings.Contains(strings.ReplaceAll(m.Text, `\]`, "_"), bad) {
				t.Errorf("%q is in the text:\n%s", bad, m.Text)
			}
		}
		return
	}
	t.Error("the sample is missing")
}

func TestSafeURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://h/a?b=c&d=e#f":       "https://h/a?b=c&d=e#f",
		" http://h/a (b)[c]<d>\"' ":   "http://h/a%20%28b%29%5Bc%5D%3Cd%3E%22%27",
		"http://h/看板":                 "http://h/%E7%9C%8B%E6%9D%BF",
		"dingtalk://dingtalkclient/x": "dingtalk://dingtalkclient/x",
		"javascript:alert(1)":         "", "data:text/html,x": "", "/relative": "", "": "", "http://": "", "http://h/\n": "http://h/", "http://h/\nx": "", "https://[::1": "",
		"http://h/" + strings.Repeat("x", 3000): "",
	} {
		if got := safeURL(in); got != want {
			t.Errorf("safeURL(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestLinks: the dashboard of the right Grafana, at the time of the alert; no runbook and
// no silence for what is over; no silence of everything.
func TestLinks(t *testing.T) {
	templates := loaded(t, Options{Language: English})
	var asked []Alert
	actions := func(a Alert) []Link {
		asked = append(asked, a)
		return []Link{{"Silence", "http://s/" + a.Name()}, {"bad", "ftp://x"}}
	}
	p := nodes(6)
	p.Alerts[0].Status = StatusResolved
	p.Alerts = append(p.Alerts, sampleAlert(time.Time{}, KV{"a": "b"}, KV{}), sampleAlert(time.Time{}, KV{"a": "c"}, KV{}))
	m, err := templates.Render(Input{Payload: p, Actions: actions})
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || asked[0].Fingerprint != "" || asked[0].Name() != "FanfareNodeDown" || asked[0].Labels["node"] != "" || asked[0].Labels["cluster"] != "fanfare" {
		t.Errorf("links were asked for %+v", asked)
	}
	if strings.Count(m.Text, "[Silence](http://s/FanfareNodeDown)") != 1 || strings.Contains(m.Text, "ftp:") || strings.Count(m.Text, "[Runbook]") != 1 {
		t.Error(m.Text)
	}
	if want := "(http://grafana.example:3031/d/fanfare-node?var-cluster=fanfare&var-node=node-00001&from="; !strings.Contains(m.Text, want) {
		t.Errorf("%q is not in %s", want, m.Text)
	}
}
