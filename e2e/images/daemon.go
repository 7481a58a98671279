//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	daemonStart = time.Minute // time a Docker daemon has to start
	daemonStop  = time.Minute // time it has to stop, containers included
)

// daemon is a Docker daemon of our own in a network namespace of its own. Its images
// stay in the cache, its socket and all else live in a directory that ends with it.
type daemon struct {
	dir     string
	log     string
	lock    *os.File
	command *exec.Cmd
	done    chan struct{} // closed when it has ended
	err     error         // of its end, once done is closed
}

// startDaemon starts dockerd and waits until it answers. One daemon at a time uses a
// cache.
func startDaemon(ctx context.Context, cache string) (d *daemon, err error) {
	if err := needPrograms("dockerd", "docker", "docker-compose", "debootstrap", "ip", "nsenter", "unshare", "iptables"); err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, errors.New("starting a Docker daemon takes root; FANFARE_IMAGES=real uses the one that runs, and real images")
	}
	if err := mountCgroups(ctx); err != nil {
		return nil, err
	}
	d = &daemon{log: filepath.Join(cache, "dockerd.log"), done: make(chan struct{})}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	if d.lock, err = lockFile(filepath.Join(cache, "lock")); err != nil {
		return nil, err
	}
	if d.dir, err = os.MkdirTemp("", "fanfare-docker-"); err != nil {
		return nil, err
	}
	if err := d.launch(filepath.Join(cache, "docker")); err != nil {
		return nil, errors.Join(err, d.clean())
	}
	if err := d.wait(ctx); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// debian is the package of each program that is needed.
var debian = map[string]string{
	"dockerd": "docker.io", "docker": "docker.io", "docker-compose": "docker-compose", "debootstrap": "debootstrap",
	"ip": "iproute2", "iptables": "iptables", "nsenter": "util-linux", "unshare": "util-linux", "cgroupfs-mount": "cgroupfs-mount",
}

// needPrograms fails with one line that names the packages of all programs that are
// missing.
func needPrograms(names ...string) error {
	packages := map[string]bool{}
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			packages[debian[name]] = true
		}
	}
	if len(packages) > 0 {
		return fmt.Errorf("programs are missing; install them: apt-get install %s", strings.Join(slices.Sorted(maps.Keys(packages)), " "))
	}
	return nil
}

// mountCgroups mounts control groups where the system has not.
func mountCgroups(ctx context.Context) error {
	if groups, err := os.ReadDir("/sys/fs/cgroup"); err != nil || len(groups) > 0 {
		return err
	}
	if err := needPrograms("cgroupfs-mount"); err != nil {
		return fmt.Errorf("/sys/fs/cgroup is empty and containers need it: %w", err)
	}
	return command(ctx, nil, "cgroupfs-mount")
}

func lockFile(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is held: another run uses these images; wait for it, or give -cache", name), f.Close())
	}
	return f, nil
}

func (d *daemon) launch(data string) error {
	log, err := os.Create(d.log)
	if err != nil {
		return err
	}
	defer log.Close()
	// Mounts are shared as they are where systemd runs: node_exporter's of the host is
	// to see what is mounted later.
	d.command = exec.Command("unshare", "--mount", "--propagation", "shared", "dockerd", "--host", d.host(), "--data-root", data,
		"--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "pid"), "--config-file", filepath.Join(d.dir, "none.json"))
	if err := os.WriteFile(filepath.Join(d.dir, "none.json"), []byte("{}"), 0o644); err != nil {
		return err
	}
	d.command.Stdout, d.command.Stderr = log, log
	d.command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET,
		Setpgid:    true,            // an interrupt from the terminal is ours to handle
		Pdeathsig:  syscall.SIGTERM, // it does not outlive us
	}
	if err := d.command.Start(); err != nil {
		return fmt.Errorf("starting dockerd: %w", err)
	}
	go func() {
		defer close(d.done)
		d.err = d.command.Wait()
	}()
	return d.run("ip", "link", "set", "lo", "up")
}

// wait returns when the daemon answers.
func (d *daemon) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, daemonStart)
	defer cancel()
	for {
		if _, err := d.docker(ctx, "version"); err == nil {
			return nil
		}
		select {
		case <-d.done:
			return fmt.Errorf("dockerd ended: %v\n%s", d.err, d.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("dockerd does not answer: %w\n%s", ctx.Err(), d.lastWords())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// lastWords is the end of the daemon's log.
func (d *daemon) lastWords() string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-20):], nil))
}

func (d *daemon) host() string { return "unix://" + filepath.Join(d.dir, "docker.sock") }

// environ is this process's environment with the way to the daemon in it. The
// classic builder is the one that works without a plugin.
func (d *daemon) environ() []string {
	return append(os.Environ(), "DOCKER_HOST="+d.host(), "DOCKER_CONTEXT=", "DOCKER_CONFIG="+filepath.Join(d.dir, "config"), "DOCKER_BUILDKIT=0")
}

// enter is a command line that runs the given one in the daemon's network.
func (d *daemon) enter(command ...string) []string {
	return append([]string{"nsenter", "--net", "--target", strconv.Itoa(d.command.Process.Pid), "--"}, command...)
}

// run runs a command in the daemon's network.
func (d *daemon) run(command ...string) error {
	line := d.enter(command...)
	if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}

// docker runs a docker command and returns what it printed.
func (d *daemon) docker(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "docker", args...)
	c.Env = d.environ()
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w\n%s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// stop ends the daemon and with it all containers.
func (d *daemon) stop() error {
	d.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(daemonStop):
		d.command.Process.Kill()
		<-d.done
		return errors.Join(fmt.Errorf("dockerd did not stop within %v\n%s", daemonStop, d.lastWords()), d.clean())
	}
	return d.clean()
}

// clean removes what lives only as long as the daemon.
func (d *daemon) clean() error { return errors.Join(os.RemoveAll(d.dir), d.lock.Close()) }
