package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestParseServers(t *testing.T) {
	for text, want := range map[string][]string{
		"10.0.0.1:3000,10.0.0.2:3000":        {"10.0.0.1:3000", "10.0.0.2:3000"},
		" a:1 ,\n b:2,":                      {"a:1", "b:2"},
		"[::1]:3000":                         {"[::1]:3000"},
		"nonsense,:1,a:,a:1":                 {"a:1"},
		"":                                   nil,
		"<html>not found</html>":             nil,
		strings.Repeat("a:1,", 2*maxServers): slices.Repeat([]string{"a:1"}, maxServers),
	} {
		got, err := parseServers(text)
		if !slices.Equal(got, want) || (want == nil) != errors.Is(err, ErrNoServers) {
			t.Errorf("%.30q: %v, %v", text, got, err)
		}
	}
}

// allocator answers with what the test last said.
type allocator struct {
	mu     sync.Mutex
	status int
	text   string
	asked  int
}

func (a *allocator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	w.WriteHeader(a.status)
	w.Write([]byte(a.text))
}

func (a *allocator) say(status int, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.text = status, text
}

// deadAddress is one that refuses connections.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServersAreTriedInOrder(t *testing.T) {
	n := listen(t, func(_ int, p *peer) { p.shake("s", 180000); p.gone() })
	never := listen(t, func(_ int, p *peer) { p.failf("tried after one succeeded") })
	a := &allocator{status: http.StatusOK, text: deadAddress(t) + "," + n.addr() + "," + never.addr()}
	web := httptest.NewServer(a)
	defer web.Close()
	o := n.options()
	o.Address, o.Allocator = "", web.URL
	if c := dialNode(t, o); c.RemoteAddr().String() != n.addr() {
		t.Errorf("connected to %v", c.RemoteAddr())
	}
	a.say(http.StatusOK, deadAddress(t)+","+deadAddress(t))
	if _, err := Dial(t.Context(), o); err == nil || strings.Count(err.Error(), "connecting to") != 2 {
		t.Errorf("error %v does not name both servers", err)
	}
}

func TestAllocatorFailures(t *testing.T) {
	n := newNode(t, nil)
	a := &allocator{status: http.StatusOK, text: "none"}
	web := httptest.NewServer(a)
	defer web.Close()
	o := n.options()
	o.Address, o.Allocator = "", web.URL
	_, err := Dial(t.Context(), o)
	wantError(t, err, ErrNoServers)
	a.say(http.StatusServiceUnavailable, "a:1")
	if _, err = Dial(t.Context(), o); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("error %v", err)
	}
	for _, bad := range []string{"http://" + deadAddress(t), "://"} {
		o.Allocator = bad
		if _, err = Dial(t.Context(), o); err == nil || !strings.Contains(err.Error(), "allocator") {
			t.Errorf("%s: error %v", bad, err)
		}
	}
}

func TestADeviceAsksTheAllocatorAgainAndRemembers(t *testing.T) {
	arrived := make(chan int, 8)
	n := listen(t, func(i int, p *peer) {
		p.shake("s", 180000)
		arrived <- i
		if i == 2 {
			p.gone()
		}
	})
	a := &allocator{status: http.StatusOK, text: deadAddress(t) + "," + n.addr()}
	web := httptest.NewServer(a)
	defer web.Close()
	o := n.options()
	o.Address, o.Allocator, o.Backoff = "", web.URL, Backoff{Min: time.Millisecond}
	o.OnState = func(s State, _ error) {
		if s == StateConnected { // from now on the last answer has to serve
			a.say(http.StatusInternalServerError, "")
		}
	}
	_, _, stop := run(t, o)
	for want := range 3 {
		if i := <-arrived; i != want {
			t.Errorf("connection %d, want %d", i, want)
		}
	}
	wantError(t, stop(), context.Canceled)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked < 3 {
		t.Errorf("asked %d times for 3 connections", a.asked)
	}
}
