package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestProblems(t *testing.T) {
	long := strings.Repeat("x", 2*maxDetail)
	for _, c := range []struct {
		name, text string
		want       APIError
		message    string
	}{
		{"problem", `{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid_user","detail":"a user is not blank","field":"user"}`,
			APIError{400, "invalid_user", "a user is not blank", "user", 0}, "refused with status 400 invalid_user: a user is not blank (field user)"},
		{"title only", `{"title":"Bad Request"}`, APIError{400, "", "Bad Request", "", 0}, "refused with status 400: Bad Request"},
		{"empty", ``, APIError{Status: 400}, "refused with status 400"},
		{"another program", "<h1>no\x1b[31m\n</h1>", APIError{400, "", "<h1>no [31m </h1>", "", 0}, ""},
		{"long text", long, APIError{400, "", long[:maxDetail], "", 0}, ""},
	} {
		p := api(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			w.Write([]byte(c.text))
		})
		_, err := p.Nodes(t.Context())
		var refused *APIError
		if !errors.As(err, &refused) || *refused != c.want {
			t.Errorf("%s: %+v", c.name, refused)
		} else if c.message != "" && refused.Error() != c.message {
			t.Errorf("%s: text %q", c.name, refused)
		}
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		status     int
		retryAfter string
		tries      int
	}{
		{429, "", 4}, {502, "", 4}, {503, "0", 4}, {504, "", 4},
		{503, "31", 1}, // longer than MaxRetryWait
		{400, "", 1}, {401, "", 1}, {404, "", 1}, {409, "", 1}, {500, "", 1},
	} {
		tries := 0
		p := api(t, func(w http.ResponseWriter, r *http.Request) {
			tries++
			w.Header().Set("Retry-After", c.retryAfter)
			w.WriteHeader(c.status)
		})
		_, err := p.Nodes(t.Context())
		var refused *APIError
		if !errors.As(err, &refused) || refused.Status != c.status || tries != c.tries {
			t.Errorf("%d Retry-After %q: %d tries, %v", c.status, c.retryAfter, tries, err)
		}
		tries = 0
		if _, err := p.Kick(t.Context(), "u"); err == nil || tries != 1 {
			t.Errorf("%d: %d kicks, %v", c.status, tries, err)
		}
		p.o.MaxRetries, tries = -1, 0
		if _, err := p.Nodes(t.Context()); err == nil || tries != 1 {
			t.Errorf("%d: %d tries without retries, %v", c.status, tries, err)
		}
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	tries := 0
	p := api(t, func(w http.ResponseWriter, r *http.Request) {
		tries++
		switch tries {
		case 1:
			panic(http.ErrAbortHandler) // before a byte
		case 2:
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"id":`) // in the middle
		default:
			fmt.Fprint(w, `{"id":"1","outcome":"sent","duplicate":true}`)
		}
	})
	r, err := p.Push(t.Context(), PushRequest{ID: "1", User: "u", Content: []byte("x")})
	if err != nil || tries != 3 || !r.Duplicate {
		t.Errorf("%d tries: %+v, %v", tries, r, err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":         "<html>",
		"wrong type":      `{"nodes":"many"}`,
		"unknown outcome": `{"nodes":[{"since":"yesterday"}]}`,
		"endless":         strings.Repeat(" ", maxAnswer+1),
	} {
		tries := 0
		p := api(t, func(w http.ResponseWriter, r *http.Request) {
			tries++
			w.Write([]byte(text))
		})
		if _, err := p.Nodes(t.Context()); err == nil || tries != 1 || !strings.Contains(err.Error(), "reading the answer") {
			t.Errorf("%s: %d tries, %v", name, tries, err)
		}
	}
	for text, call := range map[string]func(*Pusher) error{
		`{"id":"1","outcome":"eaten"}`:      func(p *Pusher) error { _, err := p.Push(t.Context(), PushRequest{ID: "1"}); return err },
		`{"id":"1","latency_ms":"quickly"}`: func(p *Pusher) error { _, err := p.Message(t.Context(), "1"); return err },
	} {
		if err := call(api(t, func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(text)) })); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "99999999999": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q is %v, want %v", header, got, want)
		}
	}
}

// pipeListener hands connections from a dialer to a server in the same bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// bubbleAPI is a server and its pusher in a bubble of virtual time.
func bubbleAPI(t *testing.T, o PusherOptions, handler http.HandlerFunc) *Pusher {
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	o.URL = "http://alloc.test"
	o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		l.conns <- theirs
		return ours, nil
	}}}
	p, err := NewPusher(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Time
		p := bubbleAPI(t, PusherOptions{}, func(w http.ResponseWriter, r *http.Request) {
			tries = append(tries, time.Now())
			if len(tries) < 3 {
				w.Header().Set("Retry-After", "20")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			fmt.Fprint(w, `{"nodes":[]}`)
		})
		if _, err := p.Nodes(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if wait := tries[i+1].Sub(tries[i]); wait != 20*time.Second {
				t.Errorf("waited %v before try %d", wait, i+2)
			}
		}
	})
}

func TestTriesEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries atomic.Int32
		p := bubbleAPI(t, PusherOptions{TryTimeout: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			tries.Add(1)
			io.Copy(io.Discard, r.Body) // else the server does not see the client leave
			if r.URL.Path == "/api/v1/nodes" {
				w.Header().Set("Retry-After", "20")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			<-r.Context().Done()
		})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var refused *APIError
		if _, err := p.Nodes(ctx); !errors.As(err, &refused) || tries.Load() != 1 || time.Since(start) != 0 {
			t.Errorf("a wait that cannot end in time: %d tries, %v, after %v", tries.Load(), err, time.Since(start))
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		_, err := p.Nodes(ctx)
		if !errors.Is(err, context.Canceled) || !errors.As(err, &refused) || time.Since(start) != 5*time.Second {
			t.Errorf("cancelled while waiting: %v, after %v", err, time.Since(start))
		}
		start = time.Now()
		tries.Store(0)
		if _, err := p.Kick(t.Context(), "u"); !errors.Is(err, context.DeadlineExceeded) || tries.Load() != 1 || time.Since(start) != time.Minute {
			t.Errorf("a try that hangs: %d tries, %v, after %v", tries.Load(), err, time.Since(start))
		}
		start = time.Now()
		p.o.MaxRetries = -1
		_, err = p.Push(t.Context(), PushRequest{User: "u", Content: []byte("x"), Wait: 30 * time.Second})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 90*time.Second {
			t.Errorf("a push that waits: %v, after %v", err, time.Since(start))
		}
	})
}
