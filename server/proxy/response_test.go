package proxy

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
)

func answerWith(t testing.TB, text string) string {
	return serveRaw(t, func(nc net.Conn, _ *http.Request) { _, _ = io.WriteString(nc, text) })
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const close = "Connection: close\r\n"
	for name, c := range map[string]struct {
		raw     string
		status  int32
		reason  string
		headers string
		body    string
	}{
		"reason":           {"HTTP/1.1 200 Fine By Me\r\nContent-Length: 1\r\n\r\nr", 200, "Fine By Me", "content-length:1\n", "r"},
		"no reason":        {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, "Not Found", "content-length:0\n", ""},
		"unknown status":   {"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", 799, "Odd", "content-length:0\n", ""},
		"no content":       {"HTTP/1.1 204 No Content\r\n\r\n", 204, "No Content", "content-length:0\n", ""},
		"until close":      {"HTTP/1.0 200 OK\r\n\r\nall of it", 200, "OK", "content-length:9\n", "all of it"},
		"chunked":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n", 200, "OK", "content-length:3\n", "abc"},
		"continue":         {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "OK", "content-length:2\n", "ok"},
		"hops":             {"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nA: b\r\nContent-Length: 0\r\n\r\n", 200, "OK", "content-length:0\nA:b\n", ""},
		"lists":            {"HTTP/1.1 200 OK\r\nVary: a\r\nvary: b\r\nX-Empty:\r\nset-cookie: a=1\r\nContent-Length: 1\r\nSet-Cookie: b=2\r\nWarning: 1\r\n\r\nm", 200, "OK", "X-Empty:\ncontent-length:1\nVary:a, b\nWarning:1\nSet-Cookie:a=1\nSet-Cookie:b=2\n", "m"},
		"redirect no loc":  {"HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nno", 302, "Found", "content-length:2\n", "no"},
		"redirect no http": {"HTTP/1.1 302 Found\r\nLocation: myapp://done?x=1\r\nContent-Length: 0\r\n\r\n", 302, "Found", "content-length:0\nLocation:myapp://done?x=1\n", ""},
		"redirect broken":  {"HTTP/1.1 301 Moved\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n", 301, "Moved", "content-length:0\nLocation:http://[::1\n", ""},
		"choices":          {"HTTP/1.1 300 Choices\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 300, "Choices", "content-length:0\nLocation:/x\n", ""},
		"use proxy":        {"HTTP/1.1 305 Use Proxy\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n", 305, "Use Proxy", "content-length:0\nLocation:http://10.0.0.1/\n", ""},
		"not modified":     {"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, "Not Modified", "content-length:0\nEtag:x\n", ""},
		"bytes":            {"HTTP/1.1 200 OK\r\nX-Name: \xe5\x90\x8d\r\n" + close + "\r\n\x00\xff", 200, "OK", "content-length:2\nX-Name:\xe5\x90\x8d\n", "\x00\xff"},
	} {
		url := answerWith(t, c.raw)
		p := through(t, url)
		a := p.do(get(url))
		if a.Own || a.Status != c.status || a.Reason != c.reason || a.Headers != c.headers || string(a.Body) != c.body || (a.Body == nil) != (c.body == "") {
			t.Errorf("%s: own %t, %d %q, headers %q, body %q", name, a.Own, a.Status, a.Reason, a.Headers, a.Body)
		}
		p.quiet()
	}
}

func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"nothing":        "",
		"no HTTP":        "SSH-2.0-OpenSSH_9.2\r\n",
		"cut header":     "HTTP/1.1 200 OK\r\nA: b",
		"cut body":       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive",
		"cut chunk":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"two lengths":    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"header too big": "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxResponseHeaderBytes+100) + "\r\n\r\n",
		"switching":      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url := answerWith(t, raw)
			through(t, url).want(get(url), http.StatusBadGateway, exporter.ProxyUpstream)
		})
	}
	url := answerWith(t, "HTTP/1.1 200 OK\r\n"+strings.Repeat("A: b\r\n", maxResponseHeaders+1)+"Content-Length: 0\r\n\r\n")
	through(t, url).want(get(url), http.StatusBadGateway, exporter.ProxyTooLarge)
}

// endless writes until the peer has enough.
func endless(nc net.Conn, head string) {
	_, _ = io.WriteString(nc, head)
	for chunk := bytes.Repeat([]byte("x"), 32<<10); ; {
		if _, err := nc.Write(chunk); err != nil {
			return
		}
	}
}

func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	const most = 100_000
	limited := func(t *testing.T, url string) *rig {
		return newRig(t, func(o *Options) { o.open(url); o.MaxResponse, o.MaxMemory = most, most })
	}
	for name, c := range map[string]struct {
		size   int
		length bool
		ok     bool
	}{
		"at the limit, length": {most, true, true}, "at the limit": {most, false, true},
		"above, length": {most + 1, true, false}, "above": {most + 1, false, false},
		"one chunk": {firstRead, false, true}, "one more": {firstRead + 1, false, true},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.length {
				w.Header().Set("Content-Length", fmt.Sprint(c.size))
			}
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			_, _ = w.Write(bytes.Repeat([]byte("x"), c.size))
		})
		p := limited(t, s.URL)
		if !c.ok {
			p.want(get(s.URL), http.StatusBadGateway, exporter.ProxyTooLarge)
			continue
		}
		if a := p.do(get(s.URL)); len(a.Body) != c.size || a.Status != 200 {
			t.Errorf("%s: %d %s, %d bytes", name, a.Status, a.Reason, len(a.Body))
		}
		p.quiet()
	}
	for _, head := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n"} {
		url := serveRaw(t, func(nc net.Conn, _ *http.Request) { endless(nc, head) })
		limited(t, url).want(get(url), http.StatusBadGateway, exporter.ProxyTooLarge)
	}
}

