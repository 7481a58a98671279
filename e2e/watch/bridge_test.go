//go:build linux

package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// token names a robot of a target. They have secrets, so that requests must be signed.
func token(target string, i int) string { return fmt.Sprintf("token-%s-%d", target, i) }

func robotSecret(token string) string { return "SEC-of-" + token }

// renderBridge writes the bridge's configuration: what ships, with the robots of DingTalk
// here. The bridge reaches others without a proxy.
func (s *stack) renderBridge(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(shipped(t, "dingtalk/config.yml"))
	if err != nil {
		t.Fatal(err)
	}
	r := s.renderer(t, "dingtalk", map[string]string{"/secrets": s.secrets, "/etc/dingtalk": shipped(t, "dingtalk")})
	r.proxy = ""
	if text, err = r.file(text); err != nil {
		t.Fatalf("rendering the bridge's configuration: %v", err)
	}
	var config yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &config, yaml.UseOrderedMap()); err != nil {
		t.Fatal(err)
	}
	for _, item := range config {
		if item.Key == "targets" {
			for i, target := range item.Value.(yaml.MapSlice) {
				item.Value.(yaml.MapSlice)[i].Value = s.withRobots(target.Key.(string), target.Value.(yaml.MapSlice), robotsPerTarget)
			}
		}
	}
	s.addDrills(config)
	if text, err = yaml.MarshalWithOptions(config, yaml.UseLiteralStyleIfMultiline(true)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(text))
}

// addDrills adds the targets of scenarios.
func (s *stack) addDrills(config yaml.MapSlice) {
	for i := range config {
		if config[i].Key != "targets" {
			continue
		}
		all := config[i].Value.(yaml.MapSlice)
		for _, name := range drillTargets() {
			var settings yaml.MapSlice
			if name == targetTemplates {
				settings = yaml.MapSlice{{Key: "message", Value: yaml.MapSlice{{Key: "text", Value: drillTemplate}}}}
			}
			all = append(all, yaml.MapItem{Key: name, Value: s.withRobots(name, settings, 1)})
		}
		config[i].Value = all
	}
}

// withRobots gives a target robots of its own.
func (s *stack) withRobots(target string, settings yaml.MapSlice, n int) yaml.MapSlice {
	var kept yaml.MapSlice
	for _, item := range settings {
		switch item.Key {
		case "url", "url_file", "secret", "secret_file", "robots":
		default:
			kept = append(kept, item)
		}
	}
	var robots []any
	for i := range n {
		robot := token(target, i+1)
		s.dingtalk.Add(dingtalktest.Robot{Token: robot, Secret: robotSecret(robot)})
		robots = append(robots, yaml.MapSlice{
			{Key: "name", Value: fmt.Sprintf("%s-%d", target, i+1)},
			{Key: "url", Value: dingtalktest.Address(s.remote, robot)},
			{Key: "secret", Value: robotSecret(robot)},
		})
	}
	return append(kept, yaml.MapItem{Key: "robots", Value: robots})
}
