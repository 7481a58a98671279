package compose

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// watchers are the services that look at the cluster, by profile.
var watchers = map[string][]string{
	"": {"prometheus-leader", "prometheus-follower-1", "prometheus-follower-2", "alertmanager", "dingtalk",
		"grafana-leader", "grafana-follower", "node-exporter", "blackbox-exporter", "redis-exporter"},
	"ha":   {"prometheus-follower-1-b", "prometheus-follower-2-b", "alertmanager-2"},
	"load": {"load"},
}

// TestProfiles compares what starts without a profile, and what each adds.
func TestProfiles(t *testing.T) {
	cluster := []string{"secrets", "redis", "zookeeper", "node-1", "node-2", "node-3", "alloc-1", "alloc-2"}
	found := map[string][]string{}
	for name, s := range load(t).Services {
		profile := strings.Join(s.Profiles, ",")
		if !slices.Contains(cluster, name) || profile != "" {
			found[profile] = append(found[profile], name)
		}
	}
	for _, profile := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[profile])
		if want := slices.Sorted(slices.Values(watchers[profile])); !slices.Equal(found[profile], want) {
			t.Errorf("profile %q adds %v, want %v", profile, found[profile], want)
		}
	}
}

// TestWatchersWaitForNobody: who would tell that the cluster does not come up?
func TestWatchersWaitForNobody(t *testing.T) {
	p := load(t)
	for _, name := range slices.Concat(watchers[""], watchers["ha"]) {
		for on := range p.Services[name].DependsOn {
			if !oneShot(p, on) {
				t.Errorf("%s waits for %s", name, on)
			}
		}
	}
}

// flag is the value that a service's command line has for a flag.
func flag(s types.ServiceConfig, name string) string {
	for _, word := range s.Command {
		if value, ok := strings.CutPrefix(word, "--"+name+"="); ok {
			return value
		}
	}
	return ""
}

// source is the file of this tree that a service sees at a path.
func source(s types.ServiceConfig, path string) string {
	for _, v := range s.Volumes {
		if rest, ok := strings.CutPrefix(path, v.Target); ok && v.Type == types.VolumeTypeBind && (rest == "" || rest[0] == '/') {
			return v.Source + rest
		}
	}
	return ""
}

// TestConfigurationsAreThere follows each --config.file to the tree, and from there each
// folder of rules.
func TestConfigurationsAreThere(t *testing.T) {
	seen := 0
	for name, s := range load(t, "FANFARE_HOST=push.example.org").Services {
		file := flag(s, "config.file")
		if i := slices.Index(s.Command, "--config"); i >= 0 {
			file = s.Command[i+1]
		}
		if file == "" {
			continue
		}
		seen++
		text, err := os.ReadFile(source(s, file))
		if err != nil {
			t.Errorf("%s: %s: %v", name, file, err)
		}
		if repository(s.Image) == "prom/prometheus" {
			checkPrometheus(t, name, s, string(text))
		}
	}
	if seen < 13 {
		t.Errorf("%d services have a configuration", seen)
	}
}

