package alloc

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/store"
)

func TestMessageTellsItsStages(t *testing.T) {
	n := newNode("n1").online("a", "b")
	n.hold = true
	r := newRig(t, nil, n)
	r.push(`{"id":"m","users":["a","b"],"content":"x"}`, 202)
	a, b := n.next(t), n.next(t)
	v := r.answer(r.do("GET", "/api/v1/messages/m", ""), 200)
	same(t, "while pending", []any{v["outcome"], v["targets"], v["ended"], v["latency_ms"]},
		[]any{"pending", 2.0, 0.0, nil})
	if stages := stageNames(v); !strings.HasPrefix(stages, "accepted") || strings.Contains(stages, "written") {
		t.Errorf("stages %q while pending", stages)
	}

	a.tracker.Done(n.result(a.push, 1))
	v = r.answer(r.do("GET", "/api/v1/messages/m", ""), 200)
	same(t, "after one", []any{v["outcome"], v["ended"], v["outcomes"]},
		[]any{"pending", 1.0, map[string]any{"sent": 1.0}})

	b.tracker.Done(n.result(b.push, 0))
	v = r.answer(r.do("GET", "/api/v1/messages/m", ""), 200)
	same(t, "in the end", []any{v["id"], v["outcome"], v["ended"], v["outcomes"], v["deliveries"], stageNames(v)},
		[]any{"m", "sent", 2.0, map[string]any{"sent": 1.0, "offline": 1.0}, map[string]any{"sent": 1.0}, stageNames(v)})
	if !strings.HasSuffix(stageNames(v), "queued written") {
		t.Errorf("stages %q in the end", stageNames(v))
	}
	if ms, _ := v["latency_ms"].(float64); ms < 2 {
		t.Errorf("latency %v", v["latency_ms"])
	}
	if at, err := time.Parse(time.RFC3339Nano, v["accepted"].(string)); err != nil || !at.Equal(a.push.Accepted) {
		t.Errorf("accepted %v, the push says %v", v["accepted"], a.push.Accepted)
	}
}

func stageNames(message map[string]any) string {
	names := []string{}
	for _, s := range message["stages"].([]any) {
		names = append(names, s.(map[string]any)["stage"].(string))
	}
	return strings.Join(names, " ")
}

func TestUnknownMessage(t *testing.T) {
	r := newRig(t, nil)
	r.refused(r.do("GET", "/api/v1/messages/never", ""), 404, "message_unknown", "")
	r.refused(r.do("GET", "/api/v1/messages/a%2Fb", ""), 404, "message_unknown", "")
}

func TestUserShowsTheDevices(t *testing.T) {
	r := newRig(t, nil, newNode("n1").online("a", "a"))
	v := r.answer(r.do("GET", "/api/v1/users/a", ""), 200)
	same(t, "how many", len(v["devices"].([]any)), 2)
	same(t, "first", v["devices"].([]any)[0], map[string]any{
		"client_type": "mobile", "node": "n1", "connection": "c-a", "since": "2026-11-21T20:00:00Z",
		"online": true, "device_id": "d-a", "os_name": "android", "transport": "tls",
	})
	same(t, "nobody", r.answer(r.do("GET", "/api/v1/users/nobody", ""), 200), map[string]any{"user": "nobody", "devices": []any{}})
	same(t, "encoded", r.answer(r.do("GET", "/api/v1/users/%E7%94%A8%20%2F", ""), 200)["user"], "用 /")
	r.refused(r.do("GET", "/api/v1/users/%20", ""), 400, "invalid_user", "user")
	r.refused(r.do("GET", "/api/v1/users/"+strings.Repeat("u", maxUser+1), ""), 400, "invalid_user", "user")
}

func TestUserOfSeveralNodes(t *testing.T) {
	n1, n2 := newNode("n1").online("a"), newNode("n2")
	n2.devices["a"] = []cluster.Device{{
		ClientType: protocol.ClientWeb, Node: "n2", Connection: "c-2", Since: started, Online: true, DeviceID: "d-2", OSName: "web",
	}}
	r := newRig(t, nil, n1, n2)
	seen := []any{}
	for _, d := range r.answer(r.do("GET", "/api/v1/users/a", ""), 200)["devices"].([]any) {
		d := d.(map[string]any)
		seen = append(seen, d["node"], d["client_type"], d["connection"], d["online"])
	}
	same(t, "devices", seen, []any{"n1", "mobile", "c-a", true, "n2", "web", "c-2", true})

	kicked := r.answer(r.do("POST", "/api/v1/users/a/kick", ""), 200)
	same(t, "ended here and told there", kicked, map[string]any{"kicked": 2.0})
	same(t, "here", n1.kicks, []kick{{"a", nil}})
	same(t, "there", r.store.kicks, []store.Kick{{
		User: "a", DeviceID: "d-2", Connection: "c-2", ClientType: protocol.ClientWeb, Address: "n2.example:3001"}})
	same(t, "of another class", r.answer(r.do("POST", "/api/v1/users/a/kick", `{"client_type":"pc"}`), 200)["kicked"],
		1.0) // the stand-in for a node of this process counts all its devices
	r.store.refuse = 1
	res := r.do("POST", "/api/v1/users/a/kick", "")
	if body := r.text(res, 503); !strings.Contains(body, "told to end before: 1") || strings.Contains(body, "reset") {
		t.Errorf("half a kick: %s", body)
	}
}

