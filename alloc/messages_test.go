package alloc

import (
	"testing"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/ledger"
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

func TestProgressIsTheSumOfTheNodes(t *testing.T) {
	s := ledger.Snapshot{Outcome: protocol.OutcomePending, Nodes: []ledger.NodeResult{
		{Node: "n1", Outcome: protocol.OutcomeSent}, {Node: "n2"},
	}}
	s.Nodes[0].Deliveries[protocol.OutcomeSent] = 3
	s.Nodes[1].Deliveries[protocol.OutcomeSent] = 4
	s.Nodes[1].Deliveries[protocol.OutcomeSlow] = 1
	same(t, "so far", counts(deliveries(&s)), map[string]int{"sent": 7, "slow": 1})
	same(t, "nodes", nodeAnswers(s.Nodes), []nodeAnswer{
		{"n1", protocol.OutcomeSent, map[string]int{"sent": 3}}, {"n2", protocol.OutcomePending, map[string]int{"sent": 4, "slow": 1}},
	})
	s.Outcome, s.Deliveries[protocol.OutcomeSent] = protocol.OutcomeSent, 9
	same(t, "in the end", counts(deliveries(&s)), map[string]int{"sent": 9})
}
