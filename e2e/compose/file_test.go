package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
)

// load reads docker-compose.yml as Compose v2 would, with the variables as .env would
// set them.
func load(t *testing.T, variables ...string) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithName("fanfare"), cli.WithEnv(variables), cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Services) < 20 {
		t.Fatalf("%d services", len(p.Services))
	}
	return p
}

// ours tells whether a service runs Fanfare.
func ours(s types.ServiceConfig) bool { return repository(s.Image) == "fanfare" }

func repository(image string) string {
	name, _, _ := strings.Cut(image, ":")
	return name
}

// oneShot tells whether a service does its work and ends.
func oneShot(p *types.Project, name string) bool {
	for _, s := range p.Services {
		if d, ok := s.DependsOn[name]; ok && d.Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	return false
}

func TestImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9._/-]+:v?\d+\.\d+\.\d+(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?$`)
	p := load(t)
	built := map[string]bool{}
	for _, s := range p.Services {
		built[s.Image] = built[s.Image] || s.Build != nil
	}
	for name, s := range p.Services {
		if !built[s.Image] && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q has no exact version", name, s.Image)
		}
	}
	text := read(t, "Dockerfile")
	from := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(text, -1)
	if len(from) < 2 {
		t.Errorf("the Dockerfile has %d stages", len(from))
	}
	for _, m := range from {
		if m[1] != "scratch" && !pinned.MatchString(m[1]) {
			t.Errorf("Dockerfile: image %q has no exact version", m[1])
		}
	}
	if strings.Contains(text, "RUN --mount") {
		t.Error("Dockerfile: the classic builder knows no RUN --mount")
	}
}

// TestGoVersion compares the image that builds with what go.mod asks for.
func TestGoVersion(t *testing.T) {
	want := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "go.mod"))[1]
	if !strings.Contains(read(t, "Dockerfile"), "FROM golang:"+want+" ") {
		t.Errorf("the Dockerfile does not build with Go %s, which go.mod names", want)
	}
}

// TestPorts looks at what other machines can reach: nothing, until .env says so.
func TestPorts(t *testing.T) {
	operations := []string{"9310", "9410", "9510", "9090", "9099", "9098", "9093", "8060", "3030", "3031"}
	published := map[string]string{}
	for name, s := range load(t).Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is published on %q", name, port.Published, port.HostIP)
			}
			if other, ok := published[port.Published]; ok {
				t.Errorf("port %s is published by %s and %s", port.Published, other, name)
			}
			published[port.Published] = name
		}
	}
	for _, port := range slices.Concat(operations, []string{"3000", "3100", "3200", "8008", "8108", "8208", "9999", "9998"}) {
		if published[port] == "" {
			t.Errorf("port %s is not published", port)
		}
		delete(published, port)
	}
	if len(published) > 0 {
		t.Errorf("published beside those: %v", published)
	}
	for _, s := range load(t, "FANFARE_BIND=0.0.0.0").Services {
		for _, port := range s.Ports {
			want := "0.0.0.0"
			if slices.Contains(operations, port.Published) {
				want = "127.0.0.1"
			}
			if port.HostIP != want {
				t.Errorf("with FANFARE_BIND port %s is published on %s", port.Published, port.HostIP)
			}
		}
	}
}

// TestAddresses checks that each node tells devices the port that it is published on.
func TestAddresses(t *testing.T) {
	for name, s := range load(t, "FANFARE_HOST=push.example.org").Services {
		for _, port := range s.Ports {
			key := map[uint32]string{3000: "FANFARE_NODE_ADVERTISE_DEVICE", 8008: "FANFARE_NODE_ADVERTISE_WEBSOCKET"}[port.Target]
			if key == "" || !ours(s) {
				continue
			}
			if got := s.Environment[key]; got == nil || *got != "push.example.org:"+port.Published {
				t.Errorf("%s: %s is %v, and port %s is published", name, key, got, port.Published)
			}
		}
		if id := s.Environment["FANFARE_NODE_ID"]; id != nil && *id != name {
			t.Errorf("%s has the id %s", name, *id)
		}
	}
}

func TestServicesAreBounded(t *testing.T) {
	p := load(t)
	for name, s := range p.Services {
		if s.MemLimit <= 0 {
			t.Errorf("%s: no mem_limit", name)
		}
		if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
			t.Errorf("%s: its log may grow for ever", name)
		}
		restart := "unless-stopped"
		if oneShot(p, name) {
			restart = "no"
		}
		if s.Restart != restart {
			t.Errorf("%s: restart is %q", name, s.Restart)
		}
		if s.Privileged || s.NetworkMode == "host" || s.Pid != "" && name != "node-exporter" || len(s.CapAdd)+len(s.Devices) > 0 {
			t.Errorf("%s has rights on the host", name)
		}
		if chowns[name] {
			continue
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.User != "" {
			t.Errorf("%s runs with more rights than it needs", name)
		}
		if !s.ReadOnly && repository(s.Image) != "grafana/grafana" { // which writes beside its volume too
			t.Errorf("%s may write to its image", name)
		}
	}
}

// chowns are services whose images start as root, give the user they become the data
// directory, and give root up.
var chowns = map[string]bool{"redis": true, "zookeeper": true}

// TestHealthChecks allows only programs that the real images have.
func TestHealthChecks(t *testing.T) {
	const busybox = "CMD wget -q -O /dev/null http://127.0.0.1:"
	programs := map[string]string{
		"fanfare": "CMD /usr/bin/fanfare", "redis": "CMD-SHELL", "zookeeper": "CMD bash",
		"prom/prometheus": busybox, "prom/alertmanager": busybox, "prom/node-exporter": busybox, "prom/blackbox-exporter": busybox,
		"grafana/grafana": busybox, "oliver006/redis_exporter": busybox,
	}
	p := load(t)
	for name, s := range p.Services {
		if oneShot(p, name) {
			continue
		}
		h := s.HealthCheck
		if h == nil || h.Disable || h.Interval == nil || h.Timeout == nil || h.Retries == nil || h.StartPeriod == nil {
			t.Errorf("%s: no complete healthcheck", name)
			continue
		}
		want := programs[repository(s.Image)]
		if want == "" {
			t.Errorf("%s: say here what the image %s has for a health check", name, s.Image)
		}
		if !strings.HasPrefix(strings.Join(h.Test, " "), want) {
			t.Errorf("%s: health check %q", name, h.Test)
		}
		if repository(s.Image) == "oliver006/redis_exporter" && !strings.HasSuffix(s.Image, "-alpine") {
			t.Errorf("%s: %s holds one program and nothing that could check its health", name, s.Image)
		}
	}
}

// TestOrder checks that whatever is waited for can be waited for.
func TestOrder(t *testing.T) {
	p := load(t)
	for name, s := range p.Services {
		for on, d := range s.DependsOn {
			if d.Condition == types.ServiceConditionStarted {
				t.Errorf("%s waits for the start of %s only", name, on)
			}
			if d.Condition == types.ServiceConditionHealthy && p.Services[on].HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has none", name, on)
			}
		}
		if ours(s) && !oneShot(p, name) && name != "dingtalk" && len(s.DependsOn) != 3 {
			t.Errorf("%s depends on %d services", name, len(s.DependsOn))
		}
	}
}

// TestNodesHaveTimeToDrain compares how long a node may take to stop.
func TestNodesHaveTimeToDrain(t *testing.T) {
	const orderlyEnd = 15 * time.Second // that a process takes at most after draining
	m := regexp.MustCompile(`drain_timeout: (\S+)`).FindStringSubmatch(read(t, "configs/fanfare/cluster/node.yaml"))
	if m == nil {
		t.Fatal("node.yaml does not say how long a node drains")
	}
	drain, err := time.ParseDuration(m[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range load(t).Services {
		if s.StopGracePeriod == nil && !oneShot(load(t), name) {
			t.Errorf("%s: no stop_grace_period", name)
		}
		if s.Environment["FANFARE_NODE_ID"] != nil && time.Duration(*s.StopGracePeriod) < drain+orderlyEnd {
			t.Errorf("%s: stop_grace_period %v is too short for drain_timeout %v", name, *s.StopGracePeriod, drain)
		}
	}
}

// TestOldComposeKnowsTheKeys refuses what docker-compose 1.29 does not know. "make
// test-compose" asks the real one.
func TestOldComposeKnowsTheKeys(t *testing.T) {
	var file map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	for key := range file {
		if key != "services" && key != "volumes" && !strings.HasPrefix(key, "x-") {
			t.Errorf("top-level key %s", key)
		}
	}
	newer := []string{"name", "include", "develop", "start_interval", "required", "annotations", "attach", "gpus", "post_start", "pre_stop", "provider", "models", "pull_policy", "dockerfile_inline"}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				if slices.Contains(newer, key) {
					t.Errorf("%s.%s is newer than docker-compose 1.29", path, key)
				}
				walk(path+"."+key, value)
			}
		case []any:
			for _, item := range v {
				walk(path, item)
			}
		}
	}
	walk("", file["services"])
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
