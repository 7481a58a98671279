//go:build linux

package configs

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// shown are the names of the metrics that a page of metrics has.
func shown(t *testing.T, pages ...string) names {
	t.Helper()
	all := names{}
	for _, page := range pages {
		text, err := get(t.Context(), page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
			all.add(found[1])
		}
	}
	return all
}

// sometimes are metrics that depend on the machine or on what it is asked: whether the
// kernel lets a container see its clock, for one.
var sometimes = regexp.MustCompile(`^node_(timex|filefd|filesystem)_`)

// compare fails for metrics of the list that the real program does not show, as far as
// rules or dashboards ask for them; all the others may depend on the machine. With
// FANFARE_UPDATE=1 in the environment it writes the list anew:
//
//	FANFARE_UPDATE=1 go test -run TestForeign ./configs
func compare(t *testing.T, program string, real names) {
	t.Helper()
	if os.Getenv("FANFARE_UPDATE") != "" {
		text := "# Metrics of Debian's " + program + ", one name a line; foreign_test.go writes this.\n" +
			strings.Join(slices.Sorted(maps.Keys(real)), "\n") + "\n"
		if err := os.WriteFile(filepath.Join("testdata", "foreign", program+".txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, asked := foreign(t, program), askedFor(t)
	if len(list) < 10 {
		t.Errorf("the list of %s has %d metrics", program, len(list))
	}
	for name := range list {
		if asked.asks(name) && !real[name] && !sometimes.MatchString(name) {
			t.Errorf("%s is asked for, and %s does not show it", name, program)
		}
	}
}

// asks tells whether a metric is asked for, or a series of its histogram.
func (n names) asks(name string) bool {
	return n[name] || n[name+"_bucket"] || n[name+"_count"] || n[name+"_sum"]
}

// askedFor are the metrics in all rules and all dashboards.
func askedFor(t *testing.T) names {
	t.Helper()
	all := names{}
	for _, r := range loadRules(t) {
		asked, err := metrics(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		all.add(asked...)
	}
	word := regexp.MustCompile(`[a-z][a-z0-9_]+`)
	for _, name := range glob(t, "../dashboards/*/*.json") {
		all.add(word.FindAllString(read(t, name), -1)...) // more than the metrics, which does no harm
	}
	return all
}

func TestForeignNodeExporter(t *testing.T) {
	t.Parallel()
	at := freeAddress(t)
	compare(t, "node_exporter", shown(t, serve(t, at, "/", "prometheus-node-exporter", "--web.listen-address="+at)+"/metrics"))
}

func TestForeignRedisExporter(t *testing.T) {
	t.Parallel()
	lookPath(t, "prometheus-redis-exporter")
	redis := backing.StartRedis(t, "--appendonly", "yes", "--maxmemory", "256mb")
	redis.Do("SET", "key", "value")
	at := freeAddress(t)
	compare(t, "redis_exporter", shown(t, serve(t, at, "/health", "prometheus-redis-exporter",
		"-web.listen-address="+at, "-redis.addr=redis://"+redis.Addr)+"/metrics"))
}

func TestForeignBlackboxExporter(t *testing.T) {
	t.Parallel()
	exporter := blackbox(t)
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	target := "&target=" + url.QueryEscape(web.Listener.Addr().String())
	compare(t, "blackbox_exporter", shown(t, exporter+"/metrics", exporter+"/probe?module=tls"+target, exporter+"/probe?module=http_ready"+target))
}

func TestForeignAlertmanager(t *testing.T) {
	t.Parallel()
	compare(t, "alertmanager", shown(t, alertmanager(t, "http://127.0.0.1:9", freeAddress(t))+"/metrics"))
}

func TestForeignPrometheus(t *testing.T) {
	t.Parallel()
	at := freeAddress(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"prometheus.yml": `{rule_files: [rules.yml], alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:9"]}]}]}, scrape_configs: [{job_name: self, scrape_interval: 1s, static_configs: [{targets: ["` + at +
			`"]}], http_sd_configs: [{url: "http://127.0.0.1:9/"}]}]}`,
		"rules.yml": `{groups: [{name: a, rules: [{record: "a:b", expr: vector(1)}]}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url := serve(t, at, "/-/ready", "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--web.listen-address="+at, "--storage.tsdb.path="+t.TempDir())
	for question, answer := range map[string]string{"query?query=up": `"instance"`, "alertmanagers": "127.0.0.1:9"} {
		await(t, "the answer to "+question, &output{}, nil, func() error {
			text, err := get(t.Context(), url+"/api/v1/"+question)
			if err == nil && !strings.Contains(text, answer) {
				err = errors.New(text)
			}
			return err
		})
	}
	compare(t, "prometheus", shown(t, url+"/metrics"))
}
