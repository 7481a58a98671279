package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/proxy"
)

// tell answers with what arrived, without a date, so that the answer's bytes are known.
func tell(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header()["Date"] = nil
	w.Header().Set("Content-Type", "text/x")
	fmt.Fprintf(w, "%s %s %s for=%s port=%s timeout=%q custom=%s", r.Method, r.RequestURI, body,
		r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Port"), r.Header["Readtimeout"], r.Header.Get("X-Custom"))
}

// Check 60.
func TestCompatHTTPProxy(t *testing.T) {
	t.Parallel()
	url := destination(t, tell)
	n := proxyNode(t, nil, url)
	w := device(t, n, "dev-1", "android", "")
	_, port, _ := net.SplitHostPort(w.nc.LocalAddr().String())
	for i, method := range []string{"GET", "POST", "PUT", "DELETE", "GET"} {
		session := uint32(7 + i)
		w.askHTTP(session, byte(i), url+"/x?q=1", "readTimeout:10000\nX-Custom:v\nX-Forwarded-For:1.2.3.4\n", "你好")
		body := fmt.Sprintf("%s /x?q=1 你好 for=127.0.0.1 port=%s timeout=[] custom=v", method, port)
		headers := fmt.Sprintf("content-length:%d\nContent-Type:text/x\n", len(body))
		if got := w.wantSealed(12, 1, answerBody(200, "OK", headers, body)); got != session {
			t.Errorf("answer to %d, want %d", got, session)
		}
	}
	w.send(raw(12, 0, 20, httpBody(0, url+"/clear", "", ""))) // clear requests are taken in every state
	if m, id := w.httpAnswer(); id != 20 || !strings.HasPrefix(string(m.Body), "GET /clear") {
		t.Errorf("%d %q", id, m.Body)
	}
	w.wantQuiet()
}

// Check 60: a long answer is compressed, then encrypted.
func TestCompatHTTPProxyCompresses(t *testing.T) {
	t.Parallel()
	url := destination(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("z", 200_000)) })
	w := device(t, proxyNode(t, nil, url), "dev-1", "android", "")
	w.askHTTP(9, 0, url, "", "")
	frame := w.next()
	if len(frame) > 600 || frame[7] != 3 {
		t.Errorf("%d bytes, flags %d", len(frame), frame[7])
	}
}

// Check 61: the node's own answers, one for each request.
func TestCompatHTTPProxyOwnAnswers(t *testing.T) {
	t.Parallel()
	slow := destination(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	drop := destination(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	nobody := "http://" + unused(t)
	w := device(t, proxyNode(t, nil, slow, drop, nobody), "dev-1", "android", "")
	for i, c := range []struct {
		uri    string
		status uint32
	}{
		{slow, 408}, {drop, 502}, {nobody, 504}, {"", 400}, {"/no-host", 502}, {slow + "/a b", 502}, {"http://example.org/", 403}, {slow + "/\r\nA: b", 400},
	} {
		session := uint32(30 + i)
		w.askHTTP(session, 0, c.uri, "readTimeout:200\n", "")
		w.wantOwn(session, c.status)
		w.wantQuiet()
	}
	w.askHTTP(50, 0, slow, "A:b\x00c\n", "")
	w.wantOwn(50, 400)
	want := unhex(t, "00000015 0c 0000 00 00000033 00 000001f6 000b 42616420476174657761790000 0000")
	w.askHTTP(0x33, 0, "relative", "", "")
	w.want(want)
}

// unused is an address where nothing listens.
func unused(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Check 61: five redirects are followed, the sixth is the answer.
func TestCompatHTTPProxyRedirects(t *testing.T) {
	t.Parallel()
	url := destination(t, func(w http.ResponseWriter, r *http.Request) {
		var left int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &left); err == nil && left > 0 {
			w.Header().Set("Location", fmt.Sprintf("/%d", left-1))
			w.WriteHeader(http.StatusFound)
			return
		}
		fmt.Fprint(w, r.Method, " arrived")
	})
	w := device(t, proxyNode(t, nil, url), "dev-1", "android", "")
	w.askHTTP(1, 0, url+"/5", "", "")
	w.wantHTTP(1, 200, "GET arrived")
	w.askHTTP(2, 0, url+"/6", "", "")
	if headers := w.wantHTTP(2, 302, ""); !strings.Contains(headers, "Location:/0\n") {
		t.Errorf("headers %q", headers)
	}
}

// Check 62: a connection belongs to a scheme, a host and a port, and a redirected
// request leaves nothing behind on it.
func TestCompatHTTPProxyKeepsRequestsApart(t *testing.T) {
	t.Parallel()
	one := destination(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "/after")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, "one ", r.URL)
	})
	two := destination(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "two ", r.URL) })
	nobody := "http://" + unused(t)
	n := proxyNode(t, nil, one, two, nobody)
	w, other := device(t, n, "dev-1", "android", ""), device(t, n, "dev-2", "ios", "")
	for i := range uint32(10) {
		w.askHTTP(3*i, 1, one+"/post", "", "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
		w.wantHTTP(3*i, 307, "")
		other.askHTTP(i, 0, one+"/mine", "", "")
		other.wantHTTP(i, 200, "one /mine")
		w.askHTTP(3*i+1, 0, two+"/x", "", "")
		w.wantHTTP(3*i+1, 200, "two /x")
		w.askHTTP(3*i+2, 0, nobody+"/x", "", "")
		w.wantOwn(3*i+2, 504)
	}
}

// Check 63: where there is a proxy it serves devices after their handshake only, and
// pages never (58); the answers are those of an MPush server without a proxy.
func TestCompatHTTPProxyRefused(t *testing.T) {
	t.Parallel()
	url := destination(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was made for a stranger") })
	n := proxyNode(t, nil, url)
	for _, body := range [][]byte{httpBody(0, url, "", ""), {0, 0, 32, 'a', 'b', 'c'}, nil} {
		w := wireTo(t, n.DeviceAddress())
		w.send(raw(12, 0, 1, body))
		w.want(raw(10, 0, 1, errorBody(12, 101, "unsupported command")))
		w.wantClosed()
	}
	p := pageTo(t, n)
	p.send(`{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":"d","osName":"web"}}`)
	p.next()
	p.send(`{"cmd":12,"flags":16,"sessionId":2,"body":{"method":0,"uri":"` + url + `"}}`)
	if got := p.next(); !strings.Contains(got, `"code":101`) {
		t.Errorf("a page got %s", got)
	}
	w := device(t, n, "dev-1", "android", "")
	w.send(raw(12, 0, 3, []byte{0, 0, 32, 'a', 'b', 'c'}))
	w.want(raw(10, 0, 3, errorBody(12, 100, "handle message error")))
	w.wantClosed()
}

// Where encryption is the rule a clear request is no request.
func TestHTTPProxyRequiresEncryption(t *testing.T) {
	t.Parallel()
	url := destination(t, tell)
	n := proxyNode(t, func(o *server.Options, _ *proxy.Options) { o.RequireEncryption = true }, url)
	w := device(t, n, "dev-1", "android", "")
	w.askHTTP(1, 0, url, "", "")
	if m, _ := w.httpAnswer(); m.Status != 200 {
		t.Errorf("%+v", m)
	}
	w.send(raw(12, 0, 2, httpBody(0, url, "", "")))
	w.want(raw(10, 0, 2, errorBody(12, 0, "invalid param")))
	w.wantClosed()
}
