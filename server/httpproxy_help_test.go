package server_test

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/proxy"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// proxyNode is a node with an HTTP proxy that may reach the given servers on loopback.
func proxyNode(t testing.TB, adjust func(*server.Options, *proxy.Options), urls ...string) *servertest.Node {
	t.Helper()
	return servertest.Start(t, func(o *server.Options) {
		p := proxy.DefaultOptions()
		p.Allow, p.Logger, p.Metrics = urls, o.Logger, o.Metrics
		p.AllowPrivate = []string{"127.0.0.0/8", "::1/128"}
		if adjust != nil {
			adjust(o, &p)
		}
		through, err := proxy.New(p)
		if err == nil {
			err = through.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = through.Close() })
		o.Proxy = through
	})
}

// destination is an HTTP server that devices reach through the node.
func destination(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// httpBody is the clear body of an HTTP request of a device.
func httpBody(method byte, uri, headers, body string) []byte {
	return join([]byte{method}, short(uri), short(headers), short(body))
}

// askHTTP sends an encrypted HTTP request.
func (w *wire) askHTTP(session uint32, method byte, uri, headers, body string) {
	w.t.Helper()
	w.send(raw(12, 1, session, w.seal.AppendEncrypt(nil, httpBody(method, uri, headers, body))))
}

// answerBody is the clear body of an answer; lengths fit 16 bits.
func answerBody(status uint32, reason, headers, body string) []byte {
	return join(binary.BigEndian.AppendUint32(nil, status), short(reason), short(headers), short(body))
}

// wantOwn expects an answer that the node made itself: in clear, without headers and body.
func (w *wire) wantOwn(session, status uint32) {
	w.t.Helper()
	w.want(raw(12, 0, session, answerBody(status, http.StatusText(int(status)), "", "")))
}

// httpAnswer reads an answer of a destination, and the session id of its request.
func (w *wire) httpAnswer() (m protocol.HTTPResponse, session uint32) {
	w.t.Helper()
	frame := w.next()
	var d protocol.Decoder
	p, _, ok, err := d.Next(frame, len(frame))
	if err != nil || !ok || p.Command != protocol.CmdHTTPProxy {
		w.t.Fatalf("the node sent %.200x (%v), want an HTTP answer", frame, err)
	}
	p.Body, err = protocol.Open(nil, &p, w.seal, 64<<20)
	if err == nil {
		err = m.UnmarshalBinary(p.Body)
	}
	if err != nil {
		w.t.Fatalf("HTTP answer %.200x: %v", frame, err)
	}
	return m, uint32(p.SessionID)
}

// wantHTTP expects the answer of a destination with this body and returns its headers.
func (w *wire) wantHTTP(session uint32, status int32, body string) string {
	w.t.Helper()
	m, id := w.httpAnswer()
	if id != session || m.Status != status || !bytes.Equal(m.Body, []byte(body)) {
		w.t.Fatalf("answer %d: %d %s %q, want %d: %d %q", id, m.Status, m.Reason, m.Body, session, status, body)
	}
	return m.Headers
}

// proxied is how many requests ended so.
func proxied(n *servertest.Node, r exporter.ProxyResult) float64 {
	return testutil.ToFloat64(n.Metrics.ProxyRequests(r))
}
