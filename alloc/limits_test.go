package alloc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
)

// TestLargeBodiesAreRefusedUnread announces a body and sends none of it: an answer
// shows that nobody waited for it.
func TestLargeBodiesAreRefusedUnread(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxBody = 1000 }, newNode("n1"))
	for _, path := range []string{"/api/v1/push", "/push", "/api/v1/users/a/kick", "/"} {
		conn, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n", path)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Request = &http.Request{Method: "POST", URL: mustURL(path)}
		r.refused(res, 413, "body_too_large", "")
		conn.Close()
	}
}

func TestLargeBodiesOfUnknownLength(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxBody = 1000 }, newNode("n1"))
	r.client.Transport = r.client.Transport.(checked).next // the check would learn the length
	chunked := func(n int) *http.Response {
		body := `{"user":"a","content":"` + strings.Repeat("x", n) + `"}`
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url("/api/v1/push"), io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	r.refused(chunked(1000), 413, "body_too_large", "")
	r.answer(chunked(900), 202)
	r.client.CloseIdleConnections()
}

func TestCallsOverTheRateAreRefused(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	r := newRig(t, func(o *Options) { o.Rate, o.Burst, o.Now = 0.25, 2, clock }, newNode("n1"))
	r.answer(r.do("GET", "/api/v1/nodes", ""), 200)
	r.answer(r.do("GET", "/api/v1/nodes", ""), 200)
	for range 3 { // being refused costs nothing
		res := r.do("POST", "/api/v1/push", `{"user":"a","content":"x"}`)
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || s != 4 {
			t.Errorf("Retry-After %q, want 4", res.Header.Get("Retry-After"))
		}
		r.refused(res, 429, "rate_limited", "")
	}
	r.counted(exporter.HandlerPush, 429, 3)
	if books := r.ledger.Books(); books.Accepted != 0 {
		t.Errorf("a refused push was accepted: %+v", books)
	}
	r.text(r.do("GET", "/", ""), 200) // devices are not held up by back ends
	mu.Lock()
	now = now.Add(4 * time.Second)
	mu.Unlock()
	r.answer(r.do("GET", "/api/v1/nodes", ""), 200)
}

func TestWrongTokensDoNotUseUpTheRate(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Rate, o.Burst, o.Tokens = 0.001, 1, []string{"t"} }, newNode("n1"))
	for range 5 {
		r.refused(r.do("GET", "/api/v1/nodes", "", "Authorization", "Bearer x"), 401, "token_invalid", "")
	}
	r.answer(r.do("GET", "/api/v1/nodes", "", "Authorization", "Bearer t"), 200)
}

func TestNegativeRateIsNoBound(t *testing.T) {
	l := newLimits(-1, 1, 1)
	for range 100 {
		if p := l.admit(time.Now()); p != nil {
			t.Fatal(p)
		}
	}
}

func TestRequestsAtATimeAreBounded(t *testing.T) {
	l := newLimits(1, 1, 1)
	for range maxInFlight {
		if p := l.enter(); p != nil {
			t.Fatal(p)
		}
	}
	if p := l.enter(); p == nil || p.Code != "busy" || p.Status != 503 {
		t.Errorf("one more: %v", p)
	}
	for range maxInFlight {
		l.leave()
	}
	l.wait()
}

func TestMemoryForBodiesIsBounded(t *testing.T) {
	l := newLimits(1, 1, 100)
	whole := func() *http.Request {
		return &http.Request{ContentLength: -1, Body: io.NopCloser(strings.NewReader("x"))}
	}
	var nested func(depth int) error
	nested = func(depth int) error {
		if depth == 0 {
			return nil
		}
		return l.read(nil, whole(), func([]byte) error { return nested(depth - 1) })
	}
	if err := nested(maxBodies); err != nil {
		t.Error(err)
	}
	if p, _ := nested(maxBodies + 1).(*problem); p == nil || p.Code != "busy" {
		t.Errorf("one more: %v", p)
	}
	if err := nested(maxBodies); err != nil {
		t.Errorf("after all were read: %v", err)
	}
}

func TestBodyThatBreaksOff(t *testing.T) {
	l := newLimits(1, 1, 100)
	r := &http.Request{ContentLength: 5, Body: io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))}
	err := l.read(nil, r, func([]byte) error { t.Error("used"); return nil })
	if p, _ := err.(*problem); p == nil || p.Code != "body_incomplete" {
		t.Errorf("got %v", err)
	}
}