func TestKick(t *testing.T) {
	n := newNode("n1").online("a", "a")
	r := newRig(t, nil, n)
	for body, types := range map[string][]protocol.ClientType{
		``: nil, `{}`: nil, `{"client_type":"web"}`: {protocol.ClientWeb}, `{"client_type":"unknown"}`: {protocol.ClientUnknown},
	} {
		v := r.answer(r.do("POST", "/api/v1/users/a/kick", body), 200)
		same(t, "kicked", v, map[string]any{"kicked": 2.0})
		same(t, "asked of the node", n.kicks, []kick{{"a", types}})
		n.kicks = nil
	}
	r.refused(r.do("POST", "/api/v1/users/a/kick", `{"client_type":"tv"}`), 400, "invalid_client_type", "client_type")
	r.refused(r.do("POST", "/api/v1/users/a/kick", `{"client_type":""}`), 400, "invalid_client_type", "client_type")
	r.refused(r.do("POST", "/api/v1/users/a/kick", `{"all":true}`), 400, "unknown_field", "all")
	r.refused(r.do("POST", "/api/v1/users/%0A/kick", ``), 400, "invalid_user", "user")
	if len(n.kicks) > 0 {
		t.Error("a wrong request kicked somebody")
	}
}

func TestNodes(t *testing.T) {
	r := newRig(t, nil, newNode("n1").set(func(i *cluster.Info) { i.Connections, i.Users = 7, 5 }))
	same(t, "nodes", r.answer(r.do("GET", "/api/v1/nodes", ""), 200), map[string]any{"nodes": []any{map[string]any{
		"id": "n1", "device": "n1.example:3000", "gateway": "n1.example:3001", "weight": 1.0, "ops": "n1.example:9310", "state": "serving",
		"connections": 7.0, "users": 5.0, "version": "1.2.3", "since": "2026-11-21T20:00:00Z",
	}}})
	r.roster.set()
	same(t, "no nodes", r.answer(r.do("GET", "/api/v1/nodes", ""), 200), map[string]any{"nodes": []any{}})
	r.roster.forget()
	r.refused(r.do("GET", "/api/v1/nodes", ""), 503, "membership_unknown", "")
}

func TestDrain(t *testing.T) {
	n1, n2 := newNode("n1"), newNode("n2")
	r := newRig(t, nil, n1, n2, newNode("n3").state(cluster.Lost), javaNode("n4"))
	for _, body := range []string{`{"rate":50}`, `{}`, ``, `{"rate":0}`} {
		v := r.answer(r.do("POST", "/api/v1/nodes/n2/drain", body), 202)
		same(t, "answer", v, map[string]any{"id": "n2", "state": "draining"})
	}
	same(t, "rates", n2.rates, []int{50, 0, 0, 0})
	for body, code := range map[string]string{
		`{"rate":-1}`: "out_of_range", `{"rate":1.5}`: "out_of_range", `{"rate":1e99}`: "out_of_range",
		`{"rate":"1"}`: "invalid_type", `{"rate":1000001}`: "out_of_range",
	} {
		r.refused(r.do("POST", "/api/v1/nodes/n1/drain", body), 400, code, "rate")
	}
	r.refused(r.do("POST", "/api/v1/nodes/n9/drain", ``), 404, "node_unknown", "")
	r.refused(r.do("POST", "/api/v1/nodes/n3/drain", ``), 409, "node_lost", "")
	r.refused(r.do("POST", "/api/v1/nodes/n4/drain", ``), 409, "node_is_java", "")
	if len(n1.rates) > 0 {
		t.Error("the wrong node drains")
	}
	r.roster.forget()
	r.refused(r.do("POST", "/api/v1/nodes/n1/drain", ``), 503, "membership_unknown", "")
}

