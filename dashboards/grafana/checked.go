package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

const (
	maxAnswer  = 32 << 20 // bytes of an answer that are read
	maxMessage = 300      // bytes of an answer that an error repeats
)

// Error is an answer other than success.
type Error struct {
	Status  int    // of HTTP
	Path    string // that was asked
	Message string // as Grafana gives it; may be empty
	Page    bool   // the answer is not from Grafana's API: a page, or a proxy's words
	Moved   string // where a redirect leads
}

// Error says what to do about it.
func (e *Error) Error() string {
	said := fmt.Sprintf("HTTP status %d", e.Status)
	if e.Message != "" {
		said += ", " + e.Message
	}
	switch {
	case e.Moved != "":
		return fmt.Sprintf("%s is redirected to %s (%s); give the URL that Grafana really has", e.Path, e.Moved, said)
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("Grafana does not know the token (%s); make one in its Administration, Service accounts", said)
	case e.Status == http.StatusForbidden:
		return fmt.Sprintf("the token may not do this (%s); its service account needs the role Editor, to list data sources Admin", said)
	case e.Page && e.Status < 300:
		return fmt.Sprintf("%s answers a web page and not Grafana's API (%s); is it the page of a proxy that wants a login?", e.Path, said)
	case e.Page && e.Status == http.StatusNotFound:
		return fmt.Sprintf("nothing is at %s (%s); is the URL that of Grafana, with its sub-path?", e.Path, said)
	case e.Status == http.StatusNotFound:
		return fmt.Sprintf("Grafana has nothing at %s (%s)", e.Path, said)
	case e.Status == http.StatusPreconditionFailed:
		return fmt.Sprintf("Grafana holds something else in its place (%s); rename or remove that, or choose another folder", said)
	case e.Status >= 500:
		return fmt.Sprintf("Grafana, or a proxy before it, is in trouble (%s)", said)
	}
	return "Grafana refused (" + said + ")"
}

// checked makes requests as somebody, and turns every answer that is not success in
// JSON into an error, before the SDK sees it: that one overlooks some status codes, and
// panics on an error without a message.
type checked struct {
	base          http.RoundTripper
	authorization string
}

// RoundTrip implements http.RoundTripper.
func (t *checked) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("User-Agent", "fanfare")
	req.Header.Set("Accept", "application/json")
	if t.authorization != "" {
		req.Header.Set("Authorization", t.authorization)
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	isJSON := saysJSON(resp.Header) && json.Valid(body)
	if resp.StatusCode/100 == 2 && isJSON {
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return resp, nil
	}
	e := &Error{Status: resp.StatusCode, Path: req.URL.Path, Page: !isJSON, Message: message(body, isJSON)}
	if resp.StatusCode/100 == 3 {
		e.Moved = resp.Header.Get("Location")
	}
	return nil, e
}

func saysJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// message finds what an error says; the fields differ between the parts of Grafana.
func message(body []byte, isJSON bool) string {
	if !isJSON {
		return brief(firstWords(string(body)))
	}
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		return ""
	}
	for _, name := range []string{"message", "error", "title", "reason", "messageId"} {
		if text, ok := fields[name].(string); ok && text != "" {
			return brief(text)
		}
	}
	return ""
}

// firstWords is what a page or a text begins with: its title, if it has one.
func firstWords(text string) string {
	lower := strings.ToLower(text)
	if i := strings.Index(lower, "<title>"); i >= 0 && len(lower) == len(text) {
		if n := strings.Index(lower[i:], "</title>"); n >= 0 {
			return "a page titled " + strings.TrimSpace(text[i+len("<title>"):i+n])
		}
	}
	if strings.Contains(lower, "<html") {
		return "a page"
	}
	return text
}

// brief keeps a message on one line and short.
func brief(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r < ' ' || r == utf8.RuneError || r == 0x7f }), " ")
	if len(text) <= maxMessage {
		return text
	}
	end := maxMessage
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
