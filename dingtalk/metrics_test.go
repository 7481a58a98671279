package dingtalk

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// noting is a registry that notes what is registered, also what has no series yet.
type noting struct {
	*prometheus.Registry
	labels map[string]string // by name of a metric, comma separated
}

var described = regexp.MustCompile(`fqName: "([^"]*)".*constLabels: \{\}, variableLabels: \{([^}]*)\}`)

func (n *noting) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		descs := make(chan *prometheus.Desc)
		go func() {
			defer close(descs)
			c.Describe(descs)
		}()
		for d := range descs {
			found := described.FindStringSubmatch(d.String())
			if found == nil {
				panic(fmt.Sprint("cannot read ", d))
			}
			n.labels[found[1]] = found[2]
		}
	}
	n.Registry.MustRegister(all...)
}

var inBackticks = regexp.MustCompile("`([a-z_]+)`")

func words(cell string) (all []string) {
	for _, found := range inBackticks.FindAllStringSubmatch(cell, -1) {
		all = append(all, found[1])
	}
	return all
}

// TestMetricsAreDocumented: docs/DINGTALK.md lists every metric with its labels and what
// became of webhooks and notifications, and nothing that there is not.
func TestMetricsAreDocumented(t *testing.T) {
	registry := &noting{prometheus.NewRegistry(), map[string]string{}}
	w := newWorld(t, withDeadman, "a")
	w.tune = func(o *Options) { o.Registry = registry }
	w.begin()
	w.end()
	text, err := os.ReadFile("../docs/DINGTALK.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Metrics\n")
	section, _, ended := strings.Cut(section, "\n## ")
	if !ok || !ended {
		t.Fatal("no section of metrics")
	}
	documented, values := map[string]string{}, map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		for _, name := range words(cells[1]) {
			documented[prefix+name] = strings.ReplaceAll(strings.TrimSpace(cells[2]), " ", "")
			values[name] = words(cells[3])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(registry.labels)) {
		switch labels, ok := documented[name]; {
		case !ok:
			t.Errorf("%s is not documented", name)
		case labels != registry.labels[name]:
			t.Errorf("%s has the labels %q, documented are %q", name, registry.labels[name], labels)
		}
	}
	mentioned := slices.AppendSeq(regexp.MustCompile(prefix+"[a-z_]+").FindAllString(string(text), -1), maps.Keys(documented))
	for _, found := range regexp.MustCompile("…_([a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		mentioned = append(mentioned, prefix+found[1])
	}
	slices.Sort(mentioned)
	for _, name := range slices.Compact(mentioned) {
		if _, ok := registry.labels[name]; !ok {
			t.Errorf("%s is documented, and there is no such metric", name)
		}
	}
	for name, want := range map[string][]string{
		"webhooks_total":      append(webhookResults(), webhookUnknown),
		"deadman_beats_total": append(beatResults(), webhookUnknown),
		"notifications_total": noteResults(),
	} {
		if !slices.Equal(values[name], want) {
			t.Errorf("%s: documented are %q, want %q", name, values[name], want)
		}
	}
}
