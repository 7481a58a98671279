package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/dashboards"
)

func TestDashboardsList(t *testing.T) {
	r := run(t, "", nil, "dashboards", "list")
	if r.code != exitOK || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	for _, d := range dashboards.All() {
		if !strings.Contains(r.stdout, d.UID) || !strings.Contains(r.stdout, d.Title) {
			t.Errorf("%s is missing in\n%s", d.UID, r.stdout)
		}
	}
}

func TestDashboardsWrite(t *testing.T) {
	dir := t.TempDir()
	r := run(t, "", nil, "dashboards", "write", "--dir", dir, "--leader-url", "https://l.example.org")
	if r.code != exitOK || strings.Count(r.stdout, ".json\n") != len(dashboards.All()) {
		t.Fatalf("%+v", r)
	}
	text, err := os.ReadFile(filepath.Join(dir, "follower", "fanfare-node.json"))
	if err != nil || !strings.Contains(string(text), "https://l.example.org") {
		t.Errorf("the file is %.100s (%v)", text, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", nil, "dashboards", "write", "--dir", file); r.code != exitFailure || !strings.Contains(r.stderr, "writing dashboards") {
		t.Errorf("a folder that is a file: %+v", r)
	}
}

func TestDashboardsPublishSendsTheToken(t *testing.T) {
	seen := make(chan string, 10)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		w.Write([]byte(`{"message":"Invalid API key"}`))
	}))
	defer h.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("glsa_of_file\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"GRAFANA_TOKEN=glsa_of_environment"}
	for want, args := range map[string][]string{"Bearer glsa_of_environment": nil, "Bearer glsa_of_file": {"--token-file", file}} {
		r := run(t, "", environ, append([]string{"dashboards", "publish", "--grafana", h.URL, "leader"}, args...)...)
		if r.code != exitFailure || !strings.Contains(r.stderr, "Grafana does not know the token") || strings.Contains(r.stderr, "glsa_of") {
			t.Errorf("%+v", r)
		}
		if got := <-seen; got != want {
			t.Errorf("the header is %q, not %q", got, want)
		}
	}
}

func TestDashboardsPublishWrongUsage(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--grafana":                        {},
		`there is no dashboard "overview"`: {"--grafana", "http://x", "overview"},
		"not the URL of a Grafana":         {"--grafana", "localhost:3000"},
		"nothing in its first line":        {"--grafana", "http://x", "--token-file", empty},
		"no such file":                     {"--grafana", "http://x", "--token-file", empty + "x"},
		"must not hold a password":         {"--grafana", "http://admin:secret@x"},
	} {
		r := run(t, "", nil, append([]string{"dashboards", "publish"}, args...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "secret") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
