package exporter

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

func TestRegistryShowsBuildAndProcess(t *testing.T) {
	reg := NewRegistry(Build{Version: "1.2.3", Revision: "abc", GoVersion: "go1.26"})
	want := `# HELP fanfare_build_info Which build of Fanfare this is; the value is always 1.
# TYPE fanfare_build_info gauge
fanfare_build_info{goversion="go1.26",revision="abc",version="1.2.3"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "fanfare_build_info"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if n, err := testutil.GatherAndCount(reg, name); n != 1 || err != nil {
			t.Errorf("%d series %s, error %v", n, name, err)
		}
	}
}

func TestHandlerSpeaksBothFormats(t *testing.T) {
	reg := NewRegistry(Build{})
	New(reg).Heartbeats.Add(3)
	for accept, want := range map[string]struct{ contentType, last string }{
		"":                             {"text/plain", "\n"},
		"application/openmetrics-text": {"application/openmetrics-text", "# EOF\n"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		Handler(reg, new(logBook).logger()).ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), want.contentType) || !strings.HasSuffix(body, want.last) {
			t.Errorf("Accept %q: status %d, type %q", accept, w.Code, w.Header().Get("Content-Type"))
		}
		if !strings.Contains(body, "\nfanfare_heartbeats_total 3") {
			t.Errorf("Accept %q: the heartbeats are missing", accept)
		}
	}
}

func TestHandlerServesWhatItCanAndLogsTheRest(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(reg)
	half := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, _ := reg.Gather()
		return families, errors.New("a collector is broken")
	})
	book := new(logBook)
	w := httptest.NewRecorder()
	Handler(half, book.logger()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "fanfare_heartbeats_total 0") {
		t.Errorf("status %d", w.Code)
	}
	if !strings.Contains(book.String(), "a collector is broken") || !strings.Contains(book.String(), "level=ERROR") {
		t.Errorf("log = %q", book)
	}
}
