package dingtalk

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// dial connects for the rest of the test, which does not wait for ever.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// onPort makes the world listen on a real port and returns its address.
func (w *world) onPort() string {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	before := w.tune
	w.tune = func(o *Options) {
		if before != nil {
			before(o)
		}
		o.Listener = l
	}
	return l.Addr().String()
}

// TestReloadKeepsWhatWaits: the queue, a ban and the robot's minute go on; a mistake
// changes nothing but a metric.
func TestReloadKeepsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a", "b")
		w.robots.Next("a", dingtalktest.Fault{Body: `{"errcode":130101,"errmsg":"send too fast"}`})
		w.begin()
		defer w.end()
		w.post("ops", payload("g1", alert("One", "warning")))
		time.Sleep(time.Second)
		for name, wrong := range map[string]string{
			"syntax": "targets: {", "template": oneRobot + "templates: [nowhere/*.tmpl]\n",
			"message": "targets: {ops: {robots: [{{robot a}}], message: {title: '{{ .Nope', text: x}}}\n", "unknown key": oneRobot + "nope: 1\n",
		} {
			w.configure(wrong)
			rec := w.do(http.MethodPost, "/-/reload", nil)
			if rec.Code != http.StatusInternalServerError || !strings.Contains(rec.Body.String(), w.file()) && name != "template" {
				t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
			}
			if w.metric("config_last_reload_successful") != 0 {
				t.Errorf("%s: the metric says that all is well", name)
			}
		}
		w.configure(oneRobot + "limits: {queue: 77}\n")
		if rec := w.do(http.MethodPut, "/-/reload", nil); rec.Code != http.StatusOK || w.metric("config_last_reload_successful") != 1 {
			t.Fatalf("the reload: %d %s", rec.Code, rec.Body)
		}
		time.Sleep(9 * time.Minute)
		if n := len(w.robots.Received()); n != 0 || w.spool.Depth("ops") != 1 {
			t.Fatalf("the ban was forgotten: %d messages", n)
		}
		w.configure("targets: {other: {robots: [{{robot b}}]}}\n") // the target goes, what waits for it stays
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		w.post("other", payload("g2", alert("Two", "warning")))
		w.waitFor("the other target's message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
		w.configure(twoRobots)
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		w.waitFor("the first message", time.Minute, func() bool { return strings.Contains(w.said(), "One") })
	})
}

// TestFilesAreWatched: the configuration and a secret that is replaced, as editors and
// orchestrators do it, take effect by themselves.
func TestFilesAreWatched(t *testing.T) {
	w := newWorld(t, oneRobot, "a")
	w.tune = func(o *Options) { o.NoWatch = false }
	secret := filepath.Join(w.dir, "secret")
	replace := func(name, text string) {
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	replace(secret, "SECa")
	replace(w.file(), fmt.Sprintf("targets: {ops: {url: %q, secret_file: secret}}\n", dingtalktest.Address(base, "a")))
	w.begin()
	defer w.end()
	replace(w.file(), "nonsense")
	w.waitFor("the failed reload", 10*time.Second, func() bool { return w.metric("config_last_reload_successful") == 0 })
	w.robots.Add(dingtalktest.Robot{Token: "a", Secret: "SECnew"})
	replace(w.file(), fmt.Sprintf("targets: {ops: {url: %q, secret_file: secret}}\nlanguage: en\n", dingtalktest.Address(base, "a")))
	w.waitFor("the reload", 10*time.Second, func() bool { return w.metric("config_last_reload_successful") == 1 })
	replace(secret, "SECnew")
	w.waitFor("the new secret", 10*time.Second, func() bool { return w.setup.Load().config.Targets["ops"].Robots[0].Secret.Reveal() == "SECnew" })
	w.post("ops", payload("g", alert("Watched", "warning")))
	w.waitFor("the message", 10*time.Second, func() bool { return strings.Contains(w.said(), "Watched") })
	if n := strings.Count(w.log.String(), "was not reloaded"); n != 1 {
		t.Errorf("a mistake was logged %d times", n)
	}
}

func TestPagesAndSwitches(t *testing.T) {
	w := newWorld(t, oneRobot, "a")
	w.begin()
	for path, want := range map[string]string{
		"/": "钉钉", "/?lang=en": "Takes Alertmanager", "/-/healthy": "OK", "/-/ready": "OK", "/ui": "模板预览", "/ui?lang=en&target=ops": "Template preview",
		"/api/v1/status/config": `"status":"success"`, "/api/v1/status/buildinfo": "test", "/metrics": "fanfare_dingtalk_queue_messages", "/ack": "silence.alertmanager",
	} {
		rec := w.do(http.MethodGet, path, nil)
		body := rec.Body.String()
		if !strings.Contains(body, want) {
			t.Errorf("GET %s: %d, no %q in\n%.500s", path, rec.Code, want, body)
		}
		if strings.Contains(body, "SECa") || strings.Contains(body, "access_token=a") {
			t.Errorf("GET %s shows a secret", path)
		}
	}
	w.end()
	w.tune = func(o *Options) { o.EnableUI, o.EnableLifecycle = false, false }
	w.begin()
	defer w.end()
	for path, want := range map[string]int{"/ui": 404, "/api/v1/status/config": 404, "/nowhere": 404} {
		if rec := w.do(http.MethodGet, path, nil); rec.Code != want {
			t.Errorf("GET %s: %d, want %d", path, rec.Code, want)
		}
	}
	if rec := w.do(http.MethodPost, "/-/reload", nil); rec.Code != http.StatusForbidden {
		t.Errorf("reload: %d, want 403", rec.Code)
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	w := newWorld(t, withDeadman, "a")
	w.begin()
	defer w.end()
	problems, err := testutil.GatherAndLint(w.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, name := range []string{"queue_oldest_timestamp_seconds", "last_success_timestamp_seconds", "robot_disabled", "spool_errors_total", "deadman_last_beat_timestamp_seconds",
		"dead_letters_total", "truncated_alerts_total", "template_errors_total", "digests_total", "rate_limited_total", "preview", "config_last_reload_success_timestamp_seconds"} {
		if w.metric(name) < 0 {
			t.Errorf("%s is not there from the start", name)
		}
	}
}

// TestLargeBodyIsNotRead: the refusal comes before the body is sent.
func TestLargeBodyIsNotRead(t *testing.T) {
	w := newWorld(t, oneRobot, "a")
	address := w.onPort()
	w.begin()
	defer w.end()
	conn := dial(t, address)
	fmt.Fprintf(conn, "POST /dingtalk/ops/send HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413") {
		t.Errorf("answered %.100q, %v", answer, err)
	}
}

// TestStopFinishesWhatIsInHand: a request on its way is finished, the rest stays.
func TestStopFinishesWhatIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot, "a")
		w.robots.Always("a", &dingtalktest.Fault{Delay: 2 * time.Second, Body: `{"errcode":0,"errmsg":"ok"}`, Accept: true})
		w.begin()
		w.post("ops", payload("g1", alert("One", "warning")))
		time.Sleep(time.Second)
		w.post("ops", payload("g2", alert("Two", "warning")))
		w.end()
		if n := len(w.robots.Received()); n != 1 {
			t.Fatalf("%d messages, want the one in hand", n)
		}
		w.begin()
		defer w.end()
		time.Sleep(10 * time.Second)
		if n := len(w.robots.Received()); n != 2 || !strings.Contains(w.robots.Received()[1].Text, "Two") {
			t.Errorf("%d messages after the restart, want 2:\n%s", n, w.said())
		}
	})
}

