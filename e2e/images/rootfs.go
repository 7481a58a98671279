//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// suite is the Debian release that stand-ins are made of.
const suite = "bookworm"

// left out of images: what no program needs.
var leftOut = []string{"./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/icons", "./var/cache/apt", "./var/lib/apt/lists"}

// rootImage returns the name of an image of Debian with all packages installed. It
// makes it if it is missing. One image with everything is made in half the time of
// one for each program; the layers are shared.
func (w *workshop) rootImage(ctx context.Context, packages []string) (string, error) {
	key := digest(append([]string{suite}, packages...)...)
	image := "fanfare-stand-in:" + key
	if w.has(ctx, image, key) {
		return image, nil
	}
	start := time.Now()
	say("making a Debian root file system with %s", strings.Join(packages, ", "))
	root, err := os.MkdirTemp(w.cache, "root-")
	if err != nil {
		return "", err
	}
	defer removeAll(root)
	if err := command(ctx, nil, "debootstrap", "--variant=minbase", suite, root); err != nil {
		return "", err
	}
	if err := install(ctx, root, packages); err != nil {
		return "", err
	}
	if err := w.importRoot(ctx, root, image, key); err != nil {
		return "", err
	}
	say("%s made in %.0f s", image, time.Since(start).Seconds())
	return image, nil
}

// install installs packages in a root file system without starting what they would.
func install(ctx context.Context, root string, packages []string) (err error) {
	if err := os.WriteFile(filepath.Join(root, "usr/sbin/policy-rc.d"), []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		return err
	}
	proc := filepath.Join(root, "proc")
	if err := syscall.Mount("proc", proc, "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", proc, err)
	}
	defer func() { err = errors.Join(err, syscall.Unmount(proc, 0)) }()
	environ := []string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	if err := command(ctx, environ, "chroot", root, "apt-get", "update", "-q"); err != nil {
		return err
	}
	args := append([]string{root, "apt-get", "install", "-y", "-q", "--no-install-recommends"}, packages...)
	return command(ctx, environ, "chroot", args...)
}

// importRoot makes an image of a root file system.
func (w *workshop) importRoot(ctx context.Context, root, image, key string) error {
	args := []string{"--create", "--numeric-owner", "--directory", root}
	for _, path := range leftOut {
		args = append(args, "--exclude", path+"/*")
	}
	tar := exec.CommandContext(ctx, "tar", append(args, ".")...)
	docker := exec.CommandContext(ctx, "docker", "import", "--change", "LABEL "+keyLabel+"="+key, "-", image)
	docker.Env = w.daemon.environ()
	return pipe(tar, docker)
}

// pipe runs two commands with the output of the first going into the second.
func pipe(from, to *exec.Cmd) error {
	var complaints strings.Builder
	r, err := from.StdoutPipe()
	if err != nil {
		return err
	}
	to.Stdin, to.Stdout, to.Stderr = r, io.Discard, &complaints
	if err := errors.Join(from.Start(), to.Run(), from.Wait()); err != nil {
		return fmt.Errorf("%s to %s: %w\n%s", from.Args[0], to.Args[0], err, complaints.String())
	}
	return nil
}
