package stranger

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 30 * time.Second // for anything that has to happen
	farewell = 15 * time.Second // for the product to end after SIGTERM
)

// fanfare is the binary under test.
var fanfare string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	root, err := moduleRoot()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "stranger")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	fanfare = filepath.Join(dir, "fanfare")
	build := exec.Command("go", "build", "-o", fanfare, "./cmd/fanfare")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no go.mod above the working directory")
}

// output keeps what a process prints.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// product is a running "fanfare run" and its addresses.
type product struct {
	device, websocket string // host:port
	api, ops          string // http://host:port
	stdout, stderr    output
	ended             chan struct{} // closed when the process is gone
	process           *exec.Cmd
}

// startProduct starts the product on free loopback ports and waits until it is ready. The end of
// the test stops it, which has to succeed.
func startProduct(t *testing.T, settings ...string) *product {
	t.Helper()
	p := &product{ended: make(chan struct{})}
	args := []string{"run"}
	for _, s := range append([]string{
		"node.listen.device=127.0.0.1:0", "node.listen.websocket=127.0.0.1:0", "node.listen.gateway=", "node.listen.admin=",
		"node.listen.ops=127.0.0.1:0", "alloc.listen=127.0.0.1:0",
	}, settings...) {
		args = append(args, "--set", s)
	}
	p.process = exec.Command(fanfare, args...)
	p.process.Dir = t.TempDir()
	p.process.Stdout, p.process.Stderr = &p.stdout, &p.stderr
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FANFARE_") {
			p.process.Env = append(p.process.Env, v)
		}
	}
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.process.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.stop(t) })

	p.api = p.printed(t, `allocator, API +(http://[^/\s]+)`)
	p.ops = p.printed(t, `metrics +(http://[^/\s]+)`)
	p.websocket = p.printed(t, `web sockets +ws://([^/\s]+)/`)
	eventually(t, "readiness", func() bool { code, _ := p.get(t, p.ops+"/-/ready"); return code == http.StatusOK })
	// A device is told by the allocator where to go.
	code, list := p.get(t, p.api+"/")
	if p.device = strings.TrimSpace(list); code != http.StatusOK || strings.Contains(p.device, ",") {
		t.Fatalf("the allocator answers %d %q", code, list)
	}
	return p
}

// printed waits for a line in what the product prints and returns the part in parentheses.
func (p *product) printed(t *testing.T, pattern string) (found string) {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	eventually(t, pattern, func() bool {
		match := expression.FindStringSubmatch(p.stdout.String())
		if match == nil {
			select {
			case <-p.ended:
				t.Fatalf("the product ended: %s\n%s", p.process.ProcessState, &p.stderr)
			default:
			}
			return false
		}
		found = match[1]
		return true
	})
	return found
}

// stop ends the product as an init system does.
func (p *product) stop(t *testing.T) {
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the product was gone before its end: %v", err)
	}
	patience := time.NewTimer(farewell)
	defer patience.Stop()
	select {
	case <-p.ended:
	case <-patience.C:
		t.Errorf("the product is still there %v after SIGTERM", farewell)
		_ = p.process.Process.Kill()
		<-p.ended
	}
	if code := p.process.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the product ended with code %d: %s", code, p.process.ProcessState)
	}
	if t.Failed() {
		t.Logf("the product's log:\n%s", &p.stderr)
	}
}

// get fetches a page; code 0 stands for no answer.
func (p *product) get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	return fetch(t, http.MethodGet, url, nil)
}

// fetch makes one request on a connection of its own; the end of the test ends it.
func fetch(t *testing.T, method, url string, body io.Reader) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(read)
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for: %s", patience, what)
		}
	}
}