// TestStopCutsOff: a stop that may take no longer leaves the message in the spool.
func TestStopCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, oneRobot+"timeout: 5m\n", "a")
		w.robots.Next("a", dingtalktest.Fault{Delay: time.Hour})
		w.begin()
		w.post("ops", payload("g1", alert("One", "warning")))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
		w.begin()
		defer w.end()
		w.waitFor("the message", time.Minute, func() bool { return len(w.robots.Received()) == 1 })
	})
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t, "targets: {ops: {url: 'https://h/?access_token=t', sekret: x}}\n")
	if _, err := New(w.options()); err == nil || !strings.Contains(err.Error(), "config.yml:1: targets.ops.sekret is not a known key") {
		t.Errorf("a mistake: %v", err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "data")); err == nil {
		t.Error("a data directory was made for a configuration with a mistake")
	}
	w.configure("targets: {ops: {url: 'https://h/send'}}\n")
	if _, err := New(w.options()); err == nil || !strings.Contains(err.Error(), "targets.ops") || !strings.Contains(err.Error(), "access_token") {
		t.Errorf("an address without a token: %v", err)
	}
}

// BenchmarkWebhooks is webhooks over HTTP that are on disk when they are answered.
func BenchmarkWebhooks(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte("targets: {ops: {url: 'http://127.0.0.1:9/?access_token=t'}}\nlimits: {queue: 1000000, queue_bytes: 8GiB}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	w := &world{dir: dir, log: new(logBook), robots: dingtalktest.New(dingtalktest.Options{})}
	o := w.options()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	o.Listener = l
	bridge, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	bridge.Start()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
	var n, refused atomic.Int64
	var once sync.Once
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := n.Add(1)
			body := encode(b, payload(fmt.Sprint("g", i), alert(fmt.Sprint("A", i), "warning"), alert(fmt.Sprint("B", i), "warning")))
			resp, err := client.Post("http://"+l.Addr().String()+"/dingtalk/ops/send", "application/json", strings.NewReader(string(body)))
			if err != nil {
				once.Do(func() { b.Error(err) })
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				refused.Add(1)
			}
		}
	})
	b.StopTimer()
	if refused.Load() > 0 {
		b.Errorf("%d of %d were refused", refused.Load(), n.Load())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "payloads/s")
	client.CloseIdleConnections()
	if err := bridge.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// TestChangeWhileReading: a file that changes while it is read is read again.
func TestChangeWhileReading(t *testing.T) {
	for nth := int32(1); nth <= 4; nth++ {
		w := newWorld(t, "language: ${L}\ntargets: {ops: {url: ''}}\n")
		var calls atomic.Int32
		w.tune = func(o *Options) {
			o.NoWatch = false
			o.Getenv = func(name string) (string, bool) {
				if name == "L" && calls.Add(1) == nth {
					w.configure("language: ${L}\ntargets: {ops: {url: ''}, later: {url: ''}}\n")
				}
				return map[bool]string{true: "en"}[name == "L"], name == "L"
			}
		}
		w.begin()
		if calls.Load() < nth {
			w.end()
			break
		}
		w.waitFor("the new target", 10*time.Second, func() bool { return w.setup.Load().targets["later"] != nil })
		w.end()
	}
}
