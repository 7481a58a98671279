package dingtalk

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// tenThousand is a notification of as many alerts, each with what the shipped rules write.
func tenThousand() map[string]any {
	var alerts []map[string]any
	for i := range 10000 {
		a := alert("FanfareNodeDown", "critical")
		a["fingerprint"] = fmt.Sprintf("%016x", i)
		a["labels"].(map[string]string)["node"] = fmt.Sprintf("node-%05d", i)
		a["annotations"] = map[string]string{"summary_zh": fmt.Sprintf("节点 node-%05d 停止应答", i), "summary": "A node does not answer",
			"description_zh": strings.Repeat("说明", 60), "description": strings.Repeat("what it means ", 20), "runbook_url": "https://example.com/" + strings.Repeat("x", 80)}
		alerts = append(alerts, a)
	}
	return payload("g", alerts...)
}

// TestTenThousandAlertsInOneBody: they are taken with the default limits, and all are named.
func TestTenThousandAlertsInOneBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.begin()
		defer w.end()
		w.post("ops", tenThousand())
		w.waitFor("the empty queue", 20*time.Minute, func() bool { return w.spool.Depth("ops") == 0 })
		said, missing := w.said(), 0
		for i := range 10000 {
			if !strings.Contains(said, fmt.Sprintf("node-%05d", i)) {
				missing++
			}
		}
		messages := len(w.robots.Received())
		t.Logf("%d messages, %d alerts not named", messages, missing)
		if cut := w.metric("truncated_alerts_total", "target", "ops"); float64(missing) != cut || messages > maxParts {
			t.Errorf("%d messages; %d alerts are not named, %v counted as left out", messages, missing, cut)
		}
	})
}

// gated is a body that comes when it may.
type gated struct {
	started *atomic.Int64
	once    sync.Once
	open    chan struct{}
	*bytes.Reader
}

func (g *gated) Read(p []byte) (int, error) {
	g.once.Do(func() { g.started.Add(1) })
	<-g.open
	return g.Reader.Read(p)
}

// TestLargeBodiesTakeTurns: large bodies that come at a time are not all taken into memory
// at a time, and all are taken.
func TestLargeBodiesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "targets: {ops: {url: ''}}\n")
		w.begin()
		defer w.end()
		body := append(encode(t, payload("g", alert("X", "warning"))), bytes.Repeat([]byte(" "), maxBodies/4-1000)...)
		var started atomic.Int64
		open := make(chan struct{})
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				r := httptest.NewRequest(http.MethodPost, "/dingtalk/ops/send", &gated{started: &started, open: open, Reader: bytes.NewReader(body)})
				if r.ContentLength = int64(len(body)); i%2 == 0 {
					r.ContentLength = -1 // chunked
				}
				rec := httptest.NewRecorder()
				w.server.Handler.ServeHTTP(rec, r)
				if rec.Code != http.StatusOK {
					t.Errorf("answered %d: %s", rec.Code, rec.Body)
				}
			})
		}
		synctest.Wait()
		if n := started.Load(); n < 1 || n > 4 {
			t.Errorf("%d bodies of a quarter of the bound are read at a time", n)
		}
		close(open)
		all.Wait()
		if n := started.Load(); n != 12 {
			t.Errorf("%d bodies were read, want 12", n)
		}
	})
}

// TestPackedBody: Alertmanager does not pack; who does is told so.
func TestPackedBody(t *testing.T) {
	w := newWorld(t, oneRobot, "a")
	w.begin()
	defer w.end()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(encode(t, payload("g", alert("X", "warning")))); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	rec := w.do(http.MethodPost, "/dingtalk/ops/send", packed.Bytes(), "Content-Encoding", "gzip")
	if rec.Code != http.StatusUnsupportedMediaType || !strings.Contains(rec.Body.String(), "gzip") || w.metric("webhooks_total", "target", "ops", "result", "malformed") != 1 {
		t.Errorf("answered %d %s", rec.Code, rec.Body)
	}
}
