package alloc

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// problem is an error answer of the API: an RFC 9457 document with a code that
// programs may rely on. It is an error, so that handlers can return it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"`

	retryAfter time.Duration // sent as Retry-After in whole seconds, rounded up; 0 = not sent
	allow      string        // sent as Allow with 405
}

// Error is the problem in one line.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// refuse makes a problem. The code is part of the API, the detail is for people.
func refuse(status int, code, format string, args ...any) *problem {
	return &problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: code, Detail: fmt.Sprintf(format, args...),
	}
}

// invalid is a 400 that names the field of the request it is about; field is
// empty when it is about the body as a whole.
func invalid(field, code, format string, args ...any) *problem {
	p := refuse(http.StatusBadRequest, code, format, args...)
	p.Field = field
	return p
}

// unknownMembership is the answer while nobody knows the nodes of the cluster.
func unknownMembership() *problem {
	p := refuse(http.StatusServiceUnavailable, "membership_unknown", "the nodes of the cluster are not known yet")
	p.retryAfter = time.Second
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="fanfare"`)
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // or the server would wait for the body before it answers
	}
	writeBody(w, p.Status, "application/problem+json", p)
}

// writeJSON answers with v. It fails only if v cannot be marshalled, which no
// answer of this package can cause.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	writeBody(w, status, "application/json", v)
	return nil
}

func writeBody(w http.ResponseWriter, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("marshal %T: %v", v, err)) // becomes a 500 and a log line
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the peer may be gone; the server closes the connection then
}
