package message

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
)

// file writes a file of templates and returns its name.
func file(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.tmpl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// render runs a text template on the sample of one alert.
func render(t testing.TB, templates *Templates, text string) (string, error) {
	t.Helper()
	m, err := templates.Render(Input{Target: "ops", Payload: templates.Samples()[0].Payloads[0], Text: text})
	if err == nil {
		check(t, m)
	}
	return m.Text, err
}

// TestFunctions: what people write in templates for prometheus-webhook-dingtalk and for
// Alertmanager.
func TestFunctions(t *testing.T) {
	templates := loaded(t, Options{})
	for text, want := range map[string]string{
		`{{ .Status | toUpper }} {{ "ABC" | toLower }} {{ .Receiver | upper }}`:                                                     "FIRING abc DING-OPS",
		`{{ "a_b*c` + "`" + `<&" | markdown }}`:                                                                                     `a\_b\*c` + "\\`" + `<&`,
		`{{ "a_b <i> '&amp;'" | markdown | html }}`:                                                                                 `a\_b &lt;i&gt; &#39;&amp;amp;&#39;`,
		`{{ .GroupLabels.SortedPairs.Values | join " " }} {{ .GroupLabels.Names }}`:                                                 "fanfare node-2 [cluster node]",
		`{{ with .CommonLabels.Remove .GroupLabels.Names }}{{ .Values | join "," }}{{ end }}`:                                       "FanfareNodeDown,fanfare,node-2:9310,fanfare-node,critical",
		`{{ range .Alerts.Firing }}{{ .Labels.node }} {{ index .Labels "node" }} {{ .Labels.none }}{{ end }}`:                       "node-2 node-2",
		`{{ len .Alerts.Firing }}{{ .Alerts.Firing | len }}{{ len .Alerts.Resolved }}{{ len .Alerts }}`:                             "1101",
		`{{ range .Alerts }}{{ range .Annotations.SortedPairs }}{{ if eq .Name "summary" }}{{ .Value }}{{ end }}{{ end }}{{ end }}`: "Node node-2 does not answer",
		// Alerts start at 19:07 UTC, which is 03:07 in Shanghai.
		`{{ range .Alerts }}{{ (.StartsAt.Add 28800e9).Format "2006-01-02 15:04:05" }}{{ end }}`:                                       "2026-11-22 03:07:00",
		`{{ range .Alerts }}{{ .StartsAt.Format "15:04" }} {{ dateInZone "15:04" .StartsAt "Asia/Tokyo" }}{{ end }}`:                   "19:07 04:07",
		`{{ range .Alerts }}{{ date "15:04" .StartsAt }} {{ .StartsAt | date "15:04" }}{{ end }}`:                                      "03:07 03:07",
		`{{ range .Alerts }}{{ .StartsAt | tz "America/New_York" | date "15:04" }} {{ .StartsAt | tz "UTC" | date "15:04" }}{{ end }}`: "14:07 19:07",
		`{{ range .Alerts }}{{ since .StartsAt }} {{ .StartsAt | since | humanizeDuration }} {{ ago .StartsAt }}{{ end }}`:             "1m20s 1m 20s 1m20s",
		`{{ humanizeDuration 0.25 }} {{ humanizeDuration "93784" }} {{ humanizeDuration 3600 }} {{ humanizeDuration -5 }}`:             "250ms 1d 2h 3m 4s 1h 0m 0s -5s",
		`{{ now | date "2006" }}`: "2026",
		`{{ reReplaceAll "node-(.)" "n$1" "node-7" }} {{ match "^a" "abc" }}`:                                                              "n7 true",
		`{{ "x" | default "y" }} {{ "" | default "y" }} {{ "a,b" | splitList "," | join "-" }} {{ add 1 2 }}`:                              "x y a-b 3",
		`{{ trimSpace " x " }} {{ title "hello" }} {{ urlUnescape "a%20b" }} {{ base64encode "x" }} {{ base64decode "eA==" }}`:             "x Hello a b eA== x",
		`{{ safeHtml "<b>" }} {{ safeUrl "u" }} {{ stringSlice "a" "b" | join "+" }} {{ printf "%d-%s" 3 "x" }} {{ dict "a" 1 | toJson }}`: `<b> u a+b 3-x {"a":1}`,
		`{{ .Target }} {{ .ExternalURL }} {{ .GroupKey | trunc 3 }} {{ .FiringCount }}`:                                                    "ops http://alertmanager:9093 {}/ 1",
		`{{ template "__alertmanagerURL" . }}`:                                          "http://alertmanager:9093/#/alerts?receiver=ding-ops",
		`{{ template "__subject" . }}`:                                                  "[FIRING:1] fanfare node-2 (FanfareNodeDown fanfare node-2:9310 fanfare-node critical)",
		`{{ "a_b <i>" | escape }} {{ untilStep 0 6 2 }} {{ seq 3 }} {{ repeat 3 "x" }}`: `a\_b &lt;i> [0 2 4] 1 2 3 xxx`,
	} {
		if got, err := render(t, templates, text); err != nil || got != want {
			t.Errorf("%s\n gives %q, %v\n want  %q", text, got, err, want)
		}
	}
}

// TestWithheld: functions that reach out or make keys are not there, and nothing else of
// sprig is missing.
func TestWithheld(t *testing.T) {
	templates := loaded(t, Options{})
	ours := templates.functions()
	for name := range sprig.TxtFuncMap() {
		if (ours[name] == nil) != slices.Contains(withheld(), name) {
			t.Errorf("%s: there is %v", name, ours[name] != nil)
		}
	}
	for _, text := range []string{`{{ env "HOME" }}`, `{{ expandenv "$HOME" }}`, `{{ getHostByName "localhost" }}`, `{{ genPrivateKey "rsa" }}`} {
		if err := templates.Check("", text); err == nil || !strings.Contains(err.Error(), "not defined") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestGreed: a template that would take all memory, or never end, is an error.
func TestGreed(t *testing.T) {
	templates := loaded(t, Options{})
	for _, text := range []string{
		`{{ repeat 1000000000 "x" }}`, `{{ repeat 9223372036854775807 "xx" }}`, `{{ until 1000000000 }}`, `{{ untilStep 0 1000000000 1 }}`, `{{ seq 1 1000000000 }}`,
		`{{ seq 1000000000 }}`, `{{ seq 0 1 1000000000 }}`, `{{ indent 1000000000 "x" }}`, `{{ nindent 1000000000 "x" }}`, `{{ printf "%1000000d%1000000d" 1 2 }}`, `{{ printf "%*d" 1000000 1 }}`,
		`{{ $x := "aaaaaaaaaa" }}{{ range until 60 }}{{ $x = printf "%s%s" $x $x }}{{ end }}`,
		`{{ $x := "aaaaaaaaaa" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}`,
		`{{ $x := "aaaaaaaaaa" }}{{ range until 60 }}{{ $x = replace "a" $x $x }}{{ end }}`,
		`{{ $x := "aaaaaaaaaa" }}{{ range until 60 }}{{ $x = regexReplaceAll "a" $x $x }}{{ end }}`,
		`{{ $x := "aaaaaaaaaa" }}{{ range until 60 }}{{ $x = html $x | html | reReplaceAll "a" "&&&&" }}{{ end }}`,
		`{{ $x := list 1 2 }}{{ range until 60 }}{{ $x = list $x $x }}{{ end }}{{ toJson $x }}`,
		`{{ $x := list 1 2 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}`,
		`{{ $x := dict }}{{ $y := set $x "x" $x }}{{ $y }}`,
		`{{ $x := repeat 1000 "x" }}{{ join $x (until 9999) }}`,
		`{{ range until 9999 }}{{ range until 9999 }}{{ range until 9999 }} {{ end }}{{ end }}{{ end }}x`,
		// Without a word written, and therefore without a word that could be refused.
		`{{ range 1000000000000 }}{{ end }}x`,
		`{{ range until 9999 }}{{ range until 9999 }}{{ range until 9999 }}{{ end }}{{ end }}{{ end }}x`,
		`{{ $n := 0 }}{{ range 1000000000000 }}{{ $n = add $n 1 }}{{ continue }}{{ else }}{{ end }}x`,
		`{{ if true }}{{ with 1 }}{{ range $i := 1000000000000 }}{{ if $i }}{{ end }}{{ end }}{{ end }}{{ end }}x`,
		doubling(60) + `{{ template "d60" . }}x`,
	} {
		if got, err := render(t, templates, text); err == nil {
			t.Errorf("%s gives a message of %d bytes", text, len(got))
		}
	}
}

// doubling defines templates each of which calls the one before it twice.
func doubling(n int) string {
	text := `{{ define "d0" }}{{ end }}`
	for i := range n {
		text += fmt.Sprintf(`{{ define "d%d" }}{{ template "d%d" . }}{{ template "d%d" . }}{{ end }}`, i+1, i, i)
	}
	return text
}

// TestLoopsInFilesEnd: also templates of files cannot run for ever.
func TestLoopsInFilesEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "loop.tmpl")
	if err := os.WriteFile(file, []byte(`{{ define "loop" }}{{ range 1000000000000 }}{{ end }}{{ end }}`), 0o600); err != nil {
		t.Fatal(err)
	}
	templates, err := LoadTemplates(Options{Builtin: true, Globs: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := render(t, templates, `{{ template "loop" }}x`); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("the loop ended with %v", err)
	}
}

func TestTemplatesThatFail(t *testing.T) {
	templates := loaded(t, Options{})
	p := templates.Samples()[0].Payloads[0]
	for _, c := range []struct{ title, text, want string }{
		{"{{ .Nope }}", "x", "the title"},
		{"x", "{{ .Nope }}", "the text"},
		{"x", "{{ nope }}", `function "nope" not defined`},
		{"x", "{{ if }}", "missing value"},
		{"{{", "x", "the title"},
		{"x", `{{ template "nope" }}`, `"nope" not defined`},
		{"x", `{{ index .Alerts 5 }}`, "index out of range"},
		{"x", `{{ fail "no" }}`, "no"},
		{"x", `{{ .Alerts.Firing.Foo }}`, "Foo"},
		{"x", ` {{/* nothing */}} `, "writes nothing"},
		{"x", `{{ template "text" . }}`, "calls itself"},
		{"x", `{{ define "a" }}{{ if true }}{{ template "b" }}{{ end }}{{ end }}{{ define "b" }}{{ range .Alerts }}{{ template "a" }}{{ end }}{{ end }}{{ template "a" . }}`, "calls itself"},
		{"x", `{{ tz "Nowhere/Else" (index .Alerts 0).StartsAt }}`, "no time zone"},
	} {
		in := Input{Payload: p, Title: c.title, Text: c.text}
		if _, err := templates.Render(in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.title, c.text, err, c.want)
		}
		if err := templates.Check(c.title, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check(%s, %s) = %v, want %q", c.title, c.text, err, c.want)
		}
		m := templates.Fallback(in)
		if check(t, m); !strings.Contains(m.Text, "node-2") {
			t.Errorf("the fallback is %q", m.Text)
		}
	}
	if _, err := templates.Render(Input{}); err == nil {
		t.Error("a message was made of nothing")
	}
	check(t, templates.Fallback(Input{}))
	check(t, templates.Bare(Input{}))
	check(t, templates.Bare(Input{Payload: &Payload{}}))
	if err := templates.Check("", ""); err != nil {
		t.Error(err)
	}
}

func TestLoadTemplates(t *testing.T) {
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Globs: []string{filepath.Join(t.TempDir(), "*.tmpl")}}, "no file has such a name"},
		{Options{Globs: []string{"[x"}}, "syntax error in pattern"},
		{Options{Globs: []string{file(t, `{{ define "a" }}`+"\n"+`{{ nope }}{{ end }}`)}}, `x.tmpl:2: function "nope" not defined`},
		{Options{Globs: []string{file(t, strings.Repeat("x", 1<<20+1))}}, "longer than"},
		{Options{Globs: []string{file(t, `{{ define "a" }}{{ template "a" . }}{{ end }}`)}}, "a → a"},
		{Options{Globs: []string{t.TempDir()}}, "is a directory"},
		{Options{Language: "fr"}, "neither zh nor en"},
	} {
		if _, err := LoadTemplates(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.options, err, c.want)
		}
	}
}

