package alloc

import (
	"net/http"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/ledger"
)

// messageAnswer is what the ledger knows about a message.
type messageAnswer struct {
	ID         string             `json:"id"`
	Outcome    protocol.Outcome   `json:"outcome"` // "pending" until complete
	Accepted   time.Time          `json:"accepted"`
	Broadcast  bool               `json:"broadcast"`
	Targets    int                `json:"targets"`
	Ended      int                `json:"ended"`
	Outcomes   map[string]int     `json:"outcomes"`
	Deliveries map[string]int     `json:"deliveries"`
	Nodes      []nodeAnswer       `json:"nodes,omitempty"`
	Stages     []ledger.StageTime `json:"stages"`
	Latency    *float64           `json:"latency_ms"`
}

// nodeAnswer is what one node did of a broadcast, or has done so far.
type nodeAnswer struct {
	Node       string           `json:"node"`
	Outcome    protocol.Outcome `json:"outcome"` // "pending" while the node is at it
	Deliveries map[string]int   `json:"deliveries"`
}

type cancelAnswer struct {
	ID     string `json:"id"`
	Status string `json:"status"` // always "cancelling"
}

// serveMessage answers what became of a message, or how far it is.
func (a *Allocator) serveMessage(w http.ResponseWriter, r *http.Request) error {
	s, err := a.known(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, messageAnswer{
		s.ID, s.Outcome, s.Accepted, s.Broadcast, s.Targets, s.Ended, counts(s.Outcomes), counts(s.Deliveries),
		nodeAnswers(s.Nodes), s.Stages, milliseconds(s.Latency),
	})
}

// serveCancel stops a broadcast that runs. The connections that it had not come to end
// as rejected, and so the books balance as for any other.
func (a *Allocator) serveCancel(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.readOptional(w, r, nil); err != nil {
		return err
	}
	s, err := a.known(r)
	switch {
	case err != nil:
		return err
	case !s.Broadcast:
		return refuse(http.StatusConflict, "not_running", "only a broadcast can be cancelled")
	case s.Outcome != protocol.OutcomePending:
		return refuse(http.StatusConflict, "not_running", "the broadcast has ended: %s", s.Outcome)
	}
	a.options.Router.Cancel(s.ID)
	a.log.Info("cancel asked for", "message", s.ID, "peer", r.RemoteAddr)
	return writeJSON(w, http.StatusAccepted, cancelAnswer{s.ID, "cancelling"})
}

// known finds the message of a path. Each allocator knows what it accepted itself.
func (a *Allocator) known(r *http.Request) (ledger.Snapshot, error) {
	s, ok := a.options.Ledger.Get(r.PathValue("id"))
	if !ok {
		return s, refuse(http.StatusNotFound, "message_unknown",
			"no message with this id is known here: only the allocator that accepted a message knows it, and old ones are forgotten")
	}
	return s, nil
}

func nodeAnswers(nodes []ledger.NodeResult) (answers []nodeAnswer) {
	for _, n := range nodes {
		answers = append(answers, nodeAnswer{n.Node, n.Outcome, counts(n.Deliveries)})
	}
	return answers
}
