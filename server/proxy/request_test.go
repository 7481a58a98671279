package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// echo writes what it got in one text.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s host=%s length=%d body=%s", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, body)
}

func TestMethodsAndBodies(t *testing.T) {
	t.Parallel()
	s := serve(t, echo)
	p := through(t, s.URL)
	host := s.Listener.Addr().String()
	for method, want := range map[byte]string{
		0: "GET", 1: "POST", 2: "PUT", 3: "DELETE", 4: "GET", 9: "GET", 255: "GET",
	} {
		for _, body := range []string{"", "hello 你好"} {
			r := get(s.URL + "/a%2Fb/c?q=1&r=%20#fragment")
			r.Method, r.Body = method, []byte(body)
			a := p.do(r)
			text := fmt.Sprintf("%s /a%%2Fb/c?q=1&r=%%20 HTTP/1.1 host=%s length=%d body=%s", want, host, len(body), body)
			if a.Own || a.Status != 200 || a.Reason != "OK" || string(a.Body) != text {
				t.Errorf("method %d: %+v %q, want %q", method, a, a.Body, text)
			}
		}
	}
	p.quiet()
}

// What the destination gets: the device's headers, without those that concern the
// connection, and those that say who asks, which the device cannot choose.
func TestHeadersToTheDestination(t *testing.T) {
	t.Parallel()
	var got http.Header
	var host string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { got, host = r.Header.Clone(), r.Host })
	p := through(t, s.URL)
	p.do(get(s.URL,
		"readTimeout:9000", "READTIMEOUT:9000", "X-Custom: a b \r", "X-Custom:c", "Empty:", "Accept:*/*", "Cookie:a=1; b=2", "Authorization:Bearer x:y",
		"Host:evil.example.org", "Content-Length:100", "Transfer-Encoding:chunked", "Connection:close, X-Hop", "X-Hop:1", "Keep-Alive:1", "Proxy-Authorization:x",
		"Proxy-Connection:keep-alive", "TE:trailers", "Trailer:X", "Upgrade:websocket", "HTTP2-Settings:x", "Expect:100-continue",
		"X-Forwarded-For:1.2.3.4", "x-forwarded-port:1", "X_Forwarded_For:1.2.3.4", "X-Forwarded-Host:evil", "X-Forwarded-Proto:https", "Forwarded:for=1.2.3.4",
		"X-Real-IP:1.2.3.4", "X_Real_IP:1.2.3.4", "True-Client-IP:1.2.3.4", "CF-Connecting-IP:1.2.3.4", "X-Client-IP:1.2.3.4", "X-Cluster-Client-IP:1",
		"名:no colon counts"[len("名"):], ":no name", "no colon"))
	want := http.Header{
		"X-Custom": {"a b", "c"}, "Empty": {""}, "Accept": {"*/*"}, "Cookie": {"a=1; b=2"}, "Authorization": {"Bearer x:y"},
		"X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Port": {"54321"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if host != s.Listener.Addr().String() {
		t.Errorf("host %s", host)
	}
	p.do(get(s.URL, "User-Agent:phone/1.0", "Accept-Encoding:br"))
	if got.Get("User-Agent") != "phone/1.0" || got.Get("Accept-Encoding") != "br" {
		t.Errorf("got %v", got)
	}
}

// What could add a header or a request is refused before anything is sent.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a malformed request was sent") })
	p := through(t, s.URL)
	for _, uri := range []string{
		"", s.URL + "/\r\nX: y", s.URL + "/\n", s.URL + "/\x00", s.URL + "\t", "\x7f" + s.URL, s.URL + "/%\x1f",
	} {
		p.want(get(uri), http.StatusBadRequest, exporter.ProxyBadRequest)
	}
	for _, uri := range []string{
		"/no-host", "//127.0.0.1/x", "http://", "http:///x", "http:opaque", "ftp://127.0.0.1/", "file:///etc/passwd", s.URL + "/space in uri", s.URL + "/%zz",
		"http://127.0.0.1:0/", "http://127.0.0.1:99999/", "http://127.0.0.1:-1/", "http://[::1/", "http://[::1%25lo]/", "http://a..b/", "http://127.1/",
		"http://2130706433/", "http://0x7f000001/", "http://127.0.0.0x1/", "http://①②⑦.0.0.1/", "http://exämple.com/", "http://a%00b/", "javascript:alert(1)",
		"http://" + strings.Repeat("a.", 200) + "com/", "unix:///run/docker.sock", "http://a\\@b/",
	} {
		p.want(get(uri), http.StatusBadGateway, exporter.ProxyBadRequest)
	}
	for _, line := range []string{"A b:c", "A\x00:c", "Ä:c", "A(:c", "A:\x00", "A:b\rc", "A:b\x1b", "A:\x7f", "A\r:c", " A:c"} {
		p.want(get(s.URL, line), http.StatusBadRequest, exporter.ProxyBadRequest)
	}
	many := make([]string, maxRequestHeaders+1)
	for i := range many {
		many[i] = fmt.Sprintf("A%d:x", i)
	}
	p.want(get(s.URL, many...), http.StatusBadRequest, exporter.ProxyBadRequest)
}

