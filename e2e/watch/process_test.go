//go:build linux

package watch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/e2e/program"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// patience is how long a test waits for what must happen and has no deadline of its own.
const patience = 60 * time.Second

// process is a program that can be killed and started again as it was.
type process struct {
	name string
	path string
	args []string
	dir  string
	env  []string // on top of this one's
	log  string   // the file it prints to, in all its lives

	command *exec.Cmd
	ended   <-chan struct{} // closed when the process is gone
}

// newProcess makes a process and does not start it. It ends, in order, with the test.
func newProcess(t *testing.T, name, path string, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{name: name, path: path, args: args, dir: dir, log: filepath.Join(dir, "log")}
	t.Cleanup(func() { p.finish(t) })
	return p
}

// start runs the process and does not wait until it serves.
func (p *process) start(t *testing.T) {
	t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the child has it
	p.command = exec.Command(p.path, p.args...)
	p.command.Dir, p.command.Env = p.dir, append(program.Environment(), p.env...)
	p.command.Stdout, p.command.Stderr = out, out
	if p.ended, err = backing.StartChild(p.command); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v to %s: %v", s, p.name, err)
	}
}

// kill ends the process at once.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.ended
}

// terminate asks the process to end and waits for it to do so.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
	p.signal(t, syscall.SIGTERM)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		t.Errorf("%s is still there %v after SIGTERM", p.name, patience)
		p.signal(t, syscall.SIGQUIT) // prints where everything is
		<-p.ended
	}
}

func (p *process) alive() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// finish ends the process with the test and looks at what it printed.
func (p *process) finish(t *testing.T) {
	if p.command == nil || p.command.Process == nil {
		return
	}
	if p.alive() {
		p.terminate(t)
	}
	text := p.printed()
	if p.path == fanfare {
		for _, bad := range []string{"DATA RACE", "panic:", "goroutine "} {
			if at := strings.Index(text, bad); at >= 0 {
				t.Errorf("%s printed:\n%.4000s", p.name, text[at:])
			}
		}
	}
	if t.Failed() {
		t.Logf("the log of %s ends with:\n%s", p.name, text[max(0, len(text)-1500):])
	}
}

// printed is all that the process wrote.
func (p *process) printed() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// memory is the resident memory of the process in bytes; 0 if it is gone.
func (p *process) memory() int64 {
	if !p.alive() {
		return 0
	}
	return residentMemory(p.command.Process.Pid)
}
