package alloc

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func TestPushToOneUserWaits(t *testing.T) {
	n := newNode("n1").online("alice")
	n.outcome = protocol.OutcomeAcked
	r := newRig(t, nil, n)
	v := r.push(`{"user":"alice","content":"hi","ack":"biz","wait":"20s","id":"m-1"}`, 200)
	same(t, "answer", v, map[string]any{"id": "m-1", "outcome": "acked", "node": "n1", "latency_ms": v["latency_ms"]})
	if ms, _ := v["latency_ms"].(float64); ms < 3 {
		t.Errorf("latency %v, want at least the node's 3 ms", v["latency_ms"])
	}
	d := n.next(t)
	if d.user != "alice" || d.push.ID != "m-1" || string(d.push.Content) != "hi" || d.push.Ack != protocol.AckBiz {
		t.Errorf("the node got %+v for %q", d.push, d.user)
	}
	if time.Since(d.push.Accepted) < 0 || d.push.Accepted.IsZero() {
		t.Errorf("accepted at %v", d.push.Accepted)
	}
	r.counted(exporter.HandlerPush, 200, 1)
}

func TestPushWithoutWaitIsAccepted(t *testing.T) {
	n := newNode("n1").online("alice")
	n.hold = true
	r := newRig(t, nil, n)
	v := r.push(`{"user":"alice","content_base64":"AAEC/w==","ttl":"0s"}`, 202)
	d := n.next(t)
	same(t, "answer", v, map[string]any{"id": d.push.ID, "status": "accepted"})
	same(t, "content", d.push.Content, []byte{0, 1, 2, 255})
	if len(d.push.ID) != 26 {
		t.Errorf("id %q is no ULID", d.push.ID)
	}
	d.tracker.Done(cluster.Result{Outcome: protocol.OutcomeSent})
}

func TestPushWaitsNoLongerThanAsked(t *testing.T) {
	n := newNode("n1").online("alice")
	n.hold = true
	r := newRig(t, nil, n)
	v := r.push(`{"user":"alice","content":"hi","wait":"1ms","id":"late"}`, 202)
	same(t, "answer", v, map[string]any{"id": "late", "status": "accepted"})
	n.next(t).tracker.Done(cluster.Result{Outcome: protocol.OutcomeSent})
}

func TestPushToOfflineUser(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	v := r.push(`{"user":"nobody","content":"hi","wait":"20s","id":"m"}`, 200)
	same(t, "answer", v, map[string]any{"id": "m", "outcome": "offline", "node": v["node"], "latency_ms": nil})
}

func TestPushToList(t *testing.T) {
	n := newNode("n1").online("a", "b")
	r := newRig(t, nil, n)
	v := r.push(`{"users":["a","nobody","b"],"content":"hi","wait":"20s","id":"l"}`, 200)
	same(t, "answer", v, map[string]any{
		"id": "l", "targets": 3.0, "outcomes": map[string]any{"sent": 2.0, "offline": 1.0},
		"deliveries": map[string]any{"sent": 2.0}, "latency_ms": v["latency_ms"],
	})
	if first, second := n.next(t).push, n.next(t).push; first != second {
		t.Error("the users of a list do not share one push")
	}
}

// TestListOfOneIsStillAList: callers that send lists must get one shape of answer.
func TestListOfOneIsStillAList(t *testing.T) {
	r := newRig(t, nil, newNode("n1").online("a"))
	if v := r.push(`{"users":["a"],"content":"hi","wait":"20s"}`, 200); v["targets"] != 1.0 {
		t.Errorf("answer %v", v)
	}
}

func TestPushToEverybody(t *testing.T) {
	n := newNode("n1").online("a", "b")
	r := newRig(t, nil, n)
	v := r.push(`{"broadcast":true,"content":"hi","tags":["x","y"],"client_types":["web","mobile"],"wait":"20s","id":"b"}`, 200)
	same(t, "answer", v, map[string]any{
		"id": "b", "targets": 1.0, "outcomes": map[string]any{"sent": 1.0},
		"deliveries": map[string]any{"sent": 2.0}, "latency_ms": v["latency_ms"],
		"nodes": []any{map[string]any{"node": "n1", "outcome": "sent", "deliveries": map[string]any{"sent": 2.0}}},
	})
	d := n.next(t)
	same(t, "tags", d.push.Tags, []string{"x", "y"})
	same(t, "client types", d.push.ClientTypes, []protocol.ClientType{protocol.ClientWeb, protocol.ClientMobile})
	if !d.broadcast {
		t.Error("not a broadcast")
	}
}

func TestBroadcastIsSteered(t *testing.T) {
	n := newNode("n1").online("a")
	r := newRig(t, nil, n)
	r.push(`{"broadcast":true,"content":"hi","rate":500,"task":"spring","wait":"20s"}`, 200)
	if p := n.next(t).push; p.Rate != 500 || p.Task != "spring" {
		t.Errorf("rate %d, task %q", p.Rate, p.Task)
	}
	r.push(`{"broadcast":true,"content":"hi","wait":"20s"}`, 200)
	if p := n.next(t).push; p.Rate != 0 || p.Task != "" {
		t.Errorf("rate %d, task %q for the node's defaults", p.Rate, p.Task)
	}
}

