package dingtalk

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// failing is a transport whose errors repeat the address, as those of proxies may.
type failing struct{}

func (failing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("cannot reach %s: %w", r.URL, errors.New("no route"))
}

// TestNothingTellsSecrets: no log at any level, page, metric, status or answer holds a
// token, a secret, a key or a password of an address.
func TestNothingTellsSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `
targets:
  ops:
    robots:
      - {name: first, url: "https://u:HUSH0@d.example/robot/send?access_token=HUSH1&x=HUSH2&timestamp=1&sign=HUSH3", secret: HUSH4}
      - {name: second, url_file: url, secret_file: secret}
links: {bridge: "http://bridge.example", alertmanager: "http://u:HUSH7@am.example/?k=HUSH8"}
silence: {alertmanager: "http://u:HUSH9@am.example", key_file: key}
`)
		for name, text := range map[string]string{"url": "https://d.example/robot/send?access_token=HUSH5", "secret": "HUSH6", "key": "HUSHKEY-HUSHKEY-HUSHKEY"} {
			if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.tune = func(o *Options) {
			o.Transport = failing{}
			o.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		w.begin()
		defer w.end()
		w.post("ops", payload("g", alert("X", "critical")))
		time.Sleep(10 * time.Minute)
		link := w.setup.Load().acks.links(ackAlert())[0].URL
		var all strings.Builder
		for _, path := range []string{"/ui?lang=en", "/api/v1/status/config", "/api/v1/status/buildinfo", "/", "/metrics", "/-/ready", link[len("http://bridge.example"):], "/dingtalk/nobody/send"} {
			all.WriteString(w.do(http.MethodGet, path, nil).Body.String())
		}
		_, query, _ := strings.Cut(link, "?")
		all.WriteString(w.do(http.MethodPost, "/ack", []byte(query), "Content-Type", "application/x-www-form-urlencoded").Body.String())
		if err := os.WriteFile(filepath.Join(w.dir, "url"), []byte("ftp://HUSH5"), 0o600); err != nil {
			t.Fatal(err)
		}
		all.WriteString(w.do(http.MethodPost, "/-/reload", nil).Body.String())
		io.WriteString(&all, w.log.String())
		if !strings.Contains(all.String(), "no route") || !strings.Contains(all.String(), "could not silence") {
			t.Errorf("nothing failed:\n%s", all.String())
		}
		for line := range strings.Lines(all.String()) {
			if strings.Contains(line, "HUSH") {
				t.Errorf("told: %s", line)
			}
		}
	})
}

func ackAlert() message.Alert {
	return message.Alert{Status: message.StatusFiring, Labels: message.KV{"alertname": "X"}}
}
