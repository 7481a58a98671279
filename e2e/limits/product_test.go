//go:build linux

package limits

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// product is a running "fanfare run". Its addresses are host:port.
type product struct {
	device, websocket, gateway, alloc, ops string

	stdout, stderr program.Output
	process        *exec.Cmd
	ended          <-chan struct{} // closed when the process is gone
}

// listeners are the settings of the addresses.
var listeners = []string{"node.listen.device", "node.listen.websocket", "node.listen.gateway", "node.listen.admin", "node.listen.ops", "alloc.listen"}

// start runs a command line that becomes the product, and does not wait. The end of the
// test ends it, in order: it has to survive.
func start(t *testing.T, name string, args ...string) *product {
	t.Helper()
	p := &product{process: exec.Command(name, args...)}
	p.process.Dir, p.process.Env = t.TempDir(), program.Environment()
	p.process.Stdout, p.process.Stderr = &p.stdout, &p.stderr
	var err error
	p.ended, err = backing.StartChild(p.process)
	must(t, err)
	t.Cleanup(func() { p.stop(t) })
	return p
}

// startProduct starts the product on free loopback ports. With files that is all it
// may open.
func startProduct(t *testing.T, files int, settings ...string) *product {
	t.Helper()
	args := []string{fanfare, "run"}
	for _, key := range listeners {
		args = append(args, "--set", key+"=127.0.0.1:0")
	}
	for _, s := range settings {
		args = append(args, "--set", s)
	}
	if files > 0 {
		args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, files), "sh"}, args...)
	}
	p := start(t, args[0], args[1:]...)
	for pattern, address := range map[string]*string{
		`devices +(\S+)`: &p.device, `web sockets +ws://([^/\s]+)`: &p.websocket, `gateway +(\S+)`: &p.gateway,
		`allocator, API +http://([^/\s]+)`: &p.alloc, `metrics +http://([^/\s]+)`: &p.ops,
	} {
		*address = p.printed(t, pattern)
	}
	return p
}

// printed waits for a line in what the product prints and returns the part in parentheses.
func (p *product) printed(t *testing.T, pattern string) (found string) {
	t.Helper()
	expression := regexp.MustCompile(pattern + `[\s/]`)
	eventually(t, pattern, func() bool {
		match := expression.FindStringSubmatch(p.stdout.String())
		if match == nil {
			p.alive(t)
			return false
		}
		found = match[1]
		return true
	})
	return found
}

// alive fails the test if the process is gone.
func (p *product) alive(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
		t.Fatalf("the product is gone: %s\n%s", p.process.ProcessState, &p.stderr)
	default:
	}
}

// stop ends the product as an init system does.
func (p *product) stop(t *testing.T) {
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the product was gone before its end: %v", err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		t.Errorf("the product is still there %v after SIGTERM", patience)
		_ = p.process.Process.Kill()
		<-p.ended
	}
	if code := p.process.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the product ended with %s", p.process.ProcessState)
	}
	if log := p.stderr.String(); strings.Contains(log, "goroutine ") || strings.Contains(log, "panic") {
		t.Errorf("there is a stack trace in the log")
	}
	if t.Failed() {
		t.Logf("the product's log:\n%.20000s", &p.stderr)
	}
}

// logged counts the lines of the log that hold every text.
func (p *product) logged(texts ...string) (count int) {
next:
	for line := range strings.Lines(p.stderr.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		count++
	}
	return count
}

// fetch makes a request on a connection of its own.
func fetch(t *testing.T, method, url, body string) (code int, text string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(read), err
}

// metrics reads every series.
func (p *product) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	code, text, err := fetch(t, http.MethodGet, "http://"+p.ops+"/metrics", "")
	if err != nil || code != http.StatusOK {
		p.alive(t)
		t.Fatalf("/metrics answers %d, %v", code, err)
	}
	series := make(map[string]float64)
	for line := range strings.Lines(text) {
		if at := strings.LastIndexByte(line, ' '); line[0] != '#' && at > 0 {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			series[line[:at]] = value
		}
	}
	return series
}

// metric reads one series, which must be there.
func (p *product) metric(t *testing.T, name string) float64 {
	t.Helper()
	value, ok := p.metrics(t)[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return value
}

func closedFor(transport, reason string) string {
	return fmt.Sprintf(`fanfare_connections_closed_total{reason=%q,transport=%q}`, reason, transport)
}

func opened(transport string) string {
	return fmt.Sprintf(`fanfare_connections_opened_total{transport=%q}`, transport)
}

func open(transport string) string {
	return fmt.Sprintf(`fanfare_connections{transport=%q}`, transport)
}

// proc is the path of something the kernel says about the process.
func (p *product) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.process.Process.Pid), name)
}

// files counts the open ones.
func (p *product) files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(p.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// memory reads the resident bytes now, or with "VmHWM" the most there ever were.
func (p *product) memory(t *testing.T, which string) int {
	t.Helper()
	text, err := os.ReadFile(p.proc("status"))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(which + `:\s+(\d+) kB`).FindSubmatch(text)
	if match == nil {
		t.Fatalf("no %s in\n%s", which, text)
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}

// grewAtMost checks how far the memory ever grew beyond what it was before.
func (p *product) grewAtMost(t *testing.T, before, bound int) {
	t.Helper()
	if grown := p.memory(t, "VmHWM") - before; grown > bound {
		t.Errorf("memory grew by %d KiB, want at most %d", grown>>10, bound>>10)
	}
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for: %s", patience, what)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
