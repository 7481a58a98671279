package dingtalk

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// endless begins as a webhook and never ends; n is how much of it was read.
type endless struct {
	r io.Reader
	n int64
}

func newEndless() *endless {
	return &endless{r: io.MultiReader(strings.NewReader(`{"alerts":"`), zeros{})}
}

func (e *endless) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.n += int64(n)
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

const smallBodies = "targets: {ops: {url: ''}}\ndeadman: {w: {targets: [ops]}}\nlimits: {body: 4KiB}\n"

// sendChunked hands the bridge a body of unknown length.
func (w *world) sendChunked(path string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, body)
	r.ContentLength = -1
	rec := httptest.NewRecorder()
	w.server.Handler.ServeHTTP(rec, r)
	return rec
}

// TestBodyIsBounded: a body is read to the limit and one byte further, however long it
// is, and its place in memory is given back.
func TestBodyIsBounded(t *testing.T) {
	w := newWorld(t, smallBodies)
	w.begin()
	defer w.end()
	limit := int(w.setup.Load().config.Limits.Body)
	for _, path := range []string{"/dingtalk/ops/send", "/deadman/w"} {
		body := newEndless()
		if rec := w.sendChunked(path, body); rec.Code != http.StatusRequestEntityTooLarge || body.n > int64(limit)+1 || rec.Body.String() != "the body is longer than 4096 bytes (limits.body)\n" {
			t.Errorf("%s: an endless body: %d %q after %d bytes", path, rec.Code, rec.Body, body.n)
		}
		webhook := encode(t, payload("g", alert("X", "warning")))
		webhook = append(webhook, bytes.Repeat([]byte(" "), limit-len(webhook))...)
		if rec := w.sendChunked(path, bytes.NewReader(webhook)); rec.Code != http.StatusOK {
			t.Errorf("%s: a body just as long as the limit: %d %q", path, rec.Code, rec.Body)
		}
		if rec := w.sendChunked(path, bytes.NewReader(append(webhook, ' '))); rec.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: a body one byte longer: %d %q", path, rec.Code, rec.Body)
		}
		if rec := w.sendChunked(path, iotest.ErrReader(io.ErrUnexpectedEOF)); rec.Code != http.StatusBadRequest || rec.Body.String() != "the body could not be read to its end\n" {
			t.Errorf("%s: a body that breaks off: %d %q", path, rec.Code, rec.Body)
		}
	}
	if !w.bodies.TryAcquire(maxBodies) {
		t.Error("a body that is gone has a place in memory")
	}
	for result, want := range map[string]float64{"too_large": 2, "malformed": 1, "accepted": 1} {
		if n := w.metric("webhooks_total", "target", "ops", "result", result); n != want {
			t.Errorf("%v webhooks are %s, want %v", n, result, want)
		}
		if n := w.metric("deadman_beats_total", "name", "w", "result", result); n != want {
			t.Errorf("%v beats are %s, want %v", n, result, want)
		}
	}
}

// TestEndlessBodyIsCutOff: over the network the answer comes while the body does, and the
// connection ends.
func TestEndlessBodyIsCutOff(t *testing.T) {
	w := newWorld(t, smallBodies)
	address := w.onPort()
	w.begin()
	defer w.end()
	conn := dial(t, address)
	if _, err := io.WriteString(conn, "POST /dingtalk/ops/send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		chunk := fmt.Sprintf("400\r\n%s\r\n", strings.Repeat("0", 1024))
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				sent <- err
				return
			}
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("answered %s, close %v", resp.Status, resp.Close)
	}
	var late net.Error
	if err := <-sent; errors.As(err, &late) && late.Timeout() {
		t.Errorf("the body was taken on and on: %v", err)
	}
}

// TestRefusalsAreLoggedSeldom: a stranger can neither fill the log nor keep out of it that
// notifications of Alertmanager are refused.
func TestRefusalsAreLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, smallBodies)
		w.begin()
		defer w.end()
		for range 100 {
			for _, path := range []string{"/dingtalk/ops/send", "/deadman/w"} {
				if rec := w.do(http.MethodPost, path, []byte("<html>")); rec.Code != http.StatusBadRequest {
					t.Fatalf("answered %d %s", rec.Code, rec.Body)
				}
			}
		}
		w.sendChunked("/dingtalk/ops/send", newEndless())
		time.Sleep(time.Minute)
		w.do(http.MethodPost, "/deadman/w", []byte("<html>"))
		var lines []string
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, "refused") {
				lines = append(lines, line)
			}
		}
		wants := []string{"target=ops status=400 why=\"the body is not a webhook of Alertmanager: invalid character '<' looking for beginning of value, at byte 1\" times=1\n",
			"target=ops status=413 why=\"the body is longer than 4096 bytes (limits.body)\" hint=\"set max_alerts in Alertmanager's webhook_configs, or raise limits.body\" times=1\n",
			"switch=w status=400 why=\"the body is not a webhook of Alertmanager: invalid character '<' looking for beginning of value, at byte 1\" times=200\n"}
		if len(lines) != len(wants) {
			t.Fatalf("%d lines:\n%s", len(lines), w.log)
		}
		for i, want := range wants {
			if !strings.HasSuffix(lines[i], want) || !strings.Contains(lines[i], "level=WARN") {
				t.Errorf("line %d is %s, want … level=WARN … %s", i, lines[i], want)
			}
		}
	})
}

// TestDiskTroubleIsAnError: somebody has to look at it, and it does not fill the log.
func TestDiskTroubleIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.begin()
		defer w.end()
		for range 10 {
			w.lane("ops").trouble(errors.New("broken disk"))
		}
		if log := w.log.String(); strings.Count(log, "broken disk") != 1 || !strings.Contains(log, "level=ERROR msg=\"what waits could not be read or changed; trying again\" target=ops") {
			t.Errorf("log:\n%s", log)
		}
	})
}
