//go:build linux

// Command images runs a command beside a Docker daemon of its own that has stand-ins
// for every image that docker-compose.yml and the Dockerfile name. It is for machines
// that cannot pull images: the stand-ins are made of Debian packages and of the Go that
// is installed, and carry the very names and tags of the real ones. The daemon keeps
// its images in a cache and lives in a network namespace of its own, so that neither
// the machine's ports nor another daemon's images are touched; the command runs in that
// namespace too.
//
//	images -C /path/to/fanfare command arguments...
//
// With FANFARE_IMAGES=real nothing is made: the command runs as it is, with the daemon
// and the images that docker finds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func main() {
	// The daemon is to end if the thread that started it does.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode()) // the command has said why
	default:
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	tree := flags.String("C", ".", "the tree with docker-compose.yml, Dockerfile, go.mod")
	cache := flags.String("cache", "", "where images are kept (default: fanfare-images in the user's cache)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	command := flags.Args()
	if len(command) == 0 {
		return errors.New("needs a command to run")
	}
	switch kind := os.Getenv("FANFARE_IMAGES"); kind {
	case "real":
		return foreground(ctx, nil, command)
	case "", "stand-in":
	default:
		return fmt.Errorf("FANFARE_IMAGES is %q; it is real or stand-in", kind)
	}
	if *cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("finding a place for images: %w; give -cache", err)
		}
		*cache = filepath.Join(dir, "fanfare-images")
	}
	return withStandIns(ctx, *tree, *cache, command)
}

// withStandIns runs the command beside a daemon that has the stand-ins.
func withStandIns(ctx context.Context, tree, cache string, command []string) (err error) {
	wanted, err := wantedImages(ctx, tree)
	if err != nil {
		return err
	}
	d, err := startDaemon(ctx, cache)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	w := &workshop{daemon: d, tree: tree, cache: cache}
	start := time.Now()
	if err := w.makeAll(ctx, wanted); err != nil {
		return err
	}
	say("%d images are there after %.0f s", len(wanted), time.Since(start).Seconds())
	return foreground(ctx, d, command)
}

// foreground runs the command with this process's input and output, beside a daemon
// if there is one.
func foreground(ctx context.Context, d *daemon, command []string) error {
	if d != nil {
		command = d.enter(command...)
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = time.Minute
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if d != nil {
		c.Env = d.environ()
	}
	return c.Run()
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "images: "+format+"\n", args...) }
