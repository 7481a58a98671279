package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/proxy"
)

// proxyDeviations are where the recorded HTTP proxy is wrong.
var proxyDeviations = []deviation{
	{"14-http-proxy", nil, "HTTP_PROXY flags=1 session=9 ", []string{`HTTP_PROXY flags=1 session=9 200 "OK" ` +
		`"Content-Type:text/plain; charset=utf-8\nServer:vec\nSet-Cookie:a=1\nSet-Cookie:b=2\nX-Empty:\ncontent-length:1\n" "m"`},
		"2.12: Java keeps the last of several cookies; all are sent, the last one last, and its SDK keeps that"},
	{"14-http-proxy", nil, "HTTP_PROXY flags=0 session=14 ", []string{`HTTP_PROXY flags=0 session=14 502 "Bad Gateway" "" ""`},
		"a destination that hangs up is known to have failed; Java waits for the timeout and says 408"},
	{"14-http-proxy", nil, "HTTP_PROXY flags=1 session=17 ", []string{`HTTP_PROXY flags=0 session=17 504 "Gateway Timeout" "" ""`},
		"check 62: nobody listens on that port; Java asked the one on another port of the host"},
	{"14-http-proxy", nil, "HTTP_PROXY flags=0 session=19 502", nil, "2.12: one answer to a request without a URI, not two"},
	{"14-http-proxy", nil, "HTTP_PROXY flags=1 session=21 ", []string{`HTTP_PROXY flags=0 session=21 502 "Bad Gateway" "" ""`},
		"10.3.6: https means TLS, which the destination does not speak; Java drops it silently"},
	{"15-http-proxy-raw", []int{1}, "HTTP_PROXY", []string{unsupportedHTTP, closedByServer},
		"check 63: no device, no proxy; Java serves anybody, and encrypts the answer with its RSA key"},
	{"15-http-proxy-raw", []int{2}, "ERROR", []string{unsupportedHTTP}, "check 63: nothing is decoded for a stranger. Both close"},
}

const unsupportedHTTP = `ERROR flags=0 session=1 HTTP_PROXY 101 "unsupported command" ""`

// notAsked are the recorded requests that the destination no longer gets: those of the
// deviations above.
var notAsked = []string{"/refused", "/tls", "/plain"}

