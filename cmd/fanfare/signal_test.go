//go:build unix

package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spawn starts the built program as a process.
func spawn(t *testing.T, attributes *syscall.SysProcAttr, args ...string) (cmd *exec.Cmd, stdout, stderr *output, exited <-chan error) {
	t.Helper()
	stdout, stderr = newOutput(), newOutput()
	cmd = exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = stdout, stderr, attributes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		done <- cmd.Wait()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-waited })
	return cmd, stdout, stderr, done
}

func await(t *testing.T, exited <-chan error, stderr *output) error {
	t.Helper()
	select {
	case err := <-exited:
		return err
	case <-time.After(patience):
		t.Fatalf("the process does not end:\n%s", stderr)
		return nil
	}
}

func TestASignalEndsInOrder(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, stdout, stderr, exited := spawn(t, nil, anyPorts("run")...)
		api := stdout.waitFor(t, `allocator, API +http://([^/]+)/`)
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := await(t, exited, stderr); err != nil || !strings.Contains(stderr.String(), "msg=stopped") {
			t.Errorf("%v: %v\n%s", signal, err, stderr)
		}
		l, err := net.Listen("tcp", api)
		if err != nil {
			t.Fatalf("the port is still taken: %v", err)
		}
		l.Close()
	}
}

// TestASecondSignalEndsAtOnce holds the orderly end up with a request whose body
// never comes.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	cmd, stdout, stderr, exited := spawn(t, nil, anyPorts("run")...)
	conn, err := net.Dial("tcp", stdout.waitFor(t, `allocator, API +http://([^/]+)/`))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Write([]byte("POST /api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 64)); err != nil || n == 0 { // 100 Continue: the handler waits for the body
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	stderr.waitFor(t, "msg=stopping")
	tick := time.NewTicker(10 * time.Millisecond) // until the first signal has given signals their usual effect back
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			var status *exec.ExitError
			if !errors.As(err, &status) || status.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("it ended with %v after %v, want by the signal\n%s", err, time.Since(began), stderr)
			}
			return
		case <-tick.C:
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
}

// TestUnreadableFiles runs the program as a user without rights to a key file and
// to a data directory.
func TestUnreadableFiles(t *testing.T) {
	dir, err := os.MkdirTemp("", "fanfare-rights-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	key := filepath.Join(dir, "private.pem")
	if err := errors.Join(os.Chmod(dir, 0o555), os.Chmod(dir, 0o755), os.WriteFile(key, []byte("secret"), 0o600)); err != nil {
		t.Fatal(err)
	}
	var other *syscall.SysProcAttr
	if os.Getuid() == 0 {
		other = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	} else if err := errors.Join(os.Chmod(key, 0), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ set, want string }{
		{"security.private_key_file=" + key, "fanfare: --set: security.private_key_file " + key + " cannot be read: permission denied\n"},
		{"store.dir=" + filepath.Join(dir, "data"), "fanfare: --set: store.dir " + dir + " cannot be written: permission denied\n"},
	} {
		for _, command := range []string{"run", "check-config --for run"} {
			args := append(strings.Fields(command), "--set", c.set)
			_, _, stderr, exited := spawn(t, other, args...)
			var status *exec.ExitError
			if err := await(t, exited, stderr); !errors.As(err, &status) || status.ExitCode() != exitUsage || stderr.String() != c.want {
				t.Errorf("%s: %v\n%swant\n%s", strings.Join(args, " "), err, stderr, c.want)
			}
		}
	}
}
