package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// binary is the program, built once for the tests that need a process of its own.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fanfare-cli-")
	if err == nil {
		binary = filepath.Join(dir, "fanfare")
		err = os.Chmod(dir, 0o755) // another user runs it in one test
	}
	if err == nil {
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("building the program: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// patience is how long a test waits for what must happen soon.
const patience = 30 * time.Second

// output is a writer that tests wait on.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed and replaced by each write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.text.Write(p)
}

func (o *output) String() string {
	s, _ := o.read()
	return s
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// waitFor waits until the output matches and returns the first group, or the match.
func (o *output) waitFor(t *testing.T, pattern string) string {
	t.Helper()
	re, deadline := regexp.MustCompile(pattern), time.After(patience)
	for {
		text, changed := o.read()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("the output has no %q:\n%s", pattern, text)
		}
	}
}

// running is the program in this process.
type running struct {
	stdout, stderr *output
	stop           context.CancelFunc
	code           chan int
}

// start runs the program until the test ends or stop is called.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{newOutput(), newOutput(), cancel, make(chan int, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.code <- Run(ctx, args, strings.NewReader(""), r.stdout, r.stderr, nil)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// end stops the program and returns its exit code.
func (r *running) end(t *testing.T) int {
	t.Helper()
	r.stop()
	return r.wait(t)
}

func (r *running) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(patience):
		t.Fatalf("the program does not end:\n%s", r.stderr)
		return -1
	}
}

// result is what a command that ends by itself left.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a command to its end.
func run(t *testing.T, stdin string, environ []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code := Run(ctx, args, strings.NewReader(stdin), &stdout, &stderr, environ)
	return result{code, stdout.String(), stderr.String()}
}

// wantLine checks that a command failed with one line that holds every text.
func (r result) wantLine(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "fanfare: ") {
		t.Fatalf("exit %d, want %d, and one line:\n%s", r.code, code, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("%q is not in %q", text, r.stderr)
		}
	}
}

// anyPorts are the flags that let everything listen on free loopback ports.
func anyPorts(command string, more ...string) []string {
	args := []string{command}
	for _, key := range []string{"node.listen.device", "node.listen.websocket", "node.listen.gateway", "node.listen.admin", "node.listen.ops", "alloc.listen"} {
		args = append(args, "--set", key+"=127.0.0.1:0")
	}
	return append(args, more...)
}

// failingWriter is a full disk.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
