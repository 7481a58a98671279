package alloc

import (
	"testing"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

func TestCancelStopsABroadcast(t *testing.T) {
	n := newNode("n1").online("a", "b")
	n.hold = true
	r := newRig(t, nil, n)
	r.push(`{"id":"b","broadcast":true,"content":"x"}`, 202)
	d := n.next(t)
	for _, body := range []string{``, `{}`} { // again does no harm
		v := r.answer(r.do("POST", "/api/v1/messages/b/cancel", body), 202)
		same(t, "answer", v, map[string]any{"id": "b", "status": "cancelling"})
	}
	eventually(t, func() bool { n.mu.Lock(); defer n.mu.Unlock(); return len(n.cancels) == 2 && n.cancels[0] == "b" })
	r.refused(r.do("POST", "/api/v1/messages/b/cancel", `{"now":true}`), 400, "unknown_field", "now")
	result := n.result(d.push, 1)
	result.Deliveries[protocol.OutcomeRejected] = 1
	d.tracker.Done(result)
	eventually(t, func() bool { return r.ledger.Books().InFlight == 0 })
	v := r.answer(r.do("GET", "/api/v1/messages/b", ""), 200)
	same(t, "the end", []any{v["outcome"], v["broadcast"], v["deliveries"]},
		[]any{"sent", true, map[string]any{"sent": 1.0, "rejected": 1.0}})
	r.refused(r.do("POST", "/api/v1/messages/b/cancel", ``), 409, "not_running", "")
	r.counted(exporter.HandlerCancel, 202, 2)
}

func TestOnlyRunningBroadcastsAreCancelled(t *testing.T) {
	n := newNode("n1").online("a")
	n.hold = true
	r := newRig(t, nil, n)
	r.push(`{"id":"u","user":"a","content":"x"}`, 202)
	r.refused(r.do("POST", "/api/v1/messages/u/cancel", ``), 409, "not_running", "")
	r.refused(r.do("POST", "/api/v1/messages/never/cancel", ``), 404, "message_unknown", "")
	d := n.next(t)
	d.tracker.Done(n.result(d.push, 1))
	if len(n.cancels) > 0 {
		t.Errorf("cancelled %q", n.cancels)
	}
}

// TestMessagesAreKnownWhereTheyWereAccepted is what the description promises about
// several allocators.
func TestMessagesAreKnownWhereTheyWereAccepted(t *testing.T) {
	n := newNode("n1").online("a")
	a, b := newRig(t, nil, n), newRig(t, nil, n)
	a.push(`{"id":"m","user":"a","content":"x","wait":"20s"}`, 200)
	a.answer(a.do("GET", "/api/v1/messages/m", ""), 200)
	b.refused(b.do("GET", "/api/v1/messages/m", ""), 404, "message_unknown", "")
	b.refused(b.do("POST", "/api/v1/messages/m/cancel", ""), 404, "message_unknown", "")
	if v := b.push(`{"id":"m","user":"a","content":"other","wait":"20s"}`, 200); v["duplicate"] != nil {
		t.Errorf("%v: the id was used at another allocator only", v)
	}
}

// TestProgressOfABroadcast follows one over three nodes, of which one says nothing until
// it is done.
func TestProgressOfABroadcast(t *testing.T) {
	n1, n2, n3 := newNode("n1").online("a"), newNode("n2").online("b", "c"), newNode("n3")
	for _, n := range []*scriptedNode{n1, n2, n3} {
		n.hold = true
	}
	r := newRig(t, nil, n1, n2, n3)
	r.push(`{"id":"b","broadcast":true,"content":"x","ack":"auto"}`, 202)
	d1, d2, d3 := n1.next(t), n2.next(t), n3.next(t)
	part := func(o protocol.Outcome, n int) (r cluster.Result) { r.Deliveries[o] = n; return r }
	node := func(id, outcome string, deliveries map[string]any) map[string]any {
		return map[string]any{"node": id, "outcome": outcome, "deliveries": deliveries}
	}
	sent := func(n float64) map[string]any { return map[string]any{"sent": n} }

	d2.tracker.Progress(part(protocol.OutcomeSent, 1))
	d1.tracker.Done(n1.result(d1.push, 1))
	v := r.answer(r.do("GET", "/api/v1/messages/b", ""), 200)
	same(t, "so far", []any{v["outcome"], v["broadcast"], v["targets"], v["ended"], v["outcomes"], v["deliveries"]},
		[]any{"pending", true, 1.0, 0.0, map[string]any{}, sent(2)})
	same(t, "nodes so far", v["nodes"], []any{node("n1", "sent", sent(1)), node("n2", "pending", sent(1))})

	d2.tracker.Done(n2.result(d2.push, 2))
	d3.tracker.Done(cluster.Result{Node: "n3", Outcome: protocol.OutcomeNodeLost})
	eventually(t, func() bool { return r.ledger.Books().InFlight == 0 })
	v = r.answer(r.do("GET", "/api/v1/messages/b", ""), 200)
	nodes := []any{node("n1", "sent", sent(1)), node("n2", "sent", sent(2)), node("n3", "node_lost", map[string]any{})}
	same(t, "in the end", []any{v["outcome"], v["ended"], v["deliveries"], v["nodes"]}, []any{"sent", 1.0, sent(3), nodes})
	again := r.push(`{"id":"b","broadcast":true,"content":"x","ack":"auto","wait":"20s"}`, 200)
	same(t, "who waited", []any{again["deliveries"], again["nodes"]}, []any{sent(3), nodes})
	r.push(`{"id":"u","user":"a","content":"x"}`, 202)
	n1.next(t).tracker.Done(cluster.Result{Outcome: protocol.OutcomeSent})
	if _, has := r.answer(r.do("GET", "/api/v1/messages/u", ""), 200)["nodes"]; has {
		t.Error("a push to one user has nodes")
	}
}
