package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

func TestDingTalkCheck(t *testing.T) {
	run := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), append([]string{"dingtalk"}, args...), strings.NewReader(""), &out, &errs, nil)
		return code, out.String(), errs.String()
	}
	shipped := filepath.Join("..", "..", "configs", "dingtalk", "config.yml")
	for _, flag := range []string{"--config.file=" + shipped, "--config=" + shipped, "-c" + shipped} {
		if code, out, errs := run(flag, "--check", "--web.enable-ui", "--web.enable-lifecycle", "--log.format=logfmt"); code != exitOK || !strings.Contains(out, "no mistake") {
			t.Errorf("%s: %d %q %q", flag, code, out, errs)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.yml")
	if err := os.WriteFile(bad, []byte("targets:\n  ops:\n    url: ''\n    sekret: HUSH\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, extra := range []string{"--check", "--web.listen-address=127.0.0.1:0"} {
		code, _, errs := run("--config", bad, extra)
		if code != exitUsage || !strings.Contains(errs, "bad.yml:4: targets.ops.sekret is not a known key") || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "HUSH") {
			t.Errorf("%s: %d %q", extra, code, errs)
		}
	}
}

func TestDingTalkSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte("targets: {ops: {url: ''}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set, env, want string
	}{
		{"timeout=7s", "", ""},
		{"limits.per_minute=x", "", "fanfare: --set: limits.per_minute must be a whole number from 1 to 1000\n"},
		{"targets.ops.mention.mobiles=1,2", "FANFARE_DINGTALK_TIMEOUT=soon", "fanfare: FANFARE_DINGTALK_TIMEOUT: timeout must be a duration from 10ms to 5m0s, such as 500ms, 30s, 5m, 24h or 1d\n"},
	} {
		var out, errs bytes.Buffer
		code := Run(t.Context(), []string{"dingtalk", "--config", file, "--check", "--set", c.set}, strings.NewReader(""), &out, &errs, []string{c.env})
		if (code == exitOK) != (c.want == "") || errs.String() != c.want {
			t.Errorf("%s %s: %d %q %q", c.set, c.env, code, out.String(), errs.String())
		}
	}
}

func TestDingTalkResend(t *testing.T) {
	run := func(dir string) (int, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), []string{"dingtalk", "--data-dir", dir, "--resend-dead-letters"}, strings.NewReader(""), &out, &errs, nil)
		return code, out.String() + errs.String()
	}
	if code, text := run(filepath.Join(t.TempDir(), "nowhere")); code != exitFailure || !strings.Contains(text, "has no spool.db (--data-dir)") {
		t.Errorf("no spool: %d %q", code, text)
	}
	dir := t.TempDir()
	s, err := spool.Open(spool.Options{Dir: dir, Limits: spool.Limits{Queue: 10, Bytes: 1 << 20, DeadLetters: 10}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Accept(spool.Item{Entry: spool.Entry{Target: "ops", Kind: spool.Payload, Count: 1}, Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Bury(s.Waiting("ops"), spool.DeadLetter{Target: "ops"}); err != nil {
		t.Fatal(err)
	}
	if code, text := run(dir); code != exitFailure || !strings.Contains(text, "in use by another process") {
		t.Errorf("while it is open: %d %q", code, text)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if code, text := run(dir); code != exitOK || !strings.Contains(text, "1 dead letters with 1 notifications wait again") {
		t.Errorf("%d %q", code, text)
	}
}

// TestDingTalkRuns: it starts, SIGHUP makes it read its configuration again, and it ends
// in order.
func TestDingTalkRuns(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte("targets: {ops: {url: ''}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- Run(ctx, []string{"dingtalk", "--config.file=" + file, "--data-dir", filepath.Join(dir, "data"), "--web.listen-address", address}, strings.NewReader(""), io.Discard, io.Discard, nil)
	}()
	get := func(path string) string {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b) + errorText(err)
	}
	wait := func(what string, cond func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s did not happen", what)
			}
		}
	}
	wait("the start", func() bool { return strings.Contains(get("/-/ready"), "OK") })
	if err := os.WriteFile(file, []byte("targets: {ops: {url: ''}, more: {url: ''}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	wait("the reload", func() bool { return strings.Contains(get("/metrics"), `fanfare_dingtalk_preview{target="more"} 1`) })
	cancel()
	select {
	case code := <-done:
		if code != exitOK {
			t.Errorf("it ended with %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end")
	}
	http.DefaultClient.CloseIdleConnections()
}

func errorText(err error) string {
	if err == nil || errors.Is(err, io.EOF) {
		return ""
	}
	return err.Error()
}