func TestNoRule(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request that no rule allows was sent") })
	p := newRig(t, func(o *Options) {
		o.Allow = []string{"https://" + s.Listener.Addr().String()}
		o.AllowPrivate = []string{"127.0.0.0/8"}
	})
	p.want(get(s.URL), http.StatusForbidden, exporter.ProxyRefused)
	p.want(get("http://example.com"), http.StatusForbidden, exporter.ProxyRefused)
}

func TestReadTimeout(t *testing.T) {
	t.Parallel()
	p := newRig(t, func(o *Options) { o.Allow = []string{"http://127.0.0.1"} })
	for value, want := range map[string]time.Duration{
		"": 10 * time.Second, "0": 10 * time.Second, "-5": 10 * time.Second, "x": 10 * time.Second, "1500": 1500 * time.Millisecond,
		"99999999999999999999": 10 * time.Second, "2147483647": time.Minute, " 2000 ": 2 * time.Second, "1e3": 10 * time.Second,
	} {
		_, wish, err := parse(get("http://127.0.0.1", "readTimeout:"+value))
		if got := p.timeout(wish); err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", value, got, err, want)
		}
	}
}

// Two requests that only share a host's name share nothing else.
func TestPortsAndSchemesAreApart(t *testing.T) {
	t.Parallel()
	one := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("one")) })
	two := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("two")) })
	p := through(t, one.URL, two.URL)
	for range 20 {
		if a, b := p.do(get(one.URL)), p.do(get(two.URL)); string(a.Body) != "one" || string(b.Body) != "two" {
			t.Fatalf("%q %q", a.Body, b.Body)
		}
	}
	nobody := "http://" + closedPort(t)
	p = through(t, one.URL, nobody)
	p.do(get(one.URL))
	p.want(get(nobody), http.StatusGatewayTimeout, exporter.ProxyConnect)
}

// A connection is used again.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	conns := make(map[string]bool)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		echo(w, r)
	})
	p := through(t, s.URL)
	for i := range 10 {
		if a := p.do(post(s.URL, fmt.Sprint(i))); !strings.HasSuffix(string(a.Body), fmt.Sprintf("body=%d", i)) {
			t.Fatalf("%q", a.Body)
		}
	}
	if len(conns) != 1 {
		t.Errorf("%d connections", len(conns))
	}
}

// Whatever a device sends, what leaves the node is one request that says no more than
// it may.
func FuzzRequest(f *testing.F) {
	f.Add("http://a.example.com/x?y#z", "readTimeout:1\nA:b\n", byte(1), []byte("body"))
	f.Add("http://A.example.com:80/\r\nX: y", "Host:x\nX_Forwarded_For: 1\r\n\n: \n", byte(0), []byte{})
	f.Add("http://u:p@a.example.com/%2f%zz", "Connection: a, b\nA:\x00", byte(9), []byte(nil))
	f.Fuzz(func(t *testing.T, uri, headers string, method byte, body []byte) {
		r := &Request{HTTPRequest: protocol.HTTPRequest{Method: method, URI: uri, Headers: headers, Body: body}, Device: phone}
		out, _, err := parse(r)
		if err != nil {
			return
		}
		var text strings.Builder
		if err := out.request(t.Context(), false).Write(&text); err != nil {
			t.Fatalf("%q %q: %v", uri, headers, err)
		}
		head, rest, ok := strings.Cut(text.String(), "\r\n\r\n")
		if !ok || rest != string(body) {
			t.Fatalf("%q %q: body %q", uri, headers, rest)
		}
		seen := make(map[string]int)
		for i, line := range strings.Split(head, "\r\n") {
			name, _, _ := strings.Cut(line, ":")
			name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
			if strings.ContainsAny(line, "\r\n\x00") || i == 0 && strings.Count(line, " ") != 2 {
				t.Fatalf("line %q", line)
			}
			seen[name]++
		}
		if seen["host"] != 1 || seen["x-forwarded-for"] != 1 || seen["content-length"] > 1 || seen["transfer-encoding"] > 0 || seen["connection"] > 0 {
			t.Fatalf("%q", head)
		}
		if !strings.Contains(head, "\r\nHost: "+out.to.authority()+"\r\n") {
			t.Fatalf("%q goes to %v", head, out.to)
		}
	})
}
