package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/proxy"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// turnstile is a destination whose answers wait for release.
type turnstile struct {
	url     string
	waiting atomic.Int32
	left    atomic.Int32 // requests whose device did not wait
	release chan struct{}
}

func newTurnstile(t testing.TB, body []byte) *turnstile {
	s := &turnstile{release: make(chan struct{})}
	s.url = destination(t, func(w http.ResponseWriter, r *http.Request) {
		s.waiting.Add(1)
		defer s.waiting.Add(-1)
		select {
		case <-s.release:
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		case <-r.Context().Done():
			s.left.Add(1)
		}
	})
	return s
}

// A device that waits for answers is served in everything else, and what it asks for
// beyond its share is refused at once.
func TestHTTPProxyDoesNotBlockTheDevice(t *testing.T) {
	t.Parallel()
	s := newTurnstile(t, []byte("done"))
	n := proxyNode(t, func(_ *server.Options, p *proxy.Options) { p.PerConnection = 4; p.Timeout = 30 * time.Second }, s.url)
	w := device(t, n, "dev-1", "android", "alice")
	for i := range uint32(4) {
		w.askHTTP(10+i, 0, s.url, "", "")
	}
	servertest.Eventually(t, "all are under way", func() bool { return s.waiting.Load() == 4 })
	for i := range uint32(3) {
		w.askHTTP(20+i, 0, s.url, "", "")
		w.wantOwn(20+i, 503)
	}
	w.wantQuiet()
	done := n.Send(t, cluster.Push{Content: []byte("news")}, "alice")
	w.wantSealed(15, 1, []byte("news"))
	if r := servertest.Outcome(t, done); r.Outcome != protocol.OutcomeSent {
		t.Errorf("push ended as %v", r.Outcome)
	}
	close(s.release)
	answered := map[uint32]bool{}
	for range 4 {
		m, session := w.httpAnswer()
		answered[session] = m.Status == 200
	}
	for i := range uint32(4) {
		if !answered[10+i] {
			t.Errorf("no answer to %d", 10+i)
		}
	}
	w.askHTTP(30, 0, s.url, "", "")
	w.wantHTTP(30, 200, "done")
	if over, ok := proxied(n, exporter.ProxyOverload), proxied(n, exporter.ProxyOK); over != 3 || ok != 5 {
		t.Errorf("%v refused, %v made", over, ok)
	}
}

// The requests of a device end with its connection.
func TestHTTPProxyEndsWithTheDevice(t *testing.T) {
	t.Parallel()
	s := newTurnstile(t, nil)
	n := proxyNode(t, func(_ *server.Options, p *proxy.Options) { p.PerHost, p.Timeout = 2, 30*time.Second }, s.url)
	w := device(t, n, "dev-1", "android", "")
	for i := range uint32(5) { // two run, three wait
		w.askHTTP(i, 0, s.url, "", "")
	}
	servertest.Eventually(t, "two are under way", func() bool { return s.waiting.Load() == 2 })
	_ = w.nc.Close()
	servertest.Eventually(t, "all have ended", func() bool { return proxied(n, exporter.ProxyGone) == 5 })
	servertest.Eventually(t, "the destination knows", func() bool { return s.left.Load() == 2 })
}

