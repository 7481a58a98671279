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
	Targets    int                `json:"targets"`
	Ended      int                `json:"ended"`
	Outcomes   map[string]int     `json:"outcomes"`
	Deliveries map[string]int     `json:"deliveries"`
	Stages     []ledger.StageTime `json:"stages"`
	Latency    *float64           `json:"latency_ms"`
}

// serveMessage answers what became of a message.
func (a *Allocator) serveMessage(w http.ResponseWriter, r *http.Request) error {
	s, ok := a.options.Ledger.Get(r.PathValue("id"))
	if !ok {
		return refuse(http.StatusNotFound, "message_unknown", "no message with this id is known; old ones are forgotten")
	}
	return writeJSON(w, http.StatusOK, messageAnswer{
		s.ID, s.Outcome, s.Accepted, s.Targets, s.Ended, counts(s.Outcomes), counts(s.Deliveries),
		s.Stages, milliseconds(s.Latency),
	})
}
