package cluster

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// TestNumbersOfAJavaNodeGoRound: after two billion pushes they begin anew. No request is
// forgotten for its number, and each ends once.
func TestNumbersOfAJavaNodeGoRound(t *testing.T) {
	t.Parallel()
	l := makeLink(Peer{ID: "java", Gateway: "127.0.0.1:1"}, LinkOptions{
		Self: "here", Metrics: exporter.New(prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler)})
	defer l.cancel()
	l.lastID = math.MaxInt32 - 1
	e := &ends{}
	for range 3 {
		l.Push(&Push{ID: "m", Content: []byte("x"), ClientTypes: []protocol.ClientType{mobile}, Accepted: time.Now()}, "alice", e)
	}
	for _, o := range l.take(nil) {
		if o.id == 0 || o.id > math.MaxInt32 {
			t.Errorf("a request has the number %d", o.id)
		}
		for range 2 { // a node that says it twice
			l.answered(&protocol.LinkResult{Request: o.id, Outcome: protocol.OutcomeSent}, false)
		}
	}
	if n := len(e.wait(t, 3)); n != 3 || len(l.requests.pending) != 0 || l.requests.inFlight != 0 {
		t.Errorf("%d ends, %d requests are pending, %d in flight", n, len(l.requests.pending), l.requests.inFlight)
	}
}