// A node stops at once, whatever destinations do.
func TestHTTPProxyEndsWithTheNode(t *testing.T) {
	t.Parallel()
	s := newTurnstile(t, nil)
	n := proxyNode(t, func(_ *server.Options, p *proxy.Options) { p.Timeout, p.MaxTimeout = time.Minute, time.Minute }, s.url)
	w := device(t, n, "dev-1", "android", "")
	w.askHTTP(1, 0, s.url, "", "")
	servertest.Eventually(t, "it is under way", func() bool { return s.waiting.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if gone := proxied(n, exporter.ProxyGone); gone != 1 {
		t.Errorf("%v requests ended with their device", gone)
	}
}

// Long answers that a device is slow to read neither close its connection nor keep
// pushes from it, and come out whole.
func TestHTTPProxyLongAnswers(t *testing.T) {
	t.Parallel()
	const size, answers = 4 << 20, 4
	body := make([]byte, size)
	_, _ = rand.Read(body)
	s := newTurnstile(t, body)
	n := proxyNode(t, func(o *server.Options, p *proxy.Options) {
		o.Limits.CompressThreshold, p.MaxMemory = 64<<20, answers*size
	}, s.url)
	w := device(t, n, "dev-1", "android", "alice")
	for i := range uint32(answers) {
		w.askHTTP(i, 0, s.url, "", "")
	}
	close(s.release)
	servertest.Eventually(t, "all were fetched", func() bool { return proxied(n, exporter.ProxyOK) == answers })
	w.send(beat, beat)
	n.Send(t, cluster.Push{Content: []byte("news")}, "alice")
	other := device(t, n, "dev-2", "ios", "")
	other.askHTTP(9, 0, s.url, "", "")
	other.wantOwn(9, 503) // the memory is lent to what the first device has not read
	seen := map[string]int{}
	for seen["answer"] < answers || seen["beat"] < 2 || seen["push"] < 1 {
		frame := w.next()
		switch {
		case len(frame) == 1:
			seen["beat"]++
		case frame[4] == 15:
			seen["push"]++
		default:
			w.checkAnswer(frame, body)
			seen["answer"]++
		}
	}
	w.wantQuiet()
	servertest.Eventually(t, "the memory is free", func() bool {
		other.askHTTP(10, 0, s.url, "", "")
		m, _ := other.httpAnswer()
		return m.Status == 200
	})
}

func (w *wire) checkAnswer(frame, body []byte) {
	w.t.Helper()
	plain, err := w.seal.AppendDecrypt(nil, frame[protocol.HeaderSize:])
	var m protocol.HTTPResponse
	if err == nil {
		err = m.UnmarshalBinary(plain)
	}
	if err != nil || !bytes.Equal(m.Body, body) {
		w.t.Fatalf("answer with %d bytes: %v", len(m.Body), err)
	}
}

// A device that goes without reading gives back what was lent to its answers.
func TestHTTPProxyForgetsUnreadAnswers(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	body := make([]byte, size)
	_, _ = rand.Read(body)
	s := newTurnstile(t, body)
	close(s.release)
	n := proxyNode(t, func(o *server.Options, p *proxy.Options) {
		o.Limits.CompressThreshold, p.MaxMemory, p.MaxResponse = 64<<20, 3*size, size
	}, s.url)
	probe := device(t, n, "dev-2", "ios", "")
	for range 4 { // each could keep three answers, and the last of all memory
		w := device(t, n, "dev-1", "android", "")
		before := proxied(n, exporter.ProxyOK)
		for i := range uint32(3) {
			w.askHTTP(i, 0, s.url, "", "")
		}
		servertest.Eventually(t, "answers wait", func() bool { return proxied(n, exporter.ProxyOK) > before })
		_ = w.nc.Close()
		servertest.Eventually(t, "there is memory", func() bool {
			probe.askHTTP(10, 0, s.url, "", "")
			m, _ := probe.httpAnswer()
			return m.Status == 200
		})
	}
}

// An answer goes to the device that asked and to no other.
func TestHTTPProxyAnswersWhoAsked(t *testing.T) {
	t.Parallel()
	s := newTurnstile(t, []byte("secret"))
	n := proxyNode(t, nil, s.url)
	w := device(t, n, "dev-1", "android", "")
	w.askHTTP(5, 0, s.url, "", "")
	servertest.Eventually(t, "it is under way", func() bool { return s.waiting.Load() == 1 })
	w.send(raw(2, 1, 6, sealedForNode(t, newGreeting(t, "dev-2", "android").body())))
	w.wantWelcome(newGreeting(t, "dev-2", "android"), 6)
	close(s.release)
	servertest.Eventually(t, "it was fetched", func() bool { return proxied(n, exporter.ProxyOK) == 1 })
	w.askHTTP(7, 0, s.url, "", "")
	w.wantHTTP(7, 200, "secret")
}