// TestOverride: a file may define one of the built-in templates anew, or do without them.
func TestOverride(t *testing.T) {
	own := file(t, `{{ define "ding.link.title" }}T {{ .Status }}{{ end }}{{ define "default.__text_alert_list" }}{{ range . }}A {{ .Labels.node }}{{ end }}{{ end }}`)
	m, err := loaded(t, Options{Globs: []string{own}}).Render(Input{Payload: nodes(1), Text: `{{ template "default.__text_alert_list" .Alerts.Firing }}`})
	if err != nil || m.Title != "T firing" || m.Text != "A node-00000" {
		t.Errorf("%+v, %v", m, err)
	}
	bare, err := LoadTemplates(Options{Globs: []string{own}})
	if err != nil {
		t.Fatal(err)
	}
	if err := bare.Check("", ""); err == nil || !strings.Contains(err.Error(), `"ding.link.content" not defined`) {
		t.Errorf("without the built-in templates: %v", err)
	}
	if err := bare.Check("", "x"); err != nil {
		t.Error(err)
	}
}

// TestErrTooMuchIsKept: text/template wraps what a function says.
func TestErrTooMuchIsKept(t *testing.T) {
	f := bound("x", func() string { return strings.Repeat("x", mostText+1) })
	err := template.Must(template.New("").Funcs(template.FuncMap{"x": f}).Parse("{{ x }}")).Execute(&strings.Builder{}, nil)
	if !errors.Is(err, errTooMuch) {
		t.Errorf("%v", err)
	}
}

