package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
)

// A thousand requests at once are all answered, with no more connections than allowed.
func TestThousandAtOnce(t *testing.T) {
	t.Parallel()
	var open, most atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := open.Add(1)
		defer open.Add(-1)
		for {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		fmt.Fprint(w, r.URL.Query().Get("n"))
	})
	p := newRig(t, func(o *Options) {
		o.open(s.URL)
		o.PerHost, o.Queue, o.Timeout = 8, 2048, 30*time.Second
	})
	var wait sync.WaitGroup
	for i := range 1000 {
		wait.Go(func() {
			if a := p.do(get(fmt.Sprintf("%s/?n=%d", s.URL, i))); string(a.Body) != fmt.Sprint(i) {
				t.Errorf("%d: %d %s %q", i, a.Status, a.Reason, a.Body)
			}
		})
	}
	wait.Wait()
	p.quiet()
	if most.Load() > 8 {
		t.Errorf("%d at a time", most.Load())
	}
	if n := testutil.ToFloat64(p.metrics.ProxyRequests(exporter.ProxyOK)); n != 1000 {
		t.Errorf("%v counted", n)
	}
	if n := testutil.ToFloat64(p.metrics.ProxyRunning); n != 0 {
		t.Errorf("%v are said to run", n)
	}
}

// gate is a destination that answers when it is opened.
func gate(t *testing.T) (url string, arrived chan struct{}, open func()) {
	arrived = make(chan struct{}, 100)
	closed := make(chan struct{})
	open = sync.OnceFunc(func() { close(closed) })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-closed:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(open)
	return s.URL, arrived, open
}

// One destination that does not answer takes its share of the queue and no more.
func TestOneSlowDestination(t *testing.T) {
	t.Parallel()
	slow, arrived, open := gate(t)
	fast := serve(t, echo)
	p := newRig(t, func(o *Options) {
		o.open(slow)
		o.open(fast.URL)
		o.PerHost, o.Workers, o.Queue = 2, 4, 8
	})
	var wait sync.WaitGroup
	for range 2 + 4 { // as many as run, and half of the queue
		call, answer := p.Admit(get(slow))
		if answer != nil {
			t.Fatalf("%+v", answer)
		}
		wait.Go(func() { call.Run(t.Context()).Release() })
	}
	<-arrived
	<-arrived
	before := testutil.ToFloat64(p.metrics.ProxyRequests(exporter.ProxyOverload))
	if call, answer := p.Admit(get(slow)); call != nil || !answer.Own || answer.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", answer)
	}
	if n := testutil.ToFloat64(p.metrics.ProxyRequests(exporter.ProxyOverload)); n != before+1 {
		t.Errorf("counted %v", n-before)
	}
	if a := p.do(get(fast.URL)); a.Status != 200 {
		t.Errorf("%+v", a)
	}
	open()
	wait.Wait()
	p.quiet()
}

// The queue as a whole is bounded too, over any number of destinations.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	slow, arrived, open := gate(t)
	var hosts []string
	p := newRig(t, func(o *Options) {
		for i := range 8 {
			hosts = append(hosts, fmt.Sprintf("http://h%d.example.com", i))
			o.DNSMapping = append(o.DNSMapping, fmt.Sprintf("h%d.example.com=%s", i, strings.TrimPrefix(slow, "http://")))
		}
		o.Allow, o.Workers, o.Queue, o.PerHost = hosts, 2, 3, 1
	})
	var wait sync.WaitGroup
	for i := range 5 {
		call, answer := p.Admit(get(hosts[i]))
		if answer != nil {
			t.Fatalf("%d: %+v", i, answer)
		}
		wait.Go(func() { call.Run(t.Context()).Release() })
	}
	<-arrived
	<-arrived
	if call, answer := p.Admit(get(hosts[6])); call != nil || answer.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", answer)
	}
	open()
	wait.Wait()
	p.quiet()
}

// A request whose time runs out while it waits is told that there was no room.
func TestWaitingTooLong(t *testing.T) {
	t.Parallel()
	slow, arrived, _ := gate(t)
	p := newRig(t, func(o *Options) { o.open(slow); o.PerHost = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if a := p.doFor(ctx, get(slow)); !a.Gone {
			t.Errorf("%+v", a)
		}
	})
	<-arrived
	call, _ := p.Admit(get(slow, "readTimeout:20"))
	if a := call.Run(t.Context()); !a.Own || a.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v", a)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if a := p.doFor(gone, get(slow)); !a.Gone { // its device left while it waited
		t.Errorf("%+v", a)
	}
	cancel()
	wait.Wait()
	p.quiet()
	for result, want := range map[exporter.ProxyResult]float64{exporter.ProxyOverload: 1, exporter.ProxyGone: 2} {
		if n := testutil.ToFloat64(p.metrics.ProxyRequests(result)); n != want {
			t.Errorf("%v: %v, want %v", result, n, want)
		}
	}
}