func TestSameIDSameMessage(t *testing.T) {
	n := newNode("n1").online("a", "b")
	r := newRig(t, nil, n)
	first := r.push(`{"id":"x","users":["a","b"],"content":"hi","tags":["t","u"],"wait":"20s"}`, 200)
	again := r.push(`{"content":"hi","users":["b","a"],"tags":["u","t"],"id":"x","wait":"15s"}`, 200)
	first["duplicate"] = true
	same(t, "second answer", again, first)
	same(t, "answer without waiting", r.push(`{"id":"x","users":["a","b"],"content":"hi","tags":["t","u"]}`, 202),
		map[string]any{"id": "x", "status": "accepted", "duplicate": true})
	n.next(t)
	n.next(t)
	n.none(t)
	if got := r.ended(protocol.OutcomeCollapsed); got != 4 {
		t.Errorf("%d collapsed, want two repetitions of two targets", got)
	}
}

func TestSameIDOtherMessage(t *testing.T) {
	r := newRig(t, nil, newNode("n1").online("a"))
	r.push(`{"id":"x","user":"a","content":"hi"}`, 202)
	for _, body := range []string{
		`{"id":"x","user":"a","content":"ho"}`,
		`{"id":"x","user":"b","content":"hi"}`,
		`{"id":"x","users":["a"],"content":"hi"}`,
		`{"id":"x","broadcast":true,"content":"hi"}`,
		`{"id":"x","user":"a","content":"hi","ack":"auto"}`,
		`{"id":"x","user":"a","content":"hi","tags":["t"]}`,
		`{"id":"x","user":"a","content":"hi","client_types":["pc"]}`,
	} {
		r.refused(r.do("POST", "/api/v1/push", body), 409, "id_conflict", "id")
	}
	if books := r.ledger.Books(); books.Accepted != 1 {
		t.Errorf("%d accepted, want only the first", books.Accepted)
	}
}

func TestEveryPushEndsWithoutNodes(t *testing.T) {
	r := newRig(t, nil)
	if v := r.push(`{"user":"a","content":"hi","wait":"20s"}`, 200); v["outcome"] != "offline" || v["node"] != "" {
		t.Errorf("user: %v", v)
	}
	if v := r.push(`{"users":["a","b"],"content":"hi","wait":"20s"}`, 200); v["outcomes"].(map[string]any)["offline"] != 2.0 {
		t.Errorf("list: %v", v)
	}
	if v := r.push(`{"broadcast":true,"content":"hi","wait":"20s"}`, 200); v["outcomes"].(map[string]any)["offline"] != 1.0 {
		t.Errorf("broadcast: %v", v)
	}
	if books := r.ledger.Books(); books.InFlight != 0 || books.Accepted != 4 {
		t.Errorf("books %+v", books)
	}
}

func TestPushWhileTheMembershipIsUnknown(t *testing.T) {
	r := newRig(t, nil)
	r.roster.forget()
	res := r.do("POST", "/api/v1/push", `{"user":"a","content":"hi"}`)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.refused(res, 503, "membership_unknown", "")
	if books := r.ledger.Books(); books.Accepted != 0 {
		t.Errorf("books %+v", books)
	}
}

func TestConditionsAreCompiled(t *testing.T) {
	n := newNode("n1").online("a")
	r := newRig(t, func(o *Options) {
		o.Compile = func(expr string) (cluster.Condition, error) {
			if expr == "(" {
				return nil, fmt.Errorf("line 1: no end")
			}
			return never(expr), nil
		}
	}, n)
	r.push(`{"user":"a","content":"hi","condition":"false","id":"c"}`, 202)
	if got := n.next(t).push.Condition; got != never("false") {
		t.Errorf("condition %v", got)
	}
	r.refused(r.do("POST", "/api/v1/push", `{"id":"c","user":"a","content":"hi","condition":"!1"}`), 409, "id_conflict", "id")
	r.refused(r.do("POST", "/api/v1/push", `{"user":"a","content":"hi","condition":"("}`), 400, "invalid_condition", "condition")
	long := fmt.Sprintf(`{"user":"a","content":"hi","condition":"%s"}`, strings.Repeat("x", maxCondition+1))
	r.refused(r.do("POST", "/api/v1/push", long), 400, "invalid_condition", "condition")
}

type never string

func (never) Match(cluster.Facts) bool { return false }
func (n never) String() string         { return string(n) }

func TestStopAnswersWaitingPushes(t *testing.T) {
	n := newNode("n1").online("a")
	n.hold = true
	r := newRig(t, nil, n)
	answered := make(chan *http.Response)
	go func() { answered <- r.do("POST", "/api/v1/push", `{"user":"a","content":"hi","wait":"30s"}`) }()
	d := n.next(t)
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	if v := r.answer(<-answered, 202); v["status"] != "accepted" {
		t.Errorf("answer %v", v)
	}
	<-stopped
	d.tracker.Done(cluster.Result{Outcome: protocol.OutcomeSent})
}

func TestBrokenNodeIsA500AndALogLine(t *testing.T) {
	n := newNode("n1")
	r := newRig(t, nil, newNode("n0"), n)
	n.mu.Lock()
	n.fault = true
	n.mu.Unlock()
	r.refused(r.do("GET", "/api/v1/nodes", ""), 500, "internal", "")
	if log := r.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "the node is broken") {
		t.Errorf("log:\n%s", log)
	}
	r.counted(exporter.HandlerNodes, 500, 1)
	r.text(r.do("GET", "/-/healthy", ""), 200)
}