// TestDrainThatTheNodeDoesNotConfirm: the link to it may be cut, and then nothing drains.
func TestDrainThatTheNodeDoesNotConfirm(t *testing.T) {
	n1, n2 := newNode("n1"), newNode("n2")
	n2.deaf = true
	r := newRig(t, nil, n1, n2)
	answered := make(chan *http.Response)
	go func() { answered <- r.do("POST", "/api/v1/nodes/n2/drain", `{}`) }()
	eventually(t, func() bool { n2.mu.Lock(); defer n2.mu.Unlock(); return len(n2.rates) == 1 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }() // or it would wait longer than a test should
	r.refused(<-answered, 503, "drain_unconfirmed", "")
	<-stopped
}

// TestDrainThatTakesAMoment is what one over a link does.
func TestDrainThatTakesAMoment(t *testing.T) {
	n1, n2 := newNode("n1"), newNode("n2")
	n2.deaf = true
	r := newRig(t, nil, n1, n2)
	answered := make(chan *http.Response)
	go func() { answered <- r.do("POST", "/api/v1/nodes/n2/drain", `{}`) }()
	eventually(t, func() bool { n2.mu.Lock(); defer n2.mu.Unlock(); return len(n2.rates) == 1 })
	n2.state(cluster.Draining)
	r.answer(<-answered, 202)
	same(t, "list", order(r), "n1")
}

func TestUnknownPathsAndMethods(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	for _, path := range []string{"/api/", "/api/v1", "/api/v1/", "/api/v2/push", "/api/v1/push/x", "/api/v1/messages"} {
		r.refused(r.do("GET", path, ""), 404, "not_found", "")
	}
	for call, allow := range map[string]string{
		"GET /api/v1/push": "POST", "DELETE /api/v1/nodes": "GET, HEAD", "PATCH /api/v1/users/a": "GET, HEAD",
		"OPTIONS /api/v1/users/a/kick": "POST", "PUT /api/v1/events": "GET, HEAD", "POST /sd/prometheus": "GET, HEAD",
		"GET /push": "POST", "GET /api/v1/messages/x/cancel": "POST",
	} {
		method, path, _ := strings.Cut(call, " ")
		res := r.do(method, path, "")
		if got := res.Header.Get("Allow"); got != allow {
			t.Errorf("%s: Allow %q, want %q", call, got, allow)
		}
		r.refused(res, 405, "method_not_allowed", "")
	}
	if body := r.text(r.do("HEAD", "/api/v1/nodes", ""), 200); body != "" {
		t.Errorf("HEAD has a body: %q", body)
	}
}

func TestHealth(t *testing.T) {
	var reason error
	r := newRig(t, func(o *Options) { o.Ready = func() error { return reason } })
	same(t, "healthy", r.text(r.do("GET", "/-/healthy", ""), 200), "ok\n")
	same(t, "ready", r.text(r.do("GET", "/-/ready", ""), 200), "ready\n")
	reason = errors.New("the store does not answer")
	same(t, "not ready", r.text(r.do("GET", "/-/ready", ""), 503), "not ready: the store does not answer\n")
	reason = errors.Join(reason, errors.New("the registry does not either"))
	same(t, "in one line", r.text(r.do("GET", "/-/ready", ""), 503), "not ready: the store does not answer; the registry does not either\n")
	reason = nil
	r.roster.forget()
	same(t, "blind", r.text(r.do("GET", "/-/ready", ""), 503), "not ready: the nodes of the cluster are not known yet\n")
	same(t, "healthy all the same", r.text(r.do("GET", "/-/healthy", ""), 200), "ok\n")
	r.roster.set()
	if body := r.text(r.do("GET", "/metrics", ""), 200); !strings.Contains(body, "fanfare_connections{") {
		t.Error("no metrics of ours under /metrics")
	}
}

func TestConsoleIsMounted(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/html", "/index.html"} {
		res := r.do("GET", path, "")
		if page := r.text(res, 200); !strings.Contains(page, "<html") || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %.80s", path, page)
		}
	}
	r.text(r.do("GET", "/console/no-such-file", ""), 404)
	if server := r.do("HEAD", "/html", "").Header.Get("Server"); server != "fanfare/test" {
		t.Errorf("Server %q", server)
	}
}

// TestStoreIsAway: what needs the store says so, without saying more to the caller than
// to the log; what does not need it works.
func TestStoreIsAway(t *testing.T) {
	n1, n2 := newNode("n1").online("here"), newNode("n2").online("there")
	r := newRig(t, nil, n1, n2)
	r.store.leave(errors.New("dial tcp 10.9.8.7:6379: WRONGPASS hunter2"))
	for range 3 {
		for _, call := range []string{"GET /api/v1/users/there", "POST /api/v1/users/there/kick"} {
			method, path, _ := strings.Cut(call, " ")
			res := r.do(method, path, "")
			if res.Header.Get("Retry-After") != "1" {
				t.Errorf("%s: Retry-After %q", call, res.Header.Get("Retry-After"))
			}
			body := r.text(res, 503)
			if !strings.Contains(body, `"store_unavailable"`) || strings.Contains(body, "10.9.8.7") || strings.Contains(body, "hunter2") {
				t.Errorf("%s: %s", call, body)
			}
		}
	}
	if log := r.log.String(); !strings.Contains(log, "a request needed the store") {
		t.Errorf("log:\n%s", log)
	}
	for user, want := range map[string]string{"there": "failed", "here": "sent"} {
		if v := r.push(`{"user":"`+user+`","content":"x","wait":"30s"}`, 200); v["outcome"] != want {
			t.Errorf("push to %s: %v, want %s", user, v, want)
		}
	}
	if v := r.push(`{"broadcast":true,"content":"x","wait":"30s"}`, 200); v["outcomes"].(map[string]any)["sent"] != 1.0 {
		t.Errorf("broadcast: %v", v)
	}
	r.answer(r.do("GET", "/api/v1/nodes", ""), 200)
	r.store.leave(nil)
	r.answer(r.do("GET", "/api/v1/users/there", ""), 200)
}
