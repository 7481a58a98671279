package configs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// rule is a recording or an alerting rule.
type rule struct {
	Record        string
	Alert         string
	Expr          string
	For           string
	KeepFiringFor string `yaml:"keep_firing_for"`
	Labels        map[string]string
	Annotations   map[string]string

	file string // such as follower-2/redis.yml
}

// side is whose rule it is: leader, follower-1 or follower-2.
func (r rule) side() string { return filepath.Dir(r.file) }

func (r rule) name() string { return r.file + ": " + r.Alert + r.Record }

// sides are the Prometheus servers that have rules of their own.
var sides = []string{"leader", "follower-1", "follower-2"}

// loadRules reads all rules.
func loadRules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, side := range sides {
		for _, name := range glob(t, filepath.Join("rules", side, "*.yml")) {
			var file struct{ Groups []struct{ Rules []rule } }
			if err := yaml.Unmarshal([]byte(read(t, name)), &file); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, group := range file.Groups {
				for _, r := range group.Rules {
					r.file = filepath.Join(side, filepath.Base(name))
					all = append(all, r)
				}
			}
		}
	}
	return all
}

// alerts are the alerting rules.
func alerts(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, r := range loadRules(t) {
		if r.Alert != "" {
			all = append(all, r)
		}
	}
	if len(all) < 50 {
		t.Fatalf("only %d alerts were found", len(all))
	}
	return all
}

// instance is a Prometheus server as docker-compose.yml starts it.
type instance struct {
	service string
	config  string            // its file, in this folder
	mounts  map[string]string // folders of this one by where the container has them
}

// instances are all Prometheus servers of docker-compose.yml.
func instances(t *testing.T) []instance {
	t.Helper()
	var compose struct {
		Services map[string]struct {
			Command any
			Volumes []string
		}
	}
	// What a service merges in and then says anew counts as a key that is there twice.
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "../docker-compose.yml")), &compose, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	file := regexp.MustCompile(`--config\.file=(/etc/prometheus/[a-z-]+\.yml)`)
	var all []instance
	for name, service := range compose.Services {
		i := instance{service: name, mounts: map[string]string{}}
		for _, volume := range service.Volumes {
			if source, target, _ := strings.Cut(volume, ":"); strings.HasPrefix(source, "./configs/") {
				i.mounts[strings.TrimSuffix(target, ":ro")] = strings.TrimPrefix(source, "./configs/")
			}
		}
		if found := file.FindStringSubmatch(fmt.Sprint(service.Command)); found != nil {
			i.config = i.inside(found[1])
			all = append(all, i)
		}
	}
	if len(all) != 5 {
		t.Fatalf("docker-compose.yml starts %d Prometheus servers, not the leader, two followers and two replicas", len(all))
	}
	return all
}

// inside is where a path of the container is in this folder, or empty.
func (i instance) inside(path string) string {
	for target, source := range i.mounts {
		if rest, ok := strings.CutPrefix(path, target+"/"); ok {
			return filepath.Join(source, rest)
		}
	}
	return ""
}
