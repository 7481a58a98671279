//go:build unix

package backing

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a server to come up or to end.
const patience = 60 * time.Second

// require fails the test if a program is missing, or skips it if the environment
// says that the part may be missing. It returns the program's path.
func require(t testing.TB, part, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv("FANFARE_TEST_WITHOUT"), ","), part) {
		t.Skipf("%s is missing, and FANFARE_TEST_WITHOUT names %s", program, part)
	}
	t.Fatalf("%s is missing: apt-get install %s", program, install)
	return ""
}

// process is a server that the test can stop and start again.
type process struct {
	t       testing.TB
	path    string
	args    []string
	dir     string
	env     []string // on top of the test's own
	command *exec.Cmd
	ended   <-chan struct{} // closed when the process has ended
}

// start runs the process in its directory. Its output goes to the file "log" there.
func (p *process) start() {
	p.t.Helper()
	out, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close() // the child has it
	p.command = exec.Command(p.path, p.args...)
	p.command.Dir, p.command.Stdout, p.command.Stderr = p.dir, out, out
	p.command.Env = append(os.Environ(), p.env...)
	if p.ended, err = StartChild(p.command); err != nil {
		p.t.Fatalf("start %s: %v", p.path, err)
	}
}

func (p *process) logFile() string { return filepath.Join(p.dir, "log") }

// Pid is the number of the running process.
func (p *process) Pid() int { return p.command.Process.Pid }

// Stop asks the process to end, waits for it and kills it if that takes long.
func (p *process) Stop() {
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Kill ends the process at once and waits until it is gone.
func (p *process) Kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// Pause makes the process do nothing: it keeps its connections and says nothing.
func (p *process) Pause() { p.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *process) Resume() { p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) {
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signal %v to %s: %v", s, p.path, err)
	}
}

// await polls until ready returns nil. If the process ends before, or does not get
// ready in time, the error holds the end of its log.
func (p *process) await(ready func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended at once; its log:\n%s", p.path, p.logTail())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not get ready: %w; its log:\n%s", p.path, err, p.logTail())
		}
	}
}

func (p *process) logTail() string {
	b, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}