func FuzzRender(f *testing.F) {
	f.Add("node-1", "it is *down*", "{{ .Status }}", uint16(3), int64(60))
	f.Add("\xff\x00", "<b>\n- x", `{{ range .Alerts }}{{ .Short }} {{ .Links }}{{ end }}`, uint16(500), int64(-5))
	f.Add("告警", strings.Repeat("🔴", 3000), "", uint16(40), int64(1e15))
	f.Add("[x](y)", "1. x", `{{ template "legacy.content" . }}`, uint16(9), int64(0))
	templates := loaded(f, Options{})
	f.Fuzz(func(t *testing.T, label, annotation, text string, n uint16, age int64) {
		n = n%300 + 1
		alerts := make(Alerts, n)
		for i := range alerts {
			alerts[i] = Alert{Status: []string{StatusFiring, StatusResolved}[i%2], Labels: KV{"alertname": label, label: annotation, "node": label, "severity": label},
				Annotations:  KV{"summary": annotation, "description_zh": annotation + label, "dashboard": "/" + label, "runbook_url": annotation, "grafana": label},
				GeneratorURL: label, StartsAt: templates.words.now().Add(-time.Duration(age)), EndsAt: templates.words.now(), Fingerprint: label}
		}
		in := Input{Target: label, Payload: group(alerts...), Title: text, Text: text, Mention: Mention{Mobiles: []string{label}, UserIDs: []string{annotation}, Severities: []string{label}}, Actions: silence}
		if m, err := templates.Render(in); err == nil {
			check(t, m)
		}
		in.Title, in.Text = "", ""
		m, err := templates.Render(in)
		if err != nil {
			t.Fatal(err)
		}
		check(t, m)
		check(t, templates.Fallback(in))
		check(t, templates.Bare(in))
		list, err := templates.Digests([]*Payload{in.Payload, nil, in.Payload}, in.Mention, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			check(t, m)
		}
	})
}
