package bench

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestScrapePage(t *testing.T) {
	var asked atomic.Int64
	page := strings.Repeat("# HELP a A metric.\n", 100) + "a 1\nb{c=\"d\"} 2\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Accept-Encoding") != "gzip" {
			_, _ = io.WriteString(w, page)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, page)
		_ = z.Close()
	}))
	defer server.Close()
	r, err := scrapePage(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if r.Series != 2 || r.Bytes != int64(len(page)) || r.Sent <= 0 || r.Sent >= r.Bytes || r.Milliseconds.N != scrapes || asked.Load() != scrapes+2 {
		t.Errorf("%+v after %d questions", r, asked.Load())
	}
	for _, status := range []int{http.StatusInternalServerError, http.StatusNotFound} {
		broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		if _, err := scrapePage(t.Context(), broken.URL); err == nil {
			t.Errorf("status %d is no error", status)
		}
		if _, _, err := scrapeOnce(t.Context(), broken.URL, "gzip"); err == nil {
			t.Errorf("status %d is no error", status)
		}
		broken.Close()
	}
}
