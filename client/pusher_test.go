package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/protocol"
)

// api serves one handler and returns a pusher of it that does not wait long
// between tries.
func api(t *testing.T, handler http.HandlerFunc) *Pusher {
	t.Helper()
	web := httptest.NewServer(handler)
	t.Cleanup(web.Close)
	p, err := NewPusher(PusherOptions{URL: web.URL + "/", Token: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	p.backoff = Backoff{Min: time.Millisecond, Max: 2 * time.Millisecond}
	return p
}

// answer serves one answer and records the request.
func answer(t *testing.T, status int, text string, got *http.Request, body *string) *Pusher {
	return api(t, func(w http.ResponseWriter, r *http.Request) {
		read, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*got, *body = *r, string(read)
		w.WriteHeader(status)
		io.WriteString(w, text)
	})
}

func TestPusherOptions(t *testing.T) {
	for _, bad := range []PusherOptions{
		{}, {URL: "127.0.0.1:9999"}, {URL: "ftp://a"}, {URL: "http://"}, {URL: "http://user:hunter2@a b"},
		{URL: "http://a/?q"}, {URL: "http://a/#f"}, {URL: "http://a", TryTimeout: -1}, {URL: "http://a", MaxRetryWait: -1},
	} {
		_, err := NewPusher(bad)
		var option *OptionError
		if !errors.As(err, &option) {
			t.Errorf("%+v: error %v", bad, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestPushRequestBodies(t *testing.T) {
	for _, c := range []struct {
		r    PushRequest
		want string
	}{
		{PushRequest{ID: "1", User: "u", Content: []byte("hi")}, `{"id":"1","user":"u","content":"hi"}`},
		{PushRequest{ID: "1", Users: []string{"a", "b"}, Content: []byte("é")}, `{"id":"1","users":["a","b"],"content":"é"}`},
		{PushRequest{ID: "1", Broadcast: true, Content: []byte{0xff, 0}}, `{"id":"1","broadcast":true,"content_base64":"/wA="}`},
		{
			PushRequest{
				ID: "1", User: "u", Content: []byte("x"), Ack: protocol.AckBiz, TTL: time.Hour, Tags: []string{"vip"},
				Condition: "userId!=null", ClientTypes: []protocol.ClientType{protocol.ClientWeb, protocol.ClientUnknown}, Wait: 3 * time.Second,
			},
			`{"id":"1","user":"u","content":"x","ack":"biz","ttl":"1h0m0s","tags":["vip"],"condition":"userId!=null","client_types":["web","unknown"],"wait":"3s"}`,
		},
		{
			PushRequest{ID: "1", Broadcast: true, Content: []byte("x"), Rate: 500, Task: "spring"},
			`{"id":"1","broadcast":true,"content":"x","rate":500,"task":"spring"}`,
		},
	} {
		var got http.Request
		var body string
		p := answer(t, http.StatusAccepted, `{"id":"1","status":"accepted"}`, &got, &body)
		r, err := p.Push(t.Context(), c.r)
		if err != nil || r.ID != "1" || r.Known() {
			t.Errorf("result %+v, %v", r, err)
		}
		if body != c.want {
			t.Errorf("sent %s\nwant %s", body, c.want)
		}
		if got.Method != "POST" || got.URL.Path != "/api/v1/push" || got.Header.Get("Authorization") != "Bearer s3cret" ||
			got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v", got.Method, got.URL, got.Header)
		}
	}
}

func TestPushResults(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  PushResult
		known bool
	}{
		{`{"id":"1","status":"accepted"}`, PushResult{ID: "1"}, false},
		{`{"id":"1","status":"accepted","duplicate":true}`, PushResult{ID: "1", Duplicate: true}, false},
		{`{"id":"1","outcome":"acked","node":"n1","latency_ms":1.5}`, PushResult{ID: "1", Outcome: protocol.OutcomeAcked, Node: "n1", Latency: 1500 * time.Microsecond}, true},
		{`{"id":"1","outcome":"offline","node":"n1","latency_ms":null}`, PushResult{ID: "1", Outcome: protocol.OutcomeOffline, Node: "n1"}, true},
		{
			`{"id":"1","targets":3,"outcomes":{"sent":2,"offline":1},"deliveries":{"sent":4},"latency_ms":2}`,
			PushResult{
				ID: "1", Targets: 3, Outcomes: map[protocol.Outcome]int{protocol.OutcomeSent: 2, protocol.OutcomeOffline: 1},
				Deliveries: map[protocol.Outcome]int{protocol.OutcomeSent: 4}, Latency: 2 * time.Millisecond,
			},
			true,
		},
		{
			`{"id":"1","targets":1,"outcomes":{"sent":1},"deliveries":{"sent":4},"nodes":[{"node":"n1","outcome":"sent","deliveries":{"sent":4}}],"latency_ms":2}`,
			PushResult{
				ID: "1", Targets: 1, Outcomes: map[protocol.Outcome]int{protocol.OutcomeSent: 1},
				Deliveries: map[protocol.Outcome]int{protocol.OutcomeSent: 4}, Latency: 2 * time.Millisecond,
				Nodes: []NodeResult{{"n1", protocol.OutcomeSent, map[protocol.Outcome]int{protocol.OutcomeSent: 4}}},
			},
			true,
		},
	} {
		var got http.Request
		var body string
		r, err := answer(t, http.StatusOK, c.text, &got, &body).Push(t.Context(), PushRequest{ID: "1", User: "u", Content: []byte("x")})
		if err != nil || !reflect.DeepEqual(r, c.want) || r.Known() != c.known {
			t.Errorf("%s\n gives %+v, %v", c.text, r, err)
		}
	}
}

func TestAPushWithoutAnIdGetsOneAndKeepsIt(t *testing.T) {
	var ids []string
	p := api(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ ID string }
		json.NewDecoder(r.Body).Decode(&body)
		ids = append(ids, body.ID)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	r, err := p.Push(t.Context(), PushRequest{User: "u", Content: []byte("x")})
	var refused *APIError
	if !errors.As(err, &refused) || refused.Status != 503 || len(ids) != 1+DefaultMaxRetries {
		t.Fatalf("%d tries, %v", len(ids), err)
	}
	for _, id := range ids {
		if id != r.ID {
			t.Errorf("tries with the ids %q, result has %q", ids, r.ID)
		}
	}
	if _, err := ulid.Parse(r.ID); err != nil {
		t.Errorf("id %q: %v", r.ID, err)
	}
}

func TestMessage(t *testing.T) {
	var got http.Request
	var body string
	p := answer(t, http.StatusOK, `{"id":"a/b","outcome":"pending","accepted":"2026-11-21T12:00:00Z","targets":2,"ended":1,
		"outcomes":{"acked":1},"deliveries":{"acked":1},"latency_ms":7,
		"stages":[{"stage":"accepted","node":"n1","at":"2026-11-21T12:00:00Z"},{"stage":"acked","node":"n2","at":"2026-11-21T12:00:01Z"}]}`, &got, &body)
	m, err := p.Message(t.Context(), "a/b")
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	want := MessageStatus{
		ID: "a/b", Accepted: at, Targets: 2, Ended: 1, Latency: 7 * time.Millisecond,
		Outcomes: map[protocol.Outcome]int{protocol.OutcomeAcked: 1}, Deliveries: map[protocol.Outcome]int{protocol.OutcomeAcked: 1},
		Stages: []StageTime{{protocol.StageAccepted, "n1", at}, {protocol.StageAcked, "n2", at.Add(time.Second)}},
	}
	if err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, %v", m, err)
	}
	if got.Method != "GET" || got.RequestURI != "/api/v1/messages/a%2Fb" || body != "" || got.Header.Get("Content-Type") != "" {
		t.Errorf("%s %s %q", got.Method, got.RequestURI, body)
	}
}

func TestBroadcastThatRunsAndItsEnd(t *testing.T) {
	var got http.Request
	var body string
	p := answer(t, 200, `{"id":"b","outcome":"pending","accepted":"2026-11-21T12:00:00Z","broadcast":true,"targets":1,"ended":0,"outcomes":{},
		"deliveries":{"sent":2},"nodes":[{"node":"n1","outcome":"pending","deliveries":{"sent":2}},{"node":"n2","outcome":"offline","deliveries":{}}],
		"stages":[],"latency_ms":null}`, &got, &body)
	m, err := p.Message(t.Context(), "b")
	want := []NodeResult{
		{"n1", protocol.OutcomePending, map[protocol.Outcome]int{protocol.OutcomeSent: 2}},
		{"n2", protocol.OutcomeOffline, map[protocol.Outcome]int{}},
	}
	if err != nil || !m.Broadcast || m.Outcome != protocol.OutcomePending || m.Deliveries[protocol.OutcomeSent] != 2 || !reflect.DeepEqual(m.Nodes, want) {
		t.Errorf("%+v, %v", m, err)
	}
	p = answer(t, 202, `{"id":"b/1","status":"cancelling"}`, &got, &body)
	if err := p.Cancel(t.Context(), "b/1"); err != nil || got.Method != "POST" || got.RequestURI != "/api/v1/messages/b%2F1/cancel" || body != "" {
		t.Errorf("%v, sent %s %s %q", err, got.Method, got.RequestURI, body)
	}
	p = answer(t, 409, `{"title":"Conflict","status":409,"code":"not_running","detail":"the broadcast has ended: sent"}`, &got, &body)
	var refused *APIError
	if err := p.Cancel(t.Context(), "b"); !errors.As(err, &refused) || refused.Code != "not_running" {
		t.Errorf("got %v", err)
	}
}

func TestUsersNodesAndWhatIsDoneToThem(t *testing.T) {
	var got http.Request
	var body string
	sent := func(want string) {
		t.Helper()
		if line := got.Method + " " + got.RequestURI + " " + body; line != want {
			t.Errorf("sent %s, want %s", line, want)
		}
	}
	p := answer(t, 200, `{"user":"ü/1","devices":[{"client_type":"mobile","node":"n1","connection":"c1","since":"2026-11-21T12:00:00Z","online":true,"tags":"vip","transport":"tcp"}]}`, &got, &body)
	devices, err := p.User(t.Context(), "ü/1")
	if err != nil || len(devices) != 1 || devices[0].ClientType != protocol.ClientMobile || !devices[0].Online || devices[0].Connection != "c1" {
		t.Errorf("devices %+v, %v", devices, err)
	}
	sent("GET /api/v1/users/%C3%BC%2F1 ")

	p = answer(t, 200, `{"kicked":2}`, &got, &body)
	if kicked, err := p.Kick(t.Context(), "u"); kicked != 2 || err != nil {
		t.Errorf("kicked %d, %v", kicked, err)
	}
	sent("POST /api/v1/users/u/kick ")
	if _, err := p.Kick(t.Context(), "u", protocol.ClientPC); err != nil {
		t.Error(err)
	}
	sent(`POST /api/v1/users/u/kick {"client_type":"pc"}`)
	if _, err := p.Kick(t.Context(), "u", protocol.ClientPC, protocol.ClientWeb); err == nil {
		t.Error("kicked two classes at once")
	}

	p = answer(t, 200, `{"nodes":[{"id":"n1","device":"127.0.0.1:3000","state":"serving","weight":3,"java":true,"connections":5,"users":4,"version":"1","since":"2026-11-21T12:00:00Z"}]}`, &got, &body)
	nodes, err := p.Nodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].ID != "n1" || nodes[0].State != "serving" || nodes[0].Connections != 5 ||
		nodes[0].Weight != 3 || !nodes[0].Java {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	sent("GET /api/v1/nodes ")

	p = answer(t, 202, `{"id":"n1","state":"draining"}`, &got, &body)
	for rate, want := range map[int]string{0: "", 100: `{"rate":100}`} {
		if err := p.Drain(t.Context(), "n1", rate); err != nil {
			t.Error(err)
		}
		sent("POST /api/v1/nodes/n1/drain " + want)
	}
}

func TestEveryCallSaysWhatItWasDoing(t *testing.T) {
	p := api(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	for want, call := range map[string]func(context.Context) error{
		"pushing m1":           func(ctx context.Context) error { _, err := p.Push(ctx, PushRequest{ID: "m1"}); return err },
		"asking for message m": func(ctx context.Context) error { _, err := p.Message(ctx, "m"); return err },
		"cancelling message m": func(ctx context.Context) error { return p.Cancel(ctx, "m") },
		`asking for user "u"`:  func(ctx context.Context) error { _, err := p.User(ctx, "u"); return err },
		`kicking user "u"`:     func(ctx context.Context) error { _, err := p.Kick(ctx, "u"); return err },
		"asking for the nodes": func(ctx context.Context) error { _, err := p.Nodes(ctx); return err },
		`draining node "n"`:    func(ctx context.Context) error { return p.Drain(ctx, "n", 0) },
	} {
		err := call(t.Context())
		var refused *APIError
		if !errors.As(err, &refused) || refused.Status != 401 || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", want, err)
		}
	}
}
