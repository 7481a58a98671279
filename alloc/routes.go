package alloc

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/fanfare-push/fanfare/alloc/console"
	"github.com/fanfare-push/fanfare/exporter"
)

// call serves one kind of request; a *problem as its error becomes the answer.
type call func(w http.ResponseWriter, r *http.Request) error

// route is a documented path with one of its methods.
type route struct {
	method, path string
	name         exporter.HTTPHandler
	guarded      bool // needs a token, or a caller on this machine
	serve        call
}

// table lists every call of the API and MPush's demo push, as docs/openapi.yaml
// has them. HEAD is served wherever GET is.
func (a *Allocator) table() []route {
	metrics := plain(exporter.Handler(a.options.Gatherer, a.log))
	page := plain(console.Handler())
	return []route{
		{"POST", "/api/v1/push", exporter.HandlerPush, true, a.servePush},
		{"GET", "/api/v1/messages/{id}", exporter.HandlerMessages, true, a.serveMessage},
		{"POST", "/api/v1/messages/{id}/cancel", exporter.HandlerCancel, true, a.serveCancel},
		{"GET", "/api/v1/users/{user}", exporter.HandlerUsers, true, a.serveUser},
		{"POST", "/api/v1/users/{user}/kick", exporter.HandlerKick, true, a.serveKick},
		{"GET", "/api/v1/nodes", exporter.HandlerNodes, true, a.serveNodes},
		{"POST", "/api/v1/nodes/{id}/drain", exporter.HandlerDrain, true, a.serveDrain},
		{"GET", "/api/v1/events", exporter.HandlerEvents, true, a.serveEvents},
		{"POST", "/push", exporter.HandlerDemoPush, true, a.serveDemoPush},
		{"GET", "/sd/prometheus", exporter.HandlerSD, false, a.serveDiscovery},
		{"GET", "/metrics", exporter.HandlerOther, false, metrics},
		{"GET", "/-/healthy", exporter.HandlerOther, false, a.serveHealthy},
		{"GET", "/-/ready", exporter.HandlerOther, false, a.serveReady},
		{"GET", "/html", exporter.HandlerConsole, false, page},
		{"GET", "/index.html", exporter.HandlerConsole, false, page},
		{"GET", "/console/{asset...}", exporter.HandlerConsole, false, page},
	}
}

func plain(h http.Handler) call {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// routes joins the table with what answers everything else: a problem under
// /api/, the list of nodes anywhere else, as MPush's allocator does.
func (a *Allocator) routes() http.Handler {
	mux := http.NewServeMux()
	byPath := make(map[string][]route)
	for _, r := range a.table() {
		byPath[r.path] = append(byPath[r.path], r)
	}
	// In MPush the demo push has every path that begins with /push.
	demo := a.chain(byPath["/push"][0], byMethod(byPath["/push"]))
	delete(byPath, "/push")
	for path, routes := range byPath {
		mux.Handle(path, a.chain(routes[0], byMethod(routes)))
	}
	unknown := route{name: exporter.HandlerOther, guarded: true}
	mux.Handle("/api/", a.chain(unknown, func(_ http.ResponseWriter, r *http.Request) error {
		return refuse(http.StatusNotFound, "not_found", "there is nothing at %s", clip(r.URL.Path))
	}))
	mux.Handle("/", a.chain(route{name: exporter.HandlerServers}, a.serveServers))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/push") {
			demo.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func byMethod(routes []route) call {
	calls := make(map[string]call)
	allowed := []string{}
	for _, r := range routes {
		calls[r.method] = r.serve
		allowed = append(allowed, r.method)
		if r.method == http.MethodGet {
			calls[http.MethodHead] = r.serve
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return func(w http.ResponseWriter, r *http.Request) error {
		if serve, ok := calls[r.Method]; ok {
			return serve(w, r)
		}
		p := refuse(http.StatusMethodNotAllowed, "method_not_allowed", "%s is not possible here", clip(r.Method))
		p.allow = strings.Join(allowed, ", ")
		return p
	}
}

// chain puts before a call what all requests go through: bounds, credentials,
// and the end of every request in a counter.
func (a *Allocator) chain(rt route, serve call) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		defer func() { a.options.Metrics.HTTPRequests(rt.name, rec.statusOr200()).Inc() }()
		rec.Header().Set("Server", "fanfare/"+a.options.Version)
		if p := a.limits.enter(); p != nil {
			p.write(rec)
			return
		}
		defer a.limits.leave()
		defer a.recovered(rec, r)
		if p := a.admit(rt, r); p != nil {
			p.write(rec)
			return
		}
		a.finish(rec, r, serve(rec, r))
	})
}

// admit decides whether a request may go on; nothing of its body was read yet.
func (a *Allocator) admit(rt route, r *http.Request) *problem {
	if rt.guarded {
		if p := a.guard.check(r); p != nil {
			return p
		}
		if p := a.limits.admit(a.options.Now()); p != nil {
			return p
		}
	}
	return a.limits.checkLength(r)
}

// finish answers with the error of a call.
func (a *Allocator) finish(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		return
	}
	p := new(problem)
	if !errors.As(err, &p) {
		a.log.Error("could not serve a request", "method", r.Method, "path", r.URL.Path, "err", err)
		p = refuse(http.StatusInternalServerError, "internal", "the allocator's log says what went wrong")
	}
	p.write(w)
}

// recovered turns a panic of a call into a 500 and one log line. If the answer
// has begun the connection is cut, so that the peer cannot take it for whole.
func (a *Allocator) recovered(rec *recorder, r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault == http.ErrAbortHandler { // the value itself is what net/http looks for
		panic(fault)
	}
	a.log.Error("panic while serving a request", "method", r.Method, "path", r.URL.Path,
		"panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
	if rec.status != 0 {
		panic(http.ErrAbortHandler)
	}
	refuse(http.StatusInternalServerError, "internal", "the allocator's log says what went wrong").write(rec)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the header is written
}

// WriteHeader notes the first final status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write is a 200 unless WriteHeader said otherwise.
func (r *recorder) Write(b []byte) (int, error) {
	r.status = r.statusOr200()
	return r.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) statusOr200() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
