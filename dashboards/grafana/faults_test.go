package grafana

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOddAnswers: whatever is at the address, the error says what to do, and nothing
// panics, which the SDK does on some of these.
func TestOddAnswers(t *testing.T) {
	const json, html = "application/json", "text/html; charset=utf-8"
	login := "<!doctype html>\n<html><head><title> Sign in </title></head><body>…</body></html>"
	cases := []struct {
		name       string
		status     int
		kind, body string
		want       string
	}{
		{"login page of a proxy", 200, html, login, "a page titled Sign in"},
		{"another program", 404, "text/plain", "404 page not found\n", "is the URL that of Grafana"},
		{"not Grafana, but JSON", 200, json, `{"status":"ok"}`, "not Grafana"},
		{"redirect to a login", 302, html, "", "redirected to /login"},
		{"proxy without Grafana", 502, html, "<html><title>Bad Gateway</title></html>", "in trouble"},
		{"error without a message", 500, json, `{}`, "HTTP status 500"},
		{"error that is a list", 400, json, `[]`, "HTTP status 400"},
		{"error in other fields", 403, json, `{"title":"Access denied","accessErrorId":"x"}`, "Access denied"},
		{"nothing", 200, json, ``, "not Grafana's API"},
		{"broken JSON", 200, json, `{"version":`, "not Grafana's API"},
		{"null", 200, json, `null`, "not Grafana"},
		{"wrong kind of value", 200, json, `{"version":1}`, "asking which Grafana it is"},
		{"control characters", 400, "text/plain", "a\x1b[31m\nb" + strings.Repeat("x", 2000), "a [31m b"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("Location", "/login")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer h.Close()
			client, err := New(Options{URL: h.URL, Token: token})
			if err != nil {
				t.Fatal(err)
			}
			_, err = publish(t, client, wholePlan())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && (len(err.Error()) > 700 || strings.ContainsAny(err.Error(), "\x1b\n")) {
				t.Errorf("the error is too long or has control characters: %q", err)
			}
		})
	}
}

// answers plays a list of answers to an upload.
type answers func(req *http.Request) (status int, body string)

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	status, body := a(req)
	return &http.Response{
		StatusCode: status, Request: req, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func TestUploadThatGoesWrong(t *testing.T) {
	for name, c := range map[string]struct {
		upload, read string
		want         string
	}{
		"another uid":   {upload: `{"uid":"theirs","url":"/d/theirs/x","status":"success"}`, want: `under the uid "theirs"`},
		"panels lost":   {upload: `{"uid":"u","url":"/d/u/x"}`, read: `{"dashboard":{"panels":[]},"meta":{}}`, want: "0 of its 1 panels"},
		"empty success": {upload: `{}`, want: `under the uid ""`},
		"no dashboard":  {upload: `{"uid":"u"}`, read: `{}`, want: "reading back u"},
		"not an object": {upload: `"ok"`, want: "uploading u"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			client, err := New(Options{URL: "http://grafana.example.org/sub", Transport: answers(func(req *http.Request) (int, string) {
				if !strings.HasPrefix(req.URL.Path, "/sub/api/dashboards/") {
					t.Errorf("asked for %s", req.URL.Path)
				}
				if req.Method == http.MethodPost {
					return 200, c.upload
				}
				if asked++; asked == 1 {
					return 404, `{"message":"Dashboard not found"}`
				}
				return 200, c.read
			})})
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Upload(t.Context(), "u", []byte(`{"uid":"u","title":"t","panels":[{}]}`), "f", "m")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func TestSilenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, err := New(Options{URL: "http://grafana.example.org", Transport: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = client.Version(t.Context())
		if took := time.Since(began); err == nil || took != 30*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestAnswerThatDoesNotEnd(t *testing.T) {
	client, err := New(Options{URL: "http://grafana.example.org", Transport: endless{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
}

type endless struct{}

func (endless) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Request: req, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(spaces{})}, nil
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestPanicsOfTheSDKAreErrors(t *testing.T) {
	c := &Client{}
	if err := c.guard("doing it", func() error { panic("nil pointer") }); err == nil || !strings.Contains(err.Error(), "doing it") {
		t.Error(err)
	}
}

func TestBadURLs(t *testing.T) {
	for _, u := range []string{"", "grafana", "localhost:3000", "ftp://x", "http://", "http://user:secret@x", "://", "http://x\x00"} {
		_, err := New(Options{URL: u})
		if err == nil {
			t.Errorf("%q was taken", u)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the password is in the error: %v", u, err)
		}
	}
}

func TestErrorIsFoundThroughItsWrapping(t *testing.T) {
	client, err := New(Options{URL: "http://x", Transport: answers(func(*http.Request) (int, string) { return 403, `{"message":"no"}` })})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Sources(t.Context())
	var refused *Error
	if !errors.As(err, &refused) || refused.Status != 403 || refused.Message != "no" {
		t.Errorf("got %v", err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"message":"x"}`), true)
	f.Add([]byte("<title>a</TITLE>"), false)
	f.Add([]byte("İ<title>İ</title>"), false)
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		if text := message(body, isJSON); len(text) > maxMessage+3 || strings.ContainsAny(text, "\n\x1b\x00") {
			t.Errorf("%q", text)
		}
	})
}