// TestReplayHTTPProxy plays the recorded devices against a node, and compares what the
// destination was asked too.
func TestReplayHTTPProxy(t *testing.T) {
	for _, name := range []string{"14-http-proxy", "15-http-proxy-raw"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, err := loadTranscript(name, 0)
			if err != nil {
				t.Fatal(err)
			}
			var own []deviation
			for _, d := range proxyDeviations {
				if d.transcript == name {
					own = append(own, d)
				}
			}
			for _, unused := range script.deviate(own) {
				t.Errorf("nothing was recorded that this deviates from: %+v", unused)
			}
			d := newRecordedDestination(t)
			r := &replay{t: t, script: script, target: startProxyReplayNode(t, d), ttl: 24 * time.Hour, report: t.Errorf}
			r.run()
			want, got := recordedRequests(t, name), d.requests()
			slices.Sort(want) // two were under way at a time
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("the destination was asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// startProxyReplayNode starts a node that finds the recorded destination where it was.
func startProxyReplayNode(t *testing.T, d *recordedDestination) replayTarget {
	n := proxyNode(t, func(o *server.Options, p *proxy.Options) {
		p.Allow = []string{"http://127.0.0.1:18080", "http://localhost:18080", "http://127.0.0.1:18999", "http://localhost:18999", "https://127.0.0.1:18080"}
		p.Resolver, p.Dial = loopbackNames{}, d.dial
	})
	return replayTarget{Device: n.DeviceAddress()}
}

// loopbackNames has every name on 127.0.0.1.
type loopbackNames struct{}

func (loopbackNames) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// recordedDestination answers as the HTTP server of the recording did.
type recordedDestination struct {
	address string
	mu      sync.Mutex
	seen    []string
}

func newRecordedDestination(t *testing.T) *recordedDestination {
	d := new(recordedDestination)
	s := httptest.NewUnstartedServer(d)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	d.address = s.Listener.Addr().String()
	return d
}

func (d *recordedDestination) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if address != "127.0.0.1:18080" {
		return nil, errors.New(address + ": connection refused")
	}
	return new(net.Dialer).DialContext(ctx, network, d.address)
}

func (d *recordedDestination) requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen
}

// note keeps a request. A GET that finds a kept connection closed is made again on a
// new one, so that the one that is dropped may come twice.
func (d *recordedDestination) note(request string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !strings.Contains(request, "/drop ") || !slices.Contains(d.seen, request) {
		d.seen = append(d.seen, request)
	}
}

// ServeHTTP implements [http.Handler].
func (d *recordedDestination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	header := r.Header.Clone()
	if len(body) > 0 {
		header.Set("Content-Length", fmt.Sprint(len(body)))
	}
	d.note(requestLine(r.Method, "http://"+r.Host+r.RequestURI, header, string(body)))
	h := w.Header()
	h["Date"] = nil
	h.Set("Server", "vec")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	answerRecorded(w, r, string(body))
}

// answerRecorded does what the recording shows for each path.
func answerRecorded(w http.ResponseWriter, r *http.Request, body string) {
	const block = "0123456789abcdef"
	switch r.URL.Path {
	case "/404":
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "nope")
	case "/empty":
		w.WriteHeader(http.StatusNoContent)
	case "/multi":
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Header().Set("X-Empty", "")
		_, _ = io.WriteString(w, "m")
	case "/reason":
		fineByMe(w)
	case "/redirect":
		w.Header().Set("Location", "http://127.0.0.1:18080/target")
		w.WriteHeader(http.StatusFound)
	case "/loop":
		w.Header().Set("Location", "http://127.0.0.1:18080/loop")
		w.WriteHeader(http.StatusFound)
	case "/big9000":
		_, _ = io.WriteString(w, strings.Repeat(block, 9000/16+1)[:9000])
	case "/big12000":
		_, _ = io.WriteString(w, strings.Repeat(block, 12000/16))
	case "/drop":
		panic(http.ErrAbortHandler)
	case "/slow":
		<-r.Context().Done()
	default:
		fmt.Fprintf(w, "%s %s body=%s 你好", r.Method, r.RequestURI, body)
	}
}

// fineByMe writes a reason of its own, which the standard server cannot.
func fineByMe(w http.ResponseWriter) {
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = nc.Close() }()
	_, _ = io.WriteString(nc, "HTTP/1.1 200 Fine By Me\r\nServer: vec\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\nr")
}

// requestLine renders a request so that recorded and live ones can be compared: the
// device's port differs on each run, and the host is in the URL.
func requestLine(method, url string, header http.Header, body string) string {
	var lines []string
	for name, values := range header {
		if name != "X-Forwarded-Port" && name != "Connection" && name != "Host" {
			lines = append(lines, name+": "+strings.Join(values, " | "))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s %s %q %q", method, url, lines, body)
}

// recordedRequests are those that the recorded destination got, but for notAsked.
// Java names the absolute URL in the request line and the host without its port.
func recordedRequests(t *testing.T, name string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "transcripts", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Events []struct {
			From string
			Data json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	for _, e := range recorded.Events {
		if e.From != "local http server received" {
			continue
		}
		var data struct {
			RequestLine string
			Headers     [][2]string
			Body        string
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		line := strings.Fields(data.RequestLine)
		u, err := url.Parse(line[1])
		if err != nil {
			t.Fatal(err)
		}
		header := make(http.Header)
		for _, h := range data.Headers {
			header.Add(h[0], h[1])
		}
		if !slices.Contains(notAsked, u.Path) {
			list = append(list, requestLine(line[0], line[1], header, data.Body))
		}
	}
	return list
}
