package message

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// real is a body as Alertmanager 0.25 sends it.
const real = `{"receiver":"ding-ops","status":"firing","alerts":[{"status":"firing","labels":{"alertname":"FanfareNodeDown","cluster":"fanfare","node":"n1","severity":"critical"},
"annotations":{"summary":"down"},"startsAt":"2026-11-21T19:05:00.123Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/graph","fingerprint":"0123456789abcdef"},
{"status":"resolved","labels":{"alertname":"X"},"annotations":null,"startsAt":"2026-11-21T19:05:00+08:00","endsAt":"2026-11-21T19:06:00+08:00"}],
"groupLabels":{"cluster":"fanfare"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am:9093","version":"4","groupKey":"{}:{cluster=\"fanfare\"}","truncatedAlerts":3,
"notification_reason":"first notification","something_new":[1,{"a":null}]}`

func TestDecode(t *testing.T) {
	p, err := Decode([]byte(real))
	if err != nil {
		t.Fatal(err)
	}
	if p.Status != StatusFiring || p.GroupKey != `{}:{cluster="fanfare"}` || p.TruncatedAlerts != 3 || p.NotificationReason != "first notification" || len(p.Alerts) != 2 {
		t.Errorf("decoded %+v", p)
	}
	a, b := p.Alerts[0], p.Alerts[1]
	if a.Name() != "FanfareNodeDown" || a.Severity() != "critical" || a.Resolved() || !a.EndsAt.IsZero() || !a.StartsAt.Equal(time.Date(2026, 11, 21, 19, 5, 0, 123e6, time.UTC)) {
		t.Errorf("the first alert is %+v", a)
	}
	if !b.Resolved() || b.EndsAt.Sub(b.StartsAt) != time.Minute || b.Annotations == nil {
		t.Errorf("the second alert is %+v", b)
	}
	if _, offset := b.StartsAt.Zone(); offset != 8*3600 {
		t.Errorf("the offset of a time became %d", offset)
	}
}

// TestDecodeTolerant: what hands and other programs write is taken as far as it makes sense.
func TestDecodeTolerant(t *testing.T) {
	for body, want := range map[string]string{
		`{"alerts":[{}]}`: "firing/firing",
		`{"alerts":[{"labels":null,"annotations":null,"startsAt":null,"endsAt":""}],"groupLabels":null}`:        "firing/firing",
		`{"alerts":[{"startsAt":"yesterday","endsAt":7}]}`:                                                      "firing/firing",
		`{"alerts":[{"endsAt":"2026-11-21T19:06:00Z"}]}`:                                                        "resolved/resolved",
		`{"alerts":[{"status":"RESOLVED"}],"status":"firing"}`:                                                  "resolved/resolved",
		`{"alerts":[{"status":"on fire","labels":{"a":1,"b":true,"c":null,"d":"x","e":1.50}}],"version":"3"}`:   "firing/firing",
		`{"alerts":[{"labels":{"a":"\ud800 \u0000"}}],"truncatedAlerts":-4}` + "\n \t":                          "firing/firing",
		`{"Alerts":[{"Labels":{"alertname":"a"}}],"alerts":[{"status":"resolved"}]}`:                            "resolved/resolved",
		"\n" + `{"alerts":[{"status":"firing"},{"status":"resolved"}],"status":"","commonLabels":{"x":"y"}}   `: "firing/firing",
	} {
		p, err := Decode([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got := p.Status + "/" + p.Alerts[0].Status; got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
		checkDecoded(t, p)
	}
	p, err := Decode([]byte(`{"alerts":[{"labels":{"a":1,"b":true,"c":null,"d":"x","e":1.50}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Alerts[0].Labels.Values(), ","); got != "1,true,,x,1.50" {
		t.Errorf("the labels are %s", got)
	}
}

// checkDecoded checks what Decode promises.
func checkDecoded(t testing.TB, p *Payload) {
	t.Helper()
	if len(p.Alerts) == 0 || p.GroupLabels == nil || p.CommonLabels == nil || p.CommonAnnotations == nil || p.TruncatedAlerts < 0 {
		t.Errorf("decoded %+v", p)
	}
	for _, a := range p.Alerts {
		if a.Labels == nil || a.Annotations == nil || a.Status != StatusFiring && a.Status != StatusResolved {
			t.Errorf("decoded %+v", a)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for body, want := range map[string]string{
		"":                                       "empty",
		" \n":                                    "empty",
		"hello":                                  "at byte 1",
		`{"alerts":[{"labels":{"a":"b"}`:         "unexpected end",
		real + "x":                               "after top-level value",
		`[]`:                                     "is a JSON array",
		`"x"`:                                    "is a JSON string",
		`null`:                                   "no alerts",
		`{}`:                                     "no alerts",
		`{"alerts":[]}`:                          "no alerts",
		`{"alerts":{}}`:                          "alerts is a JSON object",
		`{"alerts":[1]}`:                         "is a JSON number",
		`{"alerts":[{"labels":[]}]}`:             "must be objects",
		`{"alerts":[{"labels":{"a":{}}}]}`:       "must be texts",
		`{"alerts":[{"labels":{"a":["x"]}}]}`:    "must be texts",
		`{"alerts":[{}],"truncatedAlerts":1e99}`: "truncatedAlerts is a JSON number",
		`{"alerts":[{}],"groupKey":{"secret":"s"}}`: "groupKey is a JSON object",
		strings.Repeat(`{"a":`, 20000):              "exceeded max depth",
		`{"alerts":[{"status":1}]}`:                 "status is a JSON number",
	} {
		_, err := Decode([]byte(body))
		var bad *DecodeError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("%.60s: %v, want %q", body, err, want)
		}
	}
}

func TestKV(t *testing.T) {
	kv := KV{"b": "2", "alertname": "X", "a": "1"}
	if got := fmt.Sprint(kv.SortedPairs(), kv.Names(), kv.Values(), kv.Remove([]string{"b", "none"}), KV(nil).SortedPairs(), KV(nil).Remove(nil)); got != "[{alertname X} {a 1} {b 2}] [alertname a b] [X 1 2] map[a:1 alertname:X] [] map[]" {
		t.Error(got)
	}
	p, err := Decode([]byte(real))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Alerts.Firing()) != 1 || len(p.Alerts.Resolved()) != 1 || len(Alerts(nil).Firing()) != 0 {
		t.Errorf("firing %v, resolved %v", p.Alerts.Firing(), p.Alerts.Resolved())
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(real))
	f.Add([]byte(`{"alerts":[{"labels":{"a":1,"b":null}}]}`))
	f.Add([]byte(`{"alerts":[{"labels":{"a":{}}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := Decode(body)
		var bad *DecodeError
		if err != nil {
			if !errors.As(err, &bad) {
				t.Errorf("%v", err)
			}
			return
		}
		checkDecoded(t, p)
	})
}
