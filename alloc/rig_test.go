package alloc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/store"
)

// rig is a started allocator with a real ledger, a real router and real metrics. Its
// client holds every request and answer against docs/openapi.yaml.
type rig struct {
	*Allocator
	t       *testing.T
	roster  *roster
	local   cluster.Local // the node of this process; nil without one
	store   *flakyStore
	ledger  *ledger.Ledger
	metrics *exporter.Metrics
	log     *lines
	client  *http.Client
}

// newRig starts an allocator over nodes, of which the first is that of this process;
// change may change its options.
func newRig(t *testing.T, change func(*Options), nodes ...*scriptedNode) *rig {
	t.Helper()
	r := unstarted(t)
	r.roster.set(nodes...)
	if len(nodes) > 0 {
		r.local = nodes[0]
	}
	return r.run(change)
}

// unstarted is a rig without an allocator.
func unstarted(t *testing.T) *rig { return &rig{t: t, roster: &roster{}, log: &lines{}} }

func (r *rig) run(change func(*Options)) *rig {
	t := r.t
	t.Helper()
	a, err := New(r.options(change))
	if err != nil {
		t.Fatal(err)
	}
	r.Allocator = a
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	r.client = &http.Client{
		Transport:     checked{t, transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		r.stop()
		r.balanced()
	})
	return r
}

func (r *rig) options(change func(*Options)) Options {
	reg := prometheus.NewRegistry()
	r.metrics = exporter.New(reg)
	r.ledger = ledger.New(ledger.Options{Metrics: r.metrics})
	log := logTo(r.log)
	o := Options{
		Listen: "127.0.0.1:0", Router: r.router(log), Ledger: r.ledger, Snapshot: r.metrics.Snapshot,
		Gatherer: reg, Metrics: r.metrics, Logger: log, Version: "test",
	}
	if change != nil {
		change(&o)
	}
	return o
}

// router is one over the nodes of the roster and a store with the routes to them.
func (r *rig) router(log *slog.Logger) *cluster.Router {
	embedded, err := store.Open(store.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.store = &flakyStore{Store: embedded, gateways: make(map[string]string)}
	for _, n := range r.roster.nodes() {
		r.store.gateways[n.Info().ID] = n.Info().Gateway
		for _, route := range n.routes() {
			if _, _, err := embedded.PutRoute(r.t.Context(), route.User, route.Route); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	routing, err := cluster.NewRouter(cluster.RouterOptions{
		Members: r.roster, Local: r.local, Store: r.store, Metrics: r.metrics, Logger: log})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(routing.Close(ctx), embedded.Close()); err != nil {
			r.t.Errorf("close: %v", err)
		}
	})
	return routing
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		r.t.Errorf("stop: %v", err)
	}
}

// balanced holds the books against each other: every test ends with it.
func (r *rig) balanced() {
	books := r.ledger.Books()
	sum := books.InFlight
	for _, n := range books.Ended {
		sum += n
	}
	if sum != books.Accepted {
		r.t.Errorf("books do not balance: %+v", books)
	}
}

func (r *rig) url(path string) string { return "http://" + r.Addr().String() + path }

// do sends a request; headers are pairs of name and value.
func (r *rig) do(method, path, body string, headers ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url(path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

// answer reads a JSON answer with the wanted status.
func (r *rig) answer(res *http.Response, status int) map[string]any {
	r.t.Helper()
	body := r.text(res, status)
	var v map[string]any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		r.t.Fatalf("%v in %s", err, body)
	}
	return v
}

func (r *rig) text(res *http.Response, status int) string {
	r.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != status {
		r.t.Fatalf("%s %s: status %d, want %d: %s", res.Request.Method, res.Request.URL.Path, res.StatusCode, status, body)
	}
	return string(body)
}

func (r *rig) push(body string, status int) map[string]any {
	r.t.Helper()
	return r.answer(r.do("POST", "/api/v1/push", body), status)
}

// refused wants a problem with a status, a code and a field.
func (r *rig) refused(res *http.Response, status int, code, field string) {
	r.t.Helper()
	v := r.answer(res, status)
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		r.t.Errorf("content type %q", got)
	}
	gotField, _ := v["field"].(string)
	if v["code"] != code || gotField != field || v["status"] != float64(status) || v["detail"] == "" {
		r.t.Errorf("got %v, want code %q and field %q", v, code, field)
	}
}

// counted wants the number of answers of a class.
func (r *rig) counted(h exporter.HTTPHandler, status int, want float64) {
	r.t.Helper()
	eventually(r.t, func() bool { return counter(r.metrics.HTTPRequests(h, status)) == want })
}

// ended is how many messages ended so.
func (r *rig) ended(o protocol.Outcome) int64 { return r.ledger.Books().Ended[o] }

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// eventually polls until ok, at most for ten seconds.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	poll, end := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-end:
			t.Fatal("did not happen in ten seconds")
		}
	}
}

func logTo(l *lines) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// lines collects a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func mustURL(path string) *url.URL {
	u, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	return u
}
