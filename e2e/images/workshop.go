//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keyLabel of an image tells what it was made from, so that it is made again when
// that has changed.
const keyLabel = "fanfare.stand-in"

// keepDangling is how long layers that no image needs any more are kept, as they may
// serve the next build.
const keepDangling = "until=48h"

// workshop makes stand-ins in a daemon.
type workshop struct {
	daemon *daemon
	tree   string // with go.mod and go.sum
	cache  string
}

// makeAll makes those of the images that are missing or made from something else.
func (w *workshop) makeAll(ctx context.Context, images []string) error {
	var packages []string
	for _, image := range images {
		r, ok := recipes[repository(image)]
		if !ok {
			return fmt.Errorf("no recipe for a stand-in of %s; add one to recipes.go, or run with FANFARE_IMAGES=real", image)
		}
		packages = append(packages, strings.Fields(r.packages)...)
	}
	slices.Sort(packages)
	root, err := w.rootImage(ctx, slices.Compact(packages))
	if err != nil {
		return err
	}
	for _, image := range images {
		if err := w.makeImage(ctx, image, root); err != nil {
			return fmt.Errorf("making a stand-in for %s: %w", image, err)
		}
	}
	_, err = w.daemon.docker(ctx, "image", "prune", "--force", "--filter", keepDangling)
	return err
}

// makeImage makes one image, unless it is there as the recipe says.
func (w *workshop) makeImage(ctx context.Context, image, root string) error {
	r := recipes[repository(image)]
	parts := []string{root, r.script, r.dockerfile}
	if r.key != nil {
		more, err := r.key(w)
		if err != nil {
			return err
		}
		parts = append(parts, more...)
	}
	key := digest(parts...)
	if w.has(ctx, image, key) {
		return nil
	}
	start := time.Now()
	dir, err := os.MkdirTemp(w.cache, "build-")
	if err != nil {
		return err
	}
	defer removeAll(dir)
	if err := w.fill(dir, root, key, r); err != nil {
		return err
	}
	if _, err := w.daemon.docker(ctx, "build", "--quiet", "--tag", image, dir); err != nil {
		return err
	}
	say("%s made in %.0f s", image, time.Since(start).Seconds())
	return nil
}

// has tells whether an image is there and made from what key stands for.
func (w *workshop) has(ctx context.Context, image, key string) bool {
	label, err := w.daemon.docker(ctx, "image", "inspect", "--format", `{{index .Config.Labels "`+keyLabel+`"}}`, image)
	return err == nil && label == key
}

// fill puts what an image is built from into a directory.
func (w *workshop) fill(dir, root, key string, r recipe) error {
	dockerfile := "FROM " + root + "\n"
	if r.script != "" {
		dockerfile += "COPY docker-entrypoint.sh /\n"
		if err := os.WriteFile(filepath.Join(dir, "docker-entrypoint.sh"), []byte(r.script), 0o755); err != nil {
			return err
		}
	}
	dockerfile += r.dockerfile + "\nLABEL " + keyLabel + "=" + key + "\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return err
	}
	if r.add == nil {
		return nil
	}
	return r.add(w, dir)
}

// digest is a short name for what it is given.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s\n", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// command runs a program, whose output matters only when it fails.
func command(ctx context.Context, environ []string, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Env = append(os.Environ(), environ...)
	out, err := c.CombinedOutput()
	if err != nil {
		lines := strings.SplitAfter(string(out), "\n")
		return fmt.Errorf("%s: %w\n%s", name, err, strings.Join(lines[max(0, len(lines)-20):], ""))
	}
	return nil
}

// removeAll removes a directory, also one in which Go's tools took the right to write
// away.
func removeAll(dir string) {
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			os.Chmod(path, 0o755)
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		say("%v", err)
	}
}