// Close ends what runs.
func TestClose(t *testing.T) {
	t.Parallel()
	slow, arrived, _ := gate(t)
	p := newRig(t, func(o *Options) { o.open(slow) })
	done := make(chan *Answer, 1)
	go func() { done <- p.do(get(slow)) }()
	<-arrived
	_ = p.Close()
	if a := <-done; !a.Gone {
		t.Errorf("%+v", a)
	}
	if a := p.do(get(slow)); !a.Gone {
		t.Errorf("%+v", a)
	}
	p.quiet()
}

// Backends serve a host in place of its own address, those that answer are preferred,
// and a connection to one that fell silent is not used any more.
func TestMapping(t *testing.T) {
	t.Parallel()
	var a, b atomic.Int32
	one := serve(t, func(w http.ResponseWriter, r *http.Request) { a.Add(1); fmt.Fprint(w, r.Host, r.URL) })
	two := serve(t, func(http.ResponseWriter, *http.Request) { b.Add(1) })
	p := newRig(t, func(o *Options) {
		o.Allow, o.Resolver = []string{"http://api.example.com:81", "https://old.example.com"}, names{}
		o.DNSMapping = []string{"API.example.com=" + one.Listener.Addr().String(), "api.example.com=" + two.Listener.Addr().String(),
			"api.example.com=" + closedPort(t), "old.example.com=http://" + one.Listener.Addr().String()}
		o.IdlePerHost = 1
	})
	eventually(t, "the dead backend is known", func() bool { return p.mapping["api.example.com"][2].down.Load() })
	for range 60 {
		if answer := p.do(get("http://api.example.com:81/x?y")); answer.Status != 200 || len(answer.Body) > 0 && string(answer.Body) != "api.example.com:81/x?y" {
			t.Fatalf("%+v %q", answer, answer.Body)
		}
		p.transport.CloseIdleConnections()
	}
	if a.Load() == 0 || b.Load() == 0 {
		t.Errorf("%d and %d requests", a.Load(), b.Load())
	}
	if answer := p.do(get("https://old.example.com/x")); string(answer.Body) != "old.example.com/x" { // MPush speaks no TLS
		t.Errorf("%+v %q", answer, answer.Body)
	}
	p.want(get("http://api.example.com/"), http.StatusForbidden, exporter.ProxyRefused) // no rule, backends or not
	two.Close()
	p.checkBackends()
	a.Store(0)
	b.Store(0)
	for range 20 {
		p.do(get("http://api.example.com:81/"))
	}
	if a.Load() != 20 || b.Load() != 0 {
		t.Errorf("%d and %d requests after one backend went", a.Load(), b.Load())
	}
}

// If no backend answers the host's own address, which may be a stranger's, is not tried.
func TestMappingToNobody(t *testing.T) {
	t.Parallel()
	d := dials{}
	p := newRig(t, func(o *Options) {
		o.Allow, o.Resolver, o.Dial = []string{"http://api.example.com"}, names{"api.example.com": {"8.8.8.8"}}, d.dial
		o.DNSMapping = []string{"api.example.com=10.0.0.1"}
	})
	eventually(t, "the backend is known to be dead", func() bool { return p.mapping["api.example.com"][0].down.Load() })
	p.want(get("http://api.example.com/"), http.StatusGatewayTimeout, exporter.ProxyConnect)
	for _, address := range d.all() {
		if address != "10.0.0.1:80" {
			t.Errorf("dialled %s", address)
		}
	}
}

// A backend comes back.
func TestBackendRecovers(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	p := newRig(t, func(o *Options) {
		o.Allow, o.DNSMapping = []string{"http://api.example.com"}, []string{"api.example.com=[fd00::1]:80"}
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			if !up.Load() {
				return nil, fmt.Errorf("down")
			}
			near, far := net.Pipe()
			_ = far.Close()
			return near, nil
		}
	})
	b := p.mapping["api.example.com"][0]
	eventually(t, "the backend is down", b.down.Load)
	up.Store(true)
	p.checkBackends()
	if b.down.Load() {
		t.Error("the backend is still down")
	}
}
