package alloc

import (
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/exporter"
)

func TestTokensOpenTheAPI(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Tokens = []string{"first-token", "second-token"} }, newNode("n1"))
	for _, c := range []struct {
		header, code string
	}{
		{"", "token_missing"},
		{"Bearer", "token_missing"},
		{"Bearer ", "token_missing"},
		{"Basic first-token", "token_missing"},
		{"Bearer first-toke", "token_invalid"},
		{"Bearer first-token2", "token_invalid"},
		{"Bearer first-token,second-token", "token_invalid"},
	} {
		res := r.do("GET", "/api/v1/nodes", "", "Authorization", c.header)
		if !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Error("no WWW-Authenticate")
		}
		r.refused(res, 401, c.code, "")
	}
	for _, header := range []string{"Bearer first-token", "bearer second-token"} {
		r.answer(r.do("GET", "/api/v1/nodes", "", "Authorization", header), 200)
	}
	r.counted(exporter.HandlerNodes, 401, 7)
	r.counted(exporter.HandlerNodes, 200, 2)
}

func TestWhatNeedsAToken(t *testing.T) {
	n := newNode("n1").online("a")
	r := newRig(t, func(o *Options) { o.Tokens = []string{"secret-token"} }, n)
	for _, call := range []string{
		"POST /api/v1/push", "GET /api/v1/messages/x", "POST /api/v1/messages/x/cancel", "GET /api/v1/users/a", "POST /api/v1/users/a/kick",
		"GET /api/v1/nodes", "POST /api/v1/nodes/n1/drain", "GET /api/v1/events", "POST /push", "POST /push/x",
		"POST /pushes", "GET /api/v1/nothing", "GET /api/", "DELETE /api/v1/push",
	} {
		method, path, _ := strings.Cut(call, " ")
		r.refused(r.do(method, path, ""), 401, "token_missing", "")
	}
	for _, path := range []string{"/", "/any", "/html", "/index.html", "/sd/prometheus", "/metrics", "/-/healthy", "/-/ready"} {
		r.text(r.do("GET", path, ""), 200)
	}
	n.none(t)
	if strings.Contains(r.log.String(), "secret-token") {
		t.Error("the token is in the log")
	}
}

// TestBrowsersCannotReachALocalAPI is about pages that a person on this machine
// has open: without tokens only the Host and the Origin tell them from programs.
func TestBrowsersCannotReachALocalAPI(t *testing.T) {
	n := newNode("n1").online("a")
	r := newRig(t, nil, n)
	own := "http://" + r.Addr().String()
	push := `{"user":"a","content":"x"}`
	for _, host := range []string{"evil.example", "evil.example:9999", "localhost.evil.example", "192.0.2.1:9999", "[2001:db8::1]:9999"} {
		r.refused(r.do("GET", "/api/v1/nodes", "", "Host", host), 403, "foreign_host", "")
		r.refused(r.do("POST", "/api/v1/push", push, "Host", host), 403, "foreign_host", "")
		r.refused(r.do("POST", "/push", `{"userId":"a"}`, "Host", host), 403, "foreign_host", "")
	}
	for _, headers := range [][]string{
		{"Origin", "http://evil.example"},
		{"Origin", "null"},
		{"Origin", "http://localhost:1"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
	} {
		r.refused(r.do("POST", "/api/v1/push", push, headers...), 403, "foreign_origin", "")
		r.refused(r.do("POST", "/push", `{"userId":"a"}`, headers...), 403, "foreign_origin", "")
		r.answer(r.do("GET", "/api/v1/nodes", "", headers...), 200) // the browser keeps it from the page
	}
	n.none(t)
	for _, headers := range [][]string{
		{},
		{"Origin", own},
		{"Origin", own, "Sec-Fetch-Site", "same-origin"},
		{"Host", "localhost:9999"},
		{"Host", "LOCALHOST"},
		{"Host", "[::1]:9999"},
		{"Host", "127.5.5.5"},
		{"Host", "[::1]"},
	} {
		r.pushed(push, headers...)
	}
}

func (r *rig) pushed(body string, headers ...string) {
	r.t.Helper()
	r.answer(r.do("POST", "/api/v1/push", body, headers...), 202)
}

// TestProxiesDoNotOpenALocalAPI: many a proxy asks for the host that it was given,
// which is this machine, and serves the whole network.
func TestProxiesDoNotOpenALocalAPI(t *testing.T) {
	n := newNode("n1").online("a")
	r := newRig(t, nil, n)
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		r.refused(r.do("GET", "/api/v1/nodes", "", header, "192.0.2.1"), 403, "foreign_host", "")
		r.refused(r.do("POST", "/push", `{"userId":"a"}`, header, "for=192.0.2.1"), 403, "foreign_host", "")
		r.text(r.do("GET", "/", "", header, "192.0.2.1"), 200)
	}
	n.none(t)
}

// TestOnlyTheAPILooksAtTheHost: devices and Prometheus may use any name.
func TestOnlyTheAPILooksAtTheHost(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	for _, path := range []string{"/", "/sd/prometheus", "/metrics", "/-/ready", "/html"} {
		r.text(r.do("GET", path, "", "Host", "push.example.com"), 200)
	}
}

func TestInsecureTakesAnyHost(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Insecure = true }, newNode("n1"))
	r.pushed(`{"user":"a","content":"x"}`, "Host", "push.example.com")
	r.refused(r.do("POST", "/api/v1/push", "{}", "Host", "push.example.com", "Origin", "https://evil.example"), 403, "foreign_origin", "")
}

func TestTokensThatCannotWork(t *testing.T) {
	for _, token := range []string{"", " ", "two words", "line\n"} {
		if _, err := newGuard([]string{"good", token}, false); err == nil || !strings.Contains(err.Error(), "api.tokens: entry 2") {
			t.Errorf("token %q: %v", token, err)
		}
	}
}
