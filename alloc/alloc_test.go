package alloc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestNewRefusesOpenAddresses(t *testing.T) {
	r := unstarted(t)
	for _, listen := range []string{":0", "0.0.0.0:0", "[::]:0"} {
		_, err := New(r.options(func(o *Options) { o.Listen = listen }))
		if err == nil || !strings.Contains(err.Error(), "api.tokens") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line that names api.tokens", listen, err)
		}
		for _, allow := range []func(*Options){
			func(o *Options) { o.Listen, o.Tokens = listen, []string{"t"} },
			func(o *Options) { o.Listen, o.Insecure = listen, true },
		} {
			a, err := New(r.options(allow))
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := unstarted(t)
	for want, change := range map[string]func(*Options){
		"alloc.listen":   func(o *Options) { o.Listen = "127.0.0.1:port" },
		"already in use": func(o *Options) { o.Listen = taken.Addr().String() },
		"api.tokens":     func(o *Options) { o.Tokens = []string{""} },
		"Router":         func(o *Options) { o.Router = nil },
		"Ledger":         func(o *Options) { o.Ledger = nil },
	} {
		if _, err := New(r.options(change)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestStopIsTheEnd(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	r.text(r.do("GET", "/", ""), 200)
	r.stop()
	r.stop() // again
	if err := r.Start(); err == nil {
		t.Error("started again")
	}
	if _, err := net.Dial("tcp", r.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestStopWithoutStart(t *testing.T) {
	r := unstarted(t)
	a, err := New(r.options(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", a.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

// TestStopCutsOff: a peer that never ends its request cannot hold a stop up.
func TestStopCutsOff(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	conn, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { r.limits.mu.Lock(); defer r.limits.mu.Unlock(); return r.limits.running == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context ended", err)
	}
}

func TestTwoInOneProcess(t *testing.T) {
	a, b := newRig(t, nil, newNode("n1")), newRig(t, nil, newNode("n2"))
	same(t, "first", a.text(a.do("GET", "/", ""), 200), "n1.example:3000")
	same(t, "second", b.text(b.do("GET", "/", ""), 200), "n2.example:3000")
}

func TestConnectionsAreBounded(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	r.conns.Store(maxConnections)
	if _, err := http.Get(r.url("/")); err == nil {
		t.Error("one connection too many was served")
	}
	eventually(t, func() bool { return r.conns.Load() == maxConnections })
	r.conns.Store(0)
	r.text(r.do("GET", "/", ""), 200)
}

func TestHandlerInAnotherServer(t *testing.T) {
	r := newRig(t, nil, newNode("n1").online("a"))
	rec := httptest.NewRecorder()
	body := strings.NewReader(`{"user":"a","content":"x","wait":"20s"}`)
	req := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/api/v1/push", body)
	r.Handler().ServeHTTP(rec, req)
	if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"outcome":"sent"`) {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestBrokenAnswerCutsTheConnection: half an answer must not look like a whole one.
func TestBrokenAnswerCutsTheConnection(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	broken := r.chain(route{}, func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(200)
		panic("in the middle")
	})
	server := httptest.NewServer(broken)
	defer server.Close()
	client := server.Client()
	client.Timeout = 20 * time.Second
	if res, err := client.Get(server.URL); err == nil {
		t.Errorf("status %d", res.StatusCode)
	}
	if !strings.Contains(r.log.String(), "in the middle") {
		t.Errorf("log: %s", r.log)
	}
	failing := r.chain(route{}, func(http.ResponseWriter, *http.Request) error { return errors.New("disk on fire") })
	rec := httptest.NewRecorder()
	failing.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "fire") || !strings.Contains(r.log.String(), "disk on fire") {
		t.Errorf("%d %s, log %s", rec.Code, rec.Body, r.log)
	}
}
