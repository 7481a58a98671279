package dashboards

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
)

type sourcesFile struct {
	APIVersion  int  `yaml:"apiVersion"`
	Prune       bool `yaml:"prune"`
	Datasources []struct {
		Name      string         `yaml:"name"`
		UID       string         `yaml:"uid"`
		Type      string         `yaml:"type"`
		Access    string         `yaml:"access"`
		OrgID     int            `yaml:"orgId"`
		URL       string         `yaml:"url"`
		IsDefault bool           `yaml:"isDefault"`
		Editable  bool           `yaml:"editable"`
		JSONData  map[string]any `yaml:"jsonData"`
	} `yaml:"datasources"`
}

type providersFile struct {
	APIVersion int `yaml:"apiVersion"`
	Providers  []struct {
		Name            string         `yaml:"name"`
		OrgID           int            `yaml:"orgId"`
		Folder          string         `yaml:"folder"`
		FolderUID       string         `yaml:"folderUid"`
		Type            string         `yaml:"type"`
		DisableDeletion bool           `yaml:"disableDeletion"`
		AllowUIUpdates  bool           `yaml:"allowUiUpdates"`
		Interval        int            `yaml:"updateIntervalSeconds"`
		Options         map[string]any `yaml:"options"`
	} `yaml:"providers"`
}

// readStrictly decodes a file in which every key must be one we know.
func readStrictly(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestProvisioning(t *testing.T) {
	for _, g := range []Grafana{Leader, Follower} {
		dir := filepath.Join("..", "configs", "grafana-"+string(g), "provisioning")
		var sources sourcesFile
		readStrictly(t, filepath.Join(dir, "datasources", "fanfare.yml"), &sources)
		have, standard := make(map[DataSource]bool), 0
		for _, s := range sources.Datasources {
			have[DataSource{s.UID, s.Name}] = true
			if s.IsDefault {
				standard++
			}
			if s.Editable || s.Access != "proxy" || s.URL == "" {
				t.Errorf("%s: the data source %s is %+v", g, s.Name, s)
			}
			if s.Type == "prometheus" && s.JSONData["timeInterval"] != "15s" {
				t.Errorf("%s: %s does not know the scrape interval", g, s.Name)
			}
		}
		if standard != 1 || sources.APIVersion != 1 {
			t.Errorf("%s: %d data sources are the default", g, standard)
		}
		for _, d := range All() {
			if d.Grafana == g && !have[d.Source] {
				t.Errorf("%s: %s asks %s, which is not provisioned", g, d.UID, d.Source.UID)
			}
		}
		var providers providersFile
		readStrictly(t, filepath.Join(dir, "dashboards", "fanfare.yml"), &providers)
		if len(providers.Providers) != 1 || providers.Providers[0].Options["path"] != "/var/lib/grafana-dashboards" || providers.Providers[0].AllowUIUpdates {
			t.Errorf("%s: the provider is %+v", g, providers.Providers)
		}
	}
}
