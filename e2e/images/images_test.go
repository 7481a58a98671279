//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryImageHasARecipe reads the real docker-compose.yml and Dockerfile.
func TestEveryImageHasARecipe(t *testing.T) {
	wanted, err := wantedImages(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range wanted {
		if _, ok := recipes[repository(image)]; !ok {
			t.Errorf("%s: add a recipe for a stand-in", image)
		}
		if !strings.Contains(image, ":") {
			t.Errorf("%s has no tag", image)
		}
	}
	for name := range recipes {
		if !slices.ContainsFunc(wanted, func(image string) bool { return repository(image) == name }) {
			t.Errorf("nothing wants %s; remove its recipe", name)
		}
	}
}

func TestWantedImages(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"docker-compose.yml": "services:\n  a: {image: 'own:1', build: .}\n  b: {image: 'own:1'}\n  c: {image: 'redis:${V:-7}'}\n  d: {image: 'grafana/grafana:1', profiles: [x]}\n  e: {image: 'other:2', profiles: [x]}\n",
		"Dockerfile":         "FROM golang:1 AS build\nfrom docker.io/library/redis:7 as cache\nFROM build AS more\nFROM scratch\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := wantedImages(t.Context(), dir)
	if want := []string{"docker.io/library/redis:7", "golang:1", "other:2", "redis:7"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: %v", got, want, err)
	}
	os.Remove(filepath.Join(dir, "Dockerfile"))
	if _, err := wantedImages(t.Context(), dir); err == nil {
		t.Error("a missing Dockerfile is no error")
	}
}

func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"redis": "redis", "redis:7.4": "redis", "docker.io/library/redis:7": "redis", "prom/prometheus:v3": "prom/prometheus",
		"localhost:5000/redis": "localhost:5000/redis", "localhost:5000/redis:7@sha256:00": "localhost:5000/redis",
	} {
		if got := repository(image); got != want {
			t.Errorf("%s: got %s, want %s", image, got, want)
		}
	}
}

func TestFill(t *testing.T) {
	for name, r := range recipes {
		dir := t.TempDir()
		r.add = nil // what it copies from this machine takes long
		if err := new(workshop).fill(dir, "root:1", "key1", r); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
		if err != nil || !strings.HasPrefix(string(text), "FROM root:1\n") || !strings.Contains(string(text), "\nLABEL fanfare.stand-in=key1\n") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		_, err = os.Stat(filepath.Join(dir, "docker-entrypoint.sh"))
		if wants := strings.Contains(string(text), "COPY docker-entrypoint.sh"); wants != (err == nil) || wants != (r.script != "") {
			t.Errorf("%s: entry point: %v\n%s", name, err, text)
		}
	}
}

func TestMakeAllNamesWhatHasNoRecipe(t *testing.T) {
	err := new(workshop).makeAll(context.Background(), []string{"mysql:8"})
	if err == nil || !strings.Contains(err.Error(), "no recipe for a stand-in of mysql:8") {
		t.Error(err)
	}
}

func TestDigest(t *testing.T) {
	names := map[string]bool{}
	for _, parts := range [][]string{{"a", "b"}, {"ab"}, {"a b"}, {"a", "b", ""}, {"a\n1 b"}} {
		names[digest(parts...)] = true
	}
	if len(names) != 5 {
		t.Errorf("different parts have the same name: %v", names)
	}
}

// TestCommandLine checks what is refused before anything is made.
func TestCommandLine(t *testing.T) {
	t.Setenv("FANFARE_IMAGES", "fake")
	for want, args := range map[string][]string{
		"needs a command to run":      {"-C", "x"},
		`FANFARE_IMAGES is "fake"`:    {"true"},
		"flag provided but not defin": {"-nonsense"},
	} {
		if err := run(t.Context(), args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
	t.Setenv("FANFARE_IMAGES", "real")
	if err := run(t.Context(), []string{"true"}); err != nil {
		t.Errorf("with real images a command runs as it is: %v", err)
	}
	if err := run(t.Context(), []string{"false"}); err == nil {
		t.Error("the command's failure is lost")
	}
	t.Setenv("FANFARE_IMAGES", "")
	t.Setenv("PATH", t.TempDir())
	if err := run(t.Context(), []string{"-C", "../..", "-cache", t.TempDir(), "true"}); err == nil || !strings.Contains(err.Error(), "apt-get install debootstrap docker-compose docker.io iproute2 iptables") {
		t.Errorf("without programs: %v", err)
	}
}
