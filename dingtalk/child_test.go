package dingtalk

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// childEnv tells this test binary to be a bridge: it holds the folder of its files.
// childFileLimit bounds its files, in bytes, until it gets SIGUSR1.
const (
	childEnv       = "FANFARE_TEST_BRIDGE"
	childFileLimit = "FANFARE_TEST_FILE_LIMIT"
)

// child is a bridge in a process of its own, to be killed.
func child() {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	dir := os.Getenv(childEnv)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	b, err := New(Options{ConfigFile: filepath.Join(dir, "config.yml"), DataDir: filepath.Join(dir, "data"), Listener: listener,
		Registry: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Getenv: os.LookupEnv})
	fail(err)
	if limit, err := strconv.ParseUint(os.Getenv(childFileLimit), 10, 64); err == nil {
		var was syscall.Rlimit
		fail(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was))
		usr1 := make(chan os.Signal, 1)
		signal.Notify(usr1, syscall.SIGUSR1)
		go func() {
			<-usr1
			fail(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
		}()
		fail(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: was.Max}))
	}
	b.Start()
	fmt.Println(b.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fail(b.Stop(end))
}

// startChild starts one and returns its address.
func startChild(t *testing.T, dir string, env ...string) (*exec.Cmd, string, *logBook) {
	t.Helper()
	log := new(logBook)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+dir), env...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the bridge did not start: %v\n%s", err, log)
	}
	return cmd, "http://" + strings.TrimSpace(line), log
}

// network is DingTalk behind a real port, and a folder with a configuration for it.
func network(t *testing.T, config string) (dir string, robots *dingtalktest.Server) {
	t.Helper()
	robots = dingtalktest.New(dingtalktest.Options{Robots: []dingtalktest.Robot{{Token: "a"}}})
	server := httptest.NewServer(robots)
	t.Cleanup(server.Close)
	dir = t.TempDir()
	config = strings.ReplaceAll(config, "{{address}}", dingtalktest.Address(server.URL, "a"))
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, robots
}

// postTo sends a webhook over the network and returns the status, 0 without an answer.
func postTo(t *testing.T, client *http.Client, address string, p map[string]any) int {
	resp, err := client.Post(address+"/dingtalk/ops/send", "application/json", strings.NewReader(string(encode(t, p))))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// TestKillLosesNothing: what was answered 200 arrives after kill -9, which comes while
// webhooks come and messages leave.
func TestKillLosesNothing(t *testing.T) {
	dir, robots := network(t, "targets: {ops: {url: \"{{address}}\"}}\nlimits: {per_minute: 1000}\n")
	robots.Always("a", &dingtalktest.Fault{Delay: 50 * time.Millisecond, Body: `{"errcode":0,"errmsg":"ok"}`, Accept: true})
	cmd, address, _ := startChild(t, dir)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var promised []string
	var senders sync.WaitGroup
	const enough = 200
	killed := make(chan struct{})
	for s := range 8 {
		senders.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("Kill%d-%03dX", s, i)
				if postTo(t, client, address, payload(name, alert(name, "warning"))) != http.StatusOK {
					return // the process is gone
				}
				mu.Lock()
				if promised = append(promised, name); len(promised) == enough {
					_ = cmd.Process.Kill()
					close(killed)
				}
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	select {
	case <-killed:
	default:
		t.Fatalf("only %d webhooks were taken", len(promised))
	}
	_ = cmd.Wait() // says that it was killed
	before := len(robots.Received())
	startChild(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, name := range promised {
		if _, err := robots.Wait(ctx, func(m dingtalktest.Received) bool { return strings.Contains(m.Text, name) }); err != nil {
			t.Fatalf("%s was answered 200 and never sent: %v", name, err)
		}
	}
	t.Logf("%d webhooks answered 200; %d messages before the kill, %d after", len(promised), before, len(robots.Received())-before)
}

// TestDiskFull: a disk that takes no more is answered 503 and shown; when it works again
// so does the bridge, and what was promised is sent.
func TestDiskFull(t *testing.T) {
	dir, robots := network(t, "targets: {ops: {url: \"{{address}}\"}}\n")
	robots.Always("a", &dingtalktest.Fault{Status: 502, Body: "away"}) // so that the queue grows
	cmd, address, log := startChild(t, dir, childFileLimit+"="+strconv.Itoa(256<<10))
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	padding := strings.Repeat("p", 4000)
	var promised []string
	status := 0
	for i := range 500 {
		name := fmt.Sprintf("Disk%03dX", i)
		a := alert(name, "warning")
		a["annotations"].(map[string]string)["padding"] = padding
		if status = postTo(t, client, address, payload(name, a)); status != http.StatusOK {
			break
		}
		promised = append(promised, name)
	}
	if status != http.StatusServiceUnavailable || len(promised) == 0 {
		t.Fatalf("a full disk was answered %d after %d webhooks; log:\n%s", status, len(promised), log)
	}
	if text := get(t, client, address+"/-/ready"); !strings.Contains(text, "spool") {
		t.Errorf("readiness says %q", text)
	}
	metrics := get(t, client, address+"/metrics")
	if strings.Contains(metrics, "fanfare_dingtalk_spool_errors_total 0\n") || !strings.Contains(metrics, `fanfare_dingtalk_webhooks_total{result="disk",target="ops"} 1`) {
		t.Errorf("the metrics do not show it")
	}
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil { // the disk has room again
		t.Fatal(err)
	}
	robots.Always("a", nil)
	for end := time.Now().Add(20 * time.Second); get(t, client, address+"/-/ready") != "OK\n"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not ready again; log:\n%s", log)
		}
	}
	if status := postTo(t, client, address, payload("after", alert("AfterX", "warning"))); status != http.StatusOK {
		t.Errorf("a webhook after the repair was answered %d", status)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, name := range append(promised, "AfterX") {
		if _, err := robots.Wait(ctx, func(m dingtalktest.Received) bool { return strings.Contains(m.Text, name) }); err != nil {
			t.Fatalf("%s was answered 200 and never sent: %v; log:\n%s", name, err, log)
		}
	}
}

func get(t *testing.T, client *http.Client, address string) string {
	t.Helper()
	resp, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
