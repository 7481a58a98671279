//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/e2e/program"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// process is a running fanfare that can be killed and started again as it was.
type process struct {
	name string
	http string // host:port of /metrics and /-/ready
	args []string
	dir  string

	printed program.Output // in all its lives
	lives   int
	command *exec.Cmd
	ended   <-chan struct{} // closed when the process is gone
}

// newProcess starts the program and ends it, in order, with the test.
func newProcess(t *testing.T, name, http string, args ...string) *process {
	t.Helper()
	p := &process{name: name, http: http, args: args, dir: t.TempDir()}
	t.Cleanup(func() { p.finish(t) })
	p.start(t)
	return p
}

// start runs the process and does not wait until it serves.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.lives++
	p.command = exec.Command(fanfare, p.args...)
	p.command.Dir, p.command.Env = p.dir, program.Environment()
	p.command.Stdout, p.command.Stderr = &p.printed, &p.printed
	var err error
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

// terminate asks the process to end and waits for it to do so in order.
func (p *process) terminate(t *testing.T) {
	t.Helper()
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
	if state := p.command.ProcessState; state.ExitCode() != 0 {
		t.Errorf("%s ended with %s", p.name, state)
	}
}

// finish ends the process with the test and looks at what it printed.
func (p *process) finish(t *testing.T) {
	if p.command == nil || p.command.Process == nil {
		return
	}
	p.signal(t, syscall.SIGCONT)
	if p.alive() {
		p.terminate(t)
	}
	text := p.printed.String()
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine "} {
		if at := strings.Index(text, bad); at >= 0 {
			t.Errorf("%s printed:\n%.4000s", p.name, text[at:])
		}
	}
	if t.Failed() {
		t.Logf("the log of %s ends with:\n%s", p.name, text[max(0, len(text)-12000):])
	}
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// get makes a request on a connection of its own.
func (p *process) get(path string) (code int, text string, err error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	answer, err := c.Get("http://" + p.http + path)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(read), err
}

// ready tells whether the process says that nothing is missing; why not, if it does not.
func (p *process) ready() (bool, string) {
	code, text, err := p.get("/-/ready")
	if err != nil {
		text = err.Error()
	}
	return code == http.StatusOK, text
}

// series are the values of /metrics by name and labels.
type series map[string]float64

// metrics reads all series; nil if the process does not answer.
func (p *process) metrics() series {
	code, text, err := p.get("/metrics")
	if err != nil || code != http.StatusOK {
		return nil
	}
	all := make(series)
	for line := range strings.Lines(text) {
		if at := strings.LastIndexByte(line, ' '); line[0] != '#' && at > 0 {
			if value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64); err == nil {
				all[line[:at]] = value
			}
		}
	}
	return all
}

// sum adds up the series of a metric whose labels hold all texts.
func (s series) sum(metric string, labels ...string) (total float64) {
next:
	for name, value := range s {
		base, rest, _ := strings.Cut(name, "{")
		if base != metric {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue next
			}
		}
		total += value
	}
	return total
}

// eventually polls until what is missing is nothing.
func eventually(t *testing.T, what string, missing func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		m := missing()
		if m == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for: %s: %s", patience, what, m)
		}
	}
}

// unless is for eventually: nothing if ok, else the text.
func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
