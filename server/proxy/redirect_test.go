package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// redirector sends /STATUS?to=LOCATION there and tells what arrives at /end.
func redirector(w http.ResponseWriter, r *http.Request) {
	if status, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/")); err == nil {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(status)
		return
	}
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s body=%s type=%s auth=%s cookie=%s custom=%s from=%s", r.Method, r.URL, body, r.Header.Get("Content-Type"),
		r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("X-Custom"), r.Header.Get("X-Forwarded-For"))
}

func TestRedirectMethods(t *testing.T) {
	t.Parallel()
	s := serve(t, redirector)
	p := through(t, s.URL)
	for _, c := range []struct {
		status int
		method byte
		want   string
	}{
		{301, protocol.MethodGet, "GET"}, {301, protocol.MethodPost, "GET"}, {301, protocol.MethodPut, "PUT"},
		{302, protocol.MethodPost, "GET"}, {302, protocol.MethodDelete, "DELETE"},
		{303, protocol.MethodPost, "GET"}, {303, protocol.MethodPut, "GET"}, {303, protocol.MethodDelete, "GET"},
		{307, protocol.MethodPost, "POST"}, {307, protocol.MethodPut, "PUT"}, {308, protocol.MethodPost, "POST"}, {308, protocol.MethodGet, "GET"},
	} {
		r := post(fmt.Sprintf("%s/%d?to=end%%3Fq=1%%23f", s.URL, c.status), "data", "Content-Type:text/x", "Authorization:a", "Cookie:b", "X-Custom:c")
		r.Method = c.method
		want := c.want + " /end?q=1 body="
		if c.want == "GET" && c.method != protocol.MethodGet {
			want += " type="
		} else {
			want += "data type=text/x"
		}
		want += " auth=a cookie=b custom=c from=203.0.113.9"
		if a := p.do(r); string(a.Body) != want {
			t.Errorf("%d: %d %q, want %q", c.status, a.Status, a.Body, want)
		}
	}
	p.quiet()
}

// What identifies the device to one server is not handed to another, and does not come
// back on the way back.
func TestCredentialsStayAtTheirOrigin(t *testing.T) {
	t.Parallel()
	one, two := serve(t, redirector), serve(t, redirector)
	p := through(t, one.URL, two.URL)
	for _, to := range []string{two.URL + "/end", two.URL + "/302?to=" + one.URL + "/end"} {
		a := p.do(get(one.URL+"/302?to="+to, "Authorization:a", "Cookie:b", "X-Custom:c"))
		if !strings.Contains(string(a.Body), " auth= cookie= custom=c ") {
			t.Errorf("%q", a.Body)
		}
	}
}

func TestRedirectCount(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		w.Header().Set("Location", "http://"+r.Host+"/loop")
		w.WriteHeader(302)
	})
	p := through(t, s.URL)
	a := p.do(get(s.URL + "/loop"))
	if a.Own || a.Status != 302 || header(a, "Location")[0] != s.URL+"/loop" || hits.Load() != maxRedirects+1 {
		t.Errorf("%+v after %d requests", a, hits.Load())
	}
	p.quiet()
}

// Each hop is held to the rules and to what its address may be.
func TestRedirectsToWhereDevicesMayNotGo(t *testing.T) {
	t.Parallel()
	inside := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect led inside") })
	s := serve(t, redirector)
	p := newRig(t, func(o *Options) {
		o.open(s.URL)
		o.Allow = append(o.Allow, "http://inside.example.com", "http://*.example.com:"+inside.URL[strings.LastIndex(inside.URL, ":")+1:], "http://169.254.169.254")
		o.Resolver = names{"inside.example.com": {"127.0.0.1"}, "meta.example.com": {"169.254.169.254"}}
	})
	port := inside.URL[strings.LastIndex(inside.URL, ":"):]
	for _, to := range []string{
		inside.URL, "http://inside.example.com/", "http://inside.example.com" + port, "http://meta.example.com" + port, "http://169.254.169.254/latest",
		"http://[::1]" + port, "http://[::ffff:127.0.0.1]" + port, "http://10.0.0.1/", "https://" + s.Listener.Addr().String(), "//inside.example.com/",
	} {
		p.want(get(s.URL+"/302?to="+to), http.StatusForbidden, exporter.ProxyRefused)
		p.want(get(s.URL+"/302?to="+s.URL+"/307?to="+to), http.StatusForbidden, exporter.ProxyRefused)
	}
}

// A redirected request with a body leaves nothing on a connection that the next request
// would be read from.
func TestRedirectedPostsDoNotPoison(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" { // the body is not read
			w.Header().Set("Location", "/end")
			w.WriteHeader(307)
			return
		}
		redirector(w, r)
	})
	p := through(t, s.URL)
	for i := range 50 {
		body := strings.Repeat(fmt.Sprintf("GET /smuggled%d HTTP/1.1\r\nHost: x\r\n\r\n", i), 200)
		if a := p.do(post(s.URL+"/refuse", body)); !strings.HasPrefix(string(a.Body), "POST /end body=GET /smuggled"+strconv.Itoa(i)) {
			t.Fatalf("%d %q", a.Status, a.Body)
		}
		if a := p.do(get(s.URL + "/end")); !strings.HasPrefix(string(a.Body), "GET /end body= ") {
			t.Fatalf("%d %q", a.Status, a.Body)
		}
	}
}
