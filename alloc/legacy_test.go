package alloc

import (
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// The expectations in this file were recorded from MPush's own allocator.

func TestServerList(t *testing.T) {
	busy, idle, idle2 := newNode("busy"), newNode("idle"), newNode("idle2")
	busy.info.Connections, idle.info.Connections, idle2.info.Connections = 3, 1, 1
	noDevices := newNode("websocket-only")
	noDevices.info.Device = ""
	r := newRig(t, nil, idle2, busy, newNode("gone").state(cluster.Lost), newNode("leaving").state(cluster.Draining), noDevices, idle)
	want := "idle.example:3000,idle2.example:3000,busy.example:3000"
	for _, call := range []string{"GET /", "GET /anything/else?x=1", "POST /", "PUT /", "OPTIONS /", "DELETE /console.txt"} {
		method, path, _ := strings.Cut(call, " ")
		res := r.do(method, path, "")
		if got := res.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("%s: content type %q", call, got)
		}
		same(t, call, r.text(res, 200), want)
	}
	same(t, "HEAD", r.text(r.do("HEAD", "/", ""), 200), "")
	r.roster.set()
	same(t, "no nodes", r.text(r.do("GET", "/", ""), 200), "")
	r.roster.forget()
	r.refused(r.do("GET", "/", ""), 503, "membership_unknown", "")
}

func TestDemoPush(t *testing.T) {
	n := newNode("n1").online("al-user")
	r := newRig(t, nil, n)
	for i, c := range []struct{ path, body, user, content string }{
		{"/push", `{"userId":"al-user","hello":"hi 中文"}`, "al-user",
			`{"content":"{\"content\":\"MPush开源推送，hi 中文\",\"nid\":1,\"ticker\":\"你有一条新的消息,请注意查收\",\"title\":\"MPUSH推送\"}","msgId":"msg_1","msgType":3}`},
		{"/push", `{"userId":"nobody","hello":"x"}`, "nobody", ""},
		{"/push/sub", `{"broadcast":true,"hello":"to all"}`, "",
			`{"content":"{\"content\":\"MPush开源推送，to all\",\"nid\":1,\"ticker\":\"你有一条新的消息,请注意查收\",\"title\":\"MPUSH推送\"}","msgId":"msg_3","msgType":3}`},
		{"/pushxyz", `{"broadcast":true,"userId":"al-user","hello":"<b>&","other":[1]}`, "",
			`{"content":"{\"content\":\"MPush开源推送，<b>&\",\"nid\":2,\"ticker\":\"你有一条新的消息,请注意查收\",\"title\":\"MPUSH推送\"}","msgId":"msg_4","msgType":3}`},
	} {
		res := r.do("POST", c.path, c.body)
		if got := res.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
			t.Errorf("content type %q", got)
		}
		same(t, "answer", r.text(res, 200), "服务已经开始推送,请注意查收消息")
		d := n.next(t)
		if d.user != c.user || d.broadcast != (c.user == "") || d.push.Ack != protocol.AckNone {
			t.Errorf("push %d went to %q, broadcast %v, ack %v", i, d.user, d.broadcast, d.push.Ack)
		}
		if c.content != "" {
			same(t, "content", string(d.push.Content), c.content)
		}
	}
	if books := r.ledger.Books(); books.Accepted != 4 {
		t.Errorf("books %+v", books)
	}
}

// TestDemoPushRefuses: MPush closes the connection without a word.
func TestDemoPushRefuses(t *testing.T) {
	n := newNode("n1")
	r := newRig(t, nil, n)
	for _, c := range []struct{ body, code, field string }{
		{`{"hello":"x"}`, "target_missing", "userId"},
		{`{}`, "target_missing", "userId"},
		{`null`, "target_missing", "userId"},
		{`{"userId":" ","hello":"x"}`, "target_missing", "userId"},
		{`{"userId":"a\u0007"}`, "invalid_user", "userId"},
		{`{bad`, "invalid_json", ""},
		{``, "invalid_json", ""},
		{`{"userId":5}`, "invalid_type", "userId"},
		{`[]`, "invalid_type", ""},
		{`{"userId":"a","condition":"true"}`, "condition_unsupported", "condition"},
	} {
		r.refused(r.do("POST", "/push", c.body), 400, c.code, c.field)
	}
	r.roster.forget()
	r.refused(r.do("POST", "/push", `{"userId":"a"}`), 503, "membership_unknown", "")
	n.none(t)
}
