package message

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// loaded makes templates whose clock stands still, in Shanghai.
func loaded(t testing.TB, o Options) *Templates {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	o.Builtin, o.Location = true, zone
	o.Now = func() time.Time { return time.Date(2026, 11, 22, 3, 8, 20, 0, zone) }
	o.Links = Links{GrafanaLeader: "http://grafana.example:3030", GrafanaFollower: "http://grafana.example:3031/", Alertmanager: "http://am.example:9093", Bridge: "http://bridge.example:8060"}
	templates, err := LoadTemplates(o)
	if err != nil {
		t.Fatal(err)
	}
	return templates
}

func silence(a Alert) []Link {
	return []Link{{Text: "🔕 静默 1 小时", URL: "http://am.example:9093/#/silences/new?filter=%7Balertname%3D%22" + a.Name() + "%22%7D"}, {Text: "✋ 确认", URL: "http://bridge.example:8060/ack/" + a.Fingerprint}}
}

// TestGolden: what people read is in testdata, to be read before it is committed.
func TestGolden(t *testing.T) {
	calls := Mention{Mobiles: []string{"13800138000", "+1-2025550123"}, UserIDs: []string{"manager42"}, Severities: []string{"critical"}}
	for _, language := range []string{Chinese, English} {
		templates := loaded(t, Options{Language: language})
		for _, s := range templates.Samples() {
			m, err := templates.preview(s, calls)
			if err != nil {
				t.Fatalf("%s: %v", s.ID, err)
			}
			golden(t, s.ID+"."+language, m)
			if s.ID == "many" || s.ID == "markup" {
				golden(t, "fallback-"+s.ID+"."+language, templates.Fallback(Input{Payload: s.Payloads[0], Mention: calls}))
				golden(t, "bare-"+s.ID+"."+language, templates.Bare(Input{Payload: s.Payloads[0], Mention: calls}))
			}
			if s.ID == "few" {
				for _, kind := range []string{"legacy", "default"} {
					m, err := templates.Render(Input{Payload: s.Payloads[0], Title: `{{ template "` + kind + `.title" . }}`, Text: `{{ template "` + kind + `.content" . }}`})
					if err != nil {
						t.Fatal(err)
					}
					golden(t, kind+"."+language, m)
				}
			}
		}
		last := templates.words.now().Add(-95 * time.Second)
		golden(t, "deadman."+language, templates.Deadman("watchdog", last, calls))
		golden(t, "deadman-never."+language, templates.Deadman("watchdog", time.Time{}, calls))
		golden(t, "deadman-back."+language, templates.DeadmanBack("watchdog", last, calls))
		disk := DiskTrouble{Dir: "/var/lib/fanfare_dingtalk", Cause: "write /var/lib/fanfare_dingtalk/spool.db: no space left on device", Since: last}
		golden(t, "disk."+language, templates.DiskFails(disk, calls))
		golden(t, "disk-back."+language, templates.DiskWorks(disk))
	}
}

// preview makes the message of a sample.
func (t *Templates) preview(s Sample, calls Mention) (Message, error) {
	if len(s.Payloads) > 1 {
		return t.Digest(s.Payloads, calls)
	}
	return t.Render(Input{Target: "ops", Payload: s.Payloads[0], Mention: calls, Actions: silence})
}

func golden(t *testing.T, name string, m Message) {
	t.Helper()
	file := filepath.Join("testdata", name+".md")
	got := fmt.Sprintf("%s\n\n%s\n\nat %v %v %v, left out %d\n", m.Title, m.Text, m.At.Mobiles, m.At.UserIDs, m.At.All, m.Truncated)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as it was; look at it and run with -update. It is now:\n%s", file, got)
	}
	if size := len(m.Encode()); size > MaxBody {
		t.Errorf("%s has %d bytes", name, size)
	}
}