// checkPrometheus checks the flags of a Prometheus against the rest of the file.
func checkPrometheus(t *testing.T, name string, s types.ServiceConfig, config string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^ *- (/etc/[a-z-]+/\*\.yml)$`).FindAllStringSubmatch(config, -1) {
		if rules, err := filepath.Glob(source(s, m[1])); err != nil || len(rules) == 0 {
			t.Errorf("%s: there are no rules at %s: %v", name, m[1], err)
		}
	}
	if !strings.Contains(config, "/etc/prometheus-rules/*.yml") {
		t.Errorf("%s: loads no rules", name)
	}
	if flag(s, "storage.tsdb.path") != "/prometheus" || flag(s, "storage.tsdb.retention.time") == "" || flag(s, "storage.tsdb.retention.size") == "" {
		t.Errorf("%s: its data is not bounded: %v", name, s.Command)
	}
	if len(s.Ports) == 1 && flag(s, "web.external-url") != "http://push.example.org:"+s.Ports[0].Published+"/" {
		t.Errorf("%s is published at %s and says %s", name, s.Ports[0].Published, flag(s, "web.external-url"))
	}
	for _, word := range s.Command {
		if strings.HasPrefix(word, "--web.enable-") {
			t.Errorf("%s: %s lets everybody who reaches it change something", name, word)
		}
	}
}

// TestWatchersStayOnLoopback: opening the cluster does not open who watches it.
func TestWatchersStayOnLoopback(t *testing.T) {
	for variable, want := range map[string][]string{
		"FANFARE_BIND_WATCH":   {"8060", "9090", "9093", "9098", "9099"},
		"FANFARE_BIND_GRAFANA": {"3030", "3031"},
		"FANFARE_BIND_OPS":     {"9310", "9410", "9510"},
	} {
		var open []string
		for _, s := range load(t, variable+"=0.0.0.0").Services {
			for _, port := range s.Ports {
				if port.HostIP == "0.0.0.0" {
					open = append(open, port.Published)
				}
			}
		}
		if slices.Sort(open); !slices.Equal(open, want) {
			t.Errorf("%s opens %v, want %v", variable, open, want)
		}
	}
}

func TestGrafana(t *testing.T) {
	for _, name := range []string{"grafana-leader", "grafana-follower"} {
		s := load(t).Services[name]
		for key, want := range map[string]string{
			"GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer", "GF_USERS_ALLOW_SIGN_UP": "false", "GF_PLUGINS_PREINSTALL_DISABLED": "true",
			"GF_SECURITY_ADMIN_PASSWORD__FILE": "/secrets/grafana/admin-password", "GF_SERVER_ROOT_URL": "http://127.0.0.1:" + s.Ports[0].Published + "/",
		} {
			if got := s.Environment[key]; got == nil || *got != want {
				t.Errorf("%s: %s is %v, want %q", name, key, got, want)
			}
		}
		for key := range s.Environment {
			if strings.Contains(key, "INSTALL_PLUGINS") || key == "GF_PLUGINS_PREINSTALL" {
				t.Errorf("%s: %s needs the network to start", name, key)
			}
		}
		home := s.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
		if _, err := os.Stat(source(s, *home)); err != nil {
			t.Errorf("%s: its home dashboard: %v", name, err)
		}
		if provisioned := read(t, "configs/"+name+"/provisioning/dashboards/fanfare.yml"); !strings.Contains(provisioned, "path: /var/lib/grafana-dashboards") {
			t.Errorf("%s looks for dashboards elsewhere", name)
		}
	}
}

// TestDingTalkSettings compares what the bridge's configuration takes from the
// environment with what it is given.
func TestDingTalkSettings(t *testing.T) {
	given := load(t).Services["dingtalk"].Environment
	taken := map[string]bool{}
	config := regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(read(t, "configs/dingtalk/config.yml"), "")
	for _, m := range regexp.MustCompile(`\$\{(\w+)[^}]*\}`).FindAllStringSubmatch(config, -1) {
		taken[m[1]] = true
	}
	for key := range taken {
		if _, ok := given[key]; !ok {
			t.Errorf("the bridge's configuration wants %s, which it is not given", key)
		}
	}
	taken["GOMEMLIMIT"] = true // by the runtime of Go
	for key := range given {
		if !taken[key] {
			t.Errorf("the bridge is given %s and takes no notice", key)
		}
	}
}

// TestHostNames compares the names by which the configurations know each other with the
// services that have them.
func TestHostNames(t *testing.T) {
	p := load(t)
	comment, host := regexp.MustCompile(`(?m)#.*$`), regexp.MustCompile(`([a-z][a-z0-9-]*):\d{4,5}\b`)
	found := map[string]bool{}
	for _, pattern := range []string{"prometheus-*/prometheus*.yml", "alertmanager/*.yml", "grafana-*/provisioning/datasources/*.yml"} {
		names, err := filepath.Glob(filepath.Join(root, "configs", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range host.FindAllStringSubmatch(comment.ReplaceAllString(string(text), ""), -1) {
				if found[m[1]] = true; p.Services[m[1]].Name == "" {
					t.Errorf("%s names %s, which is no service", name, m[0])
				}
			}
		}
	}
	for _, name := range watchers[""] {
		if !found[name] {
			t.Errorf("no configuration names %s", name)
		}
	}
}