// A compressed body is passed on as it is: what it unfolds to is never held.
func TestCompressedBodies(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for chunk := make([]byte, 1<<20); bomb.Len() < 8<<10; {
		_, _ = z.Write(chunk)
	}
	_ = z.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Error("an encoding was asked for")
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	a := through(t, s.URL).do(get(s.URL))
	if !bytes.Equal(a.Body, bomb.Bytes()) || header(a, "Content-Encoding")[0] != "gzip" {
		t.Errorf("%d bytes with %q, want %d as they are", len(a.Body), a.Headers, bomb.Len())
	}
}

// All answers under way share the memory.
func TestMemory(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 60_000)) })
	p := newRig(t, func(o *Options) { o.open(s.URL); o.MaxResponse, o.MaxMemory = 100_000, 100_000 })
	call, _ := p.Admit(get(s.URL))
	held := call.Run(t.Context())
	if held.Status != 200 {
		t.Fatalf("%+v", held)
	}
	a := p.do(get(s.URL))
	if !a.Own || a.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", a)
	}
	held.Release()
	held.Release() // does no harm
	if a := p.do(get(s.URL)); a.Status != 200 {
		t.Errorf("%+v", a)
	}
	p.quiet()
}

func TestSlowDestinations(t *testing.T) {
	t.Parallel()
	drip := func(head string) func(net.Conn, *http.Request) {
		return func(nc net.Conn, _ *http.Request) {
			_, _ = io.WriteString(nc, head)
			for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
				if _, err := io.WriteString(nc, "x"); err != nil {
					tick.Stop()
					return
				}
			}
		}
	}
	silent := func(nc net.Conn, _ *http.Request) { _, _ = io.Copy(io.Discard, nc) }
	for name, handler := range map[string]func(net.Conn, *http.Request){
		"silent": silent, "header": drip("HTTP/1.1 200 OK\r\nA: "), "body": drip("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
		"continue": func(nc net.Conn, r *http.Request) {
			_, _ = io.WriteString(nc, "HTTP/1.1 100 Continue\r\n\r\n")
			silent(nc, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serveRaw(t, handler)
			began := time.Now()
			through(t, url).want(get(url, "readTimeout:300"), http.StatusRequestTimeout, exporter.ProxyTimeout)
			if took := time.Since(began); took < 300*time.Millisecond {
				t.Errorf("gave up after %v", took)
			}
		})
	}
}

// A destination that takes no connection is given up after the connect timeout.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	p := newRig(t, func(o *Options) {
		o.Allow, o.Dial, o.ConnectTimeout = []string{"http://8.8.8.8"}, hang, 50*time.Millisecond
	})
	p.want(get("http://8.8.8.8/"), http.StatusGatewayTimeout, exporter.ProxyConnect)
	p.want(get("http://8.8.8.8/", "readTimeout:5"), http.StatusRequestTimeout, exporter.ProxyTimeout)
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	p := newRig(t, func(o *Options) { o.Allow, o.Resolver = []string{"http://a.example.com"}, names{} })
	p.want(get("http://a.example.com/"), http.StatusGatewayTimeout, exporter.ProxyConnect)
	p = newRig(t, func(o *Options) { o.Allow, o.Resolver = []string{"http://a.example.com"}, names{"a.example.com": {}} })
	p.want(get("http://a.example.com/"), http.StatusGatewayTimeout, exporter.ProxyConnect)
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%t %s %s", r.TLS != nil, r.Proto, r.TLS.ServerName)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	trusting := newRig(t, func(o *Options) {
		o.open(s.URL)
		o.Allow = append(o.Allow, "https://example.com", "https://evil.org")
		o.Roots, o.DNSMapping = roots, []string{"example.com=" + s.Listener.Addr().String(), "evil.org=" + s.Listener.Addr().String()}
	})
	if a := trusting.do(get(s.URL)); string(a.Body) != "true HTTP/1.1 " {
		t.Errorf("%+v %q", a, a.Body)
	}
	if a := trusting.do(get("https://example.com/")); string(a.Body) != "true HTTP/1.1 example.com" { // a name of the test certificate
		t.Errorf("%+v %q", a, a.Body)
	}
	trusting.want(get("https://evil.org/"), http.StatusBadGateway, exporter.ProxyUpstream) // another name
	through(t, s.URL).want(get(s.URL), http.StatusBadGateway, exporter.ProxyUpstream)      // an unknown authority
	plain := strings.Replace(s.URL, "https", "http", 1)                                    // no TLS towards a server that wants it
	if a := through(t, plain).do(get(plain)); a.Status != http.StatusBadRequest || a.Own {
		t.Errorf("%+v", a)
	}
	clear := serve(t, echo)
	tls := strings.Replace(clear.URL, "http", "https", 1)
	through(t, tls).want(get(tls), http.StatusBadGateway, exporter.ProxyUpstream)
}
