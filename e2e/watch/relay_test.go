//go:build linux

package watch

import (
	"bytes"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// relay stands before an HTTP service. It passes everything on until it is told what to
// do to it.
type relay struct {
	target  string // host:port
	done    <-chan struct{}
	forward http.Handler

	mu     sync.Mutex
	faults map[string]trouble // by the name of who made it
	seen   func(path string, body []byte)
	asked  func(query url.Values) // may change what is asked for
}

// trouble is what a relay does; the zero value is nothing.
type trouble struct {
	path   string                   // of requests it is for; empty for all
	drop   bool                     // closes connections
	delay  time.Duration            // before anything is passed on
	status int                      // answers with it instead of passing on
	lines  func(line string) string // changes each line of the answer; "" leaves it out
	add    string                   // lines after the answer's own
}

// newRelay passes requests on to target, host:port, until done is closed.
func newRelay(target string, done <-chan struct{}) *relay {
	r := &relay{target: target, done: done, faults: make(map[string]trouble)}
	r.forward = &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: r.target})
			p.Out.Host = p.In.Host              // an allocator names itself by it
			p.Out.Header.Del("Accept-Encoding") // so that lines are lines
			r.ask(p.Out)
		},
		Transport:      &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		ModifyResponse: r.change,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	return r
}

func (r *relay) ask(q *http.Request) {
	r.mu.Lock()
	asked := r.asked
	r.mu.Unlock()
	if asked != nil {
		query := q.URL.Query()
		asked(query)
		q.URL.RawQuery = query.Encode()
	}
}

// ServeHTTP implements http.Handler.
func (r *relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	for _, f := range r.troubles(q.URL.Path) {
		if f.delay > 0 && !r.wait(q, f.delay) || f.drop {
			panic(http.ErrAbortHandler) // closes the connection
		}
		if f.status != 0 {
			http.Error(w, "the test says so", f.status)
			return
		}
	}
	r.mu.Lock()
	seen := r.seen
	r.mu.Unlock()
	if seen != nil {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		seen(q.URL.Path, body)
		q.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.forward.ServeHTTP(w, q)
}

// wait is false if nobody waits any more.
func (r *relay) wait(q *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.Context().Done():
	case <-r.done:
	}
	return false
}

// change does what happens to an answer.
func (r *relay) change(answer *http.Response) error {
	all := r.troubles(answer.Request.URL.Path)
	if len(all) == 0 {
		return nil
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	for _, f := range all {
		text = f.rewrite(text)
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	answer.ContentLength = int64(len(text))
	answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}

func (f trouble) rewrite(text []byte) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(string(text)) {
		if line == "# EOF\n" { // OpenMetrics has to end with it
			continue
		}
		if f.lines != nil {
			line = f.lines(strings.TrimSuffix(line, "\n"))
			if line == "" {
				continue
			}
			line += "\n"
		}
		b.WriteString(line)
	}
	if f.add != "" {
		b.WriteString(f.add + "\n")
	}
	if bytes.HasSuffix(text, []byte("# EOF\n")) {
		b.WriteString("# EOF\n")
	}
	return b.Bytes()
}

func (r *relay) troubles(path string) (all []trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		if f := r.faults[name]; f.path == "" || f.path == path {
			all = append(all, f)
		}
	}
	return all
}

// fault makes trouble under a name, and heal ends it. Troubles under several names add up,
// in the order of the names.
func (r *relay) fault(name string, f trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[name] = f
}

func (r *relay) heal(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.faults, name)
}

// overhear has f see every request that is passed on.
func (r *relay) overhear(f func(path string, body []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = f
}

// setValue is a rewriting of lines: series whose name and labels begin so get a value of their own.
func setValue(prefix string, value float64) func(string) string {
	return func(line string) string {
		if strings.HasPrefix(line, prefix) {
			if at := strings.LastIndexByte(line, ' '); at > 0 {
				return line[:at+1] + strconv.FormatFloat(value, 'g', -1, 64)
			}
		}
		return line
	}
}

// addValue is the same, with something added to the value.
func addValue(prefix string, more float64) func(string) string {
	return func(line string) string {
		if strings.HasPrefix(line, prefix) {
			if at := strings.LastIndexByte(line, ' '); at > 0 {
				if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
					return line[:at+1] + strconv.FormatFloat(v+more, 'g', -1, 64)
				}
			}
		}
		return line
	}
}

// without is a rewriting that leaves out series whose name and labels begin so.
func without(prefix string) func(string) string {
	return func(line string) string {
		if strings.HasPrefix(line, prefix) {
			return ""
		}
		return line
	}
}
