package dingtalk

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// TestCAFile: a proxy's certificate that the system does not know is trusted if the
// configuration names it.
func TestCAFile(t *testing.T) {
	robots := dingtalktest.New(dingtalktest.Options{Robots: []dingtalktest.Robot{{Token: "a"}}})
	server := httptest.NewTLSServer(robots)
	defer server.Close()
	w := newWorld(t, "targets: {ops: {url: '"+dingtalktest.Address(server.URL, "a")+"'}}\n")
	w.tune = func(o *Options) { o.Transport = nil }
	w.begin()
	w.post("ops", payload("g", alert("X", "warning")))
	w.waitFor("the refusal", 10*time.Second, func() bool { return strings.Contains(w.log.String(), "x509") })
	ca := filepath.Join(w.dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(w.file())
	if err != nil {
		t.Fatal(err)
	}
	w.configure("ca_file: ca.pem\n" + string(text))
	if rec := w.do(http.MethodPost, "/-/reload", nil); rec.Code != http.StatusOK {
		t.Fatal(rec.Body)
	}
	w.waitFor("the message", 20*time.Second, func() bool { return len(robots.Received()) == 1 })
	w.end()
}
