//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// modulesTime bounds the fetching of Go modules that are not on this machine yet.
const modulesTime = 5 * time.Minute

// goKey is what the stand-in for Go's image depends on: the version of Go and the
// modules.
func goKey(w *workshop) ([]string, error) {
	version, err := goEnv("GOVERSION")
	if err != nil {
		return nil, err
	}
	parts := []string{version}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(w.tree, name))
		if err != nil {
			return nil, err
		}
		parts = append(parts, string(text))
	}
	return parts, nil
}

// addGo copies this machine's Go, and the modules that "go mod download" wants in the
// form of a module proxy: the part of a module cache that holds what was fetched.
func addGo(w *workshop, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), modulesTime)
	defer cancel()
	root, err := goEnv("GOROOT")
	if err != nil {
		return err
	}
	if err := copyGo(ctx, root, filepath.Join(dir, "go")); err != nil {
		return err
	}
	have, err := goEnv("GOMODCACHE")
	if err != nil {
		return err
	}
	proxy, err := goEnv("GOPROXY")
	if err != nil {
		return err
	}
	modules := filepath.Join(dir, "cache")
	environ := []string{"GOMODCACHE=" + modules, "GOPROXY=file://" + have + "/cache/download," + proxy, "GOFLAGS=-modcacherw"}
	if err := command(ctx, environ, "go", "-C", w.tree, "mod", "download"); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(modules, "cache", "download"), filepath.Join(dir, "modules")); err != nil {
		return err
	}
	return os.RemoveAll(modules)
}

// copyGo copies what builds need of an installed Go: no tests and documents, which
// are half of its files.
func copyGo(ctx context.Context, from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	read := exec.CommandContext(ctx, "tar", "--create", "--dereference", "--directory", from,
		"--exclude", "./test", "--exclude", "./api", "--exclude", "./doc", "--exclude", "testdata", "--exclude", "*_test.go", ".")
	return pipe(read, exec.CommandContext(ctx, "tar", "--extract", "--directory", to))
}

func goEnv(name string) (string, error) {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}
