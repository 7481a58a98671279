package dingtalk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

// logBook is a log that a test can read.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// direct carries requests to a handler without a network, for virtual time.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	done := make(chan any, 1)
	go func() {
		defer func() { done <- recover() }()
		d.ServeHTTP(w, in)
	}()
	select {
	case p := <-done:
		if p != nil {
			return nil, fmt.Errorf("connection lost")
		}
	case <-r.Context().Done():
		<-done
		return nil, r.Context().Err()
	}
	return w.Result(), nil
}

// closedListener never accepts: requests are handed to the handler.
type closedListener struct {
	once sync.Once
	done chan struct{}
}

func (l *closedListener) Accept() (net.Conn, error) { <-l.done; return nil, net.ErrClosed }
func (l *closedListener) Close() error              { l.once.Do(func() { close(l.done) }); return nil }
func (l *closedListener) Addr() net.Addr            { return &net.TCPAddr{} }

// world is a bridge with DingTalk around it.
type world struct {
	*testing.T
	*Bridge
	dir      string
	robots   *dingtalktest.Server
	log      *logBook
	registry *prometheus.Registry
	env      map[string]string
	tune     func(*Options)
}

const base = "http://oapi.example"

// newWorld makes DingTalk with the robots named, each with the secret "SEC"+name.
func newWorld(t *testing.T, config string, robots ...string) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), log: new(logBook), env: map[string]string{}}
	w.robots = dingtalktest.New(dingtalktest.Options{})
	for _, r := range robots {
		w.robots.Add(dingtalktest.Robot{Token: r, Secret: "SEC" + r})
	}
	w.configure(config)
	return w
}

// configure writes the configuration; {{robot NAME}} in it is the flow mapping of a robot.
func (w *world) configure(config string) {
	w.Helper()
	for {
		before, rest, ok := strings.Cut(config, "{{robot ")
		if !ok {
			break
		}
		name, after, _ := strings.Cut(rest, "}}")
		config = fmt.Sprintf("%s{name: %s, url: %q, secret: SEC%s}%s", before, name, dingtalktest.Address(base, name), name, after)
	}
	if err := os.WriteFile(w.file(), []byte(config), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *world) file() string { return filepath.Join(w.dir, "config.yml") }

func (w *world) options() Options {
	w.registry = prometheus.NewRegistry()
	o := Options{ConfigFile: w.file(), DataDir: filepath.Join(w.dir, "data"), Listener: &closedListener{done: make(chan struct{})},
		Transport: direct{w.robots}, Registry: w.registry, EnableUI: true, EnableLifecycle: true, NoWatch: true,
		Logger: slog.New(slog.NewTextHandler(w.log, nil)), Version: "test",
		Getenv: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok }}
	if w.tune != nil {
		w.tune(&o)
	}
	return o
}

// begin starts the bridge.
func (w *world) begin() {
	w.Helper()
	b, err := New(w.options())
	if err != nil {
		w.Fatal(err)
	}
	w.Bridge = b
	b.Start()
}

// end stops it in order.
func (w *world) end() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		w.Error(err)
	}
}

// do hands a request to the bridge.
func (w *world) do(method, path string, body []byte, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.server.Handler.ServeHTTP(rec, r)
	return rec
}

// post sends a webhook and expects 200.
func (w *world) post(target string, p map[string]any) {
	w.Helper()
	if rec := w.do(http.MethodPost, "/dingtalk/"+target+"/send", encode(w.T, p)); rec.Code != http.StatusOK {
		w.Fatalf("the bridge answered %d: %s", rec.Code, rec.Body)
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alert is an alert that fires, or with the severity "resolved" one that is over.
func alert(name, severity string) map[string]any {
	a := map[string]any{"status": "firing", "labels": map[string]string{"alertname": name, "severity": severity, "cluster": "fanfare"},
		"annotations": map[string]string{"summary": "S " + name, "summary_zh": "总结 " + name},
		"startsAt":    "2026-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "fp-" + name}
	if severity == "resolved" {
		a["status"], a["endsAt"] = "resolved", "2026-01-01T00:10:00Z"
		a["labels"].(map[string]string)["severity"] = "warning"
	}
	return a
}

// payload is a webhook of a group.
func payload(group string, alerts ...map[string]any) map[string]any {
	status := "resolved"
	for _, a := range alerts {
		if a["status"] == "firing" {
			status = "firing"
		}
	}
	return map[string]any{"version": "4", "groupKey": group, "status": status, "receiver": "ding", "alerts": alerts,
		"groupLabels": map[string]string{}, "commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "http://am.example"}
}

// waitFor polls until a condition holds. In virtual time it costs none.
func (w *world) waitFor(what string, within time.Duration, cond func() bool) {
	w.Helper()
	for end := time.Now().Add(within); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("%s did not happen within %v; log:\n%s", what, within, w.log)
		}
	}
}

// said returns what DingTalk took, all messages joined.
func (w *world) said() string {
	var all strings.Builder
	for _, m := range w.robots.Received() {
		all.WriteString(m.Token + ": " + m.Title + "\n" + m.Text + "\n----\n")
	}
	return all.String()
}

// metric reads a counter or gauge, by name without the prefix and label pairs; -1 if it
// is not there.
func (w *world) metric(name string, labels ...string) float64 {
	w.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != prefix+name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i+1 < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue next
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}

func answerTo(p picky, r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(body, []byte(p.word)) {
		w := httptest.NewRecorder()
		_, err := w.WriteString(p.says)
		return w.Result(), err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return p.next.RoundTrip(r)
}
