//go:build linux

package watch

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// fetch gets a path on a connection of its own.
func fetch(address, path string) (code int, text string, err error) {
	return get(&http.Transport{DisableKeepAlives: true}, "http://"+address+path)
}

// fetchThrough gets a page through a proxy.
func fetchThrough(proxy, page string) (code int, text string, err error) {
	u, err := url.Parse(proxy)
	if err != nil {
		return 0, "", err
	}
	return get(&http.Transport{DisableKeepAlives: true, Proxy: http.ProxyURL(u)}, page)
}

func get(transport *http.Transport, page string) (code int, text string, err error) {
	c := http.Client{Transport: transport, Timeout: 10 * time.Second}
	answer, err := c.Get(page)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(read), err
}

// TestRelay does everything to an answer that a relay can.
func TestRelay(t *testing.T) {
	const answer = "# TYPE x counter\nx{a=\"1\"} 5\nx{a=\"2\"} 7\n# EOF\n"
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(w, q.Body)
		_, _ = io.WriteString(w, q.URL.Query().Get("target"))
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(service.Close)
	n := newNetwork(t)
	r := n.add("service:80", strings.TrimPrefix(service.URL, "http://"))
	through := n.proxy(t, "client")
	var heard string
	r.overhear(func(path string, body []byte) { heard = path + string(body) })
	for _, c := range []struct {
		f    trouble
		code int
		text string
	}{
		{trouble{}, 200, answer},
		{trouble{path: "/other", status: 500}, 200, answer},
		{trouble{status: 503}, 503, "the test says so\n"},
		{trouble{drop: true}, 0, ""},
		{trouble{delay: time.Millisecond}, 200, answer},
		{trouble{lines: setValue(`x{a="1"`, 1.5)}, 200, strings.Replace(answer, "5", "1.5", 1)},
		{trouble{lines: addValue(`x{`, 10)}, 200, strings.NewReplacer("5", "15", "7", "17").Replace(answer)},
		{trouble{lines: without(`x{a="1"`)}, 200, strings.Replace(answer, "x{a=\"1\"} 5\n", "", 1)},
		{trouble{add: "y 1"}, 200, strings.Replace(answer, "# EOF", "y 1\n# EOF", 1)},
	} {
		r.fault("test", c.f)
		code, text, err := fetchThrough(through, "http://service:80/metrics")
		if code != c.code || text != c.text || (err != nil) != (c.code == 0) {
			t.Errorf("%+v: got %d, %q, %v", c.f, code, text, err)
		}
	}
	r.heal("test")
	if code, text, err := fetchThrough(through, "http://service:80/metrics"); code != 200 || text != answer || heard != "/metrics" {
		t.Errorf("healed: %d, %q, %v; heard %q", code, text, err, heard)
	}
	r.asked = func(q url.Values) { q.Set("target", "there") }
	if _, text, err := fetchThrough(through, "http://service:80/probe?target=here"); text != "there"+answer {
		t.Errorf("asked for something else: %q, %v", text, err)
	}
	service.Close()
	if code, _, err := fetchThrough(through, "http://service:80/metrics"); err == nil {
		t.Errorf("answers %d for a service that is gone", code)
	}
	n.cut("client", "service:80")
	if code, _, err := fetchThrough(through, "http://service:80/metrics"); err == nil {
		t.Errorf("answers %d through a cut", code)
	}
	n.mend("client", "service:80")
	if code, _, _ := fetchThrough(through, "http://other:80/metrics"); code != http.StatusBadGateway {
		t.Errorf("answers %d for a name that nobody has", code)
	}
	if got := n.strangers(); len(got) != 1 || got[0] != "other:80" {
		t.Errorf("strangers %v", got)
	}
}
