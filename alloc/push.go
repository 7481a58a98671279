package alloc

import (
	"errors"
	"net/http"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
)

// acceptedAnswer is what the caller gets while the outcome is not known.
type acceptedAnswer struct {
	ID        string `json:"id"`
	Status    string `json:"status"` // always "accepted"
	Duplicate bool   `json:"duplicate,omitempty"`
}

// userAnswer is the outcome of a push to one user.
type userAnswer struct {
	ID        string           `json:"id"`
	Outcome   protocol.Outcome `json:"outcome"`
	Node      string           `json:"node"`
	Latency   *float64         `json:"latency_ms"` // null if it was never written
	Duplicate bool             `json:"duplicate,omitempty"`
}

// manyAnswer is the outcome of a push to a list of users or to everybody.
type manyAnswer struct {
	ID         string         `json:"id"`
	Targets    int            `json:"targets"`
	Outcomes   map[string]int `json:"outcomes"`
	Deliveries map[string]int `json:"deliveries"`
	Nodes      []nodeAnswer   `json:"nodes,omitempty"`
	Latency    *float64       `json:"latency_ms"`
	Duplicate  bool           `json:"duplicate,omitempty"`
}

// servePush takes a message, hands it to the nodes and answers, at once or when
// the outcome is known.
func (a *Allocator) servePush(w http.ResponseWriter, r *http.Request) error {
	received := a.options.Now()
	req, err := a.readPush(w, r)
	if err != nil {
		return err
	}
	entry, duplicate, err := a.accept(req, received)
	if err != nil {
		return err
	}
	snapshot, complete := ledger.Snapshot{ID: req.id}, false
	if req.wait > 0 {
		a.holdOpen(w, req.wait)
		ctx, cancel := a.until(r, req.wait)
		defer cancel()
		snapshot, complete = entry.Wait(ctx)
	}
	if !complete {
		return writeJSON(w, http.StatusAccepted, acceptedAnswer{req.id, "accepted", duplicate})
	}
	if req.broadcast || req.users != nil {
		return writeJSON(w, http.StatusOK, manyAnswer{
			req.id, snapshot.Targets, counts(snapshot.Outcomes), counts(snapshot.Deliveries),
			nodeAnswers(snapshot.Nodes), milliseconds(snapshot.Latency), duplicate,
		})
	}
	return writeJSON(w, http.StatusOK, userAnswer{
		req.id, snapshot.Outcome, snapshot.Node, milliseconds(snapshot.Latency), duplicate,
	})
}

// accept opens the books for a message and sends it on its way, unless it is
// known already.
func (a *Allocator) accept(req *pushRequest, received time.Time) (entry *ledger.Entry, duplicate bool, err error) {
	if _, ok := a.options.Router.Members().List(); !ok {
		return nil, false, unknownMembership()
	}
	if req.id == "" {
		req.id = ulid.Make().String()
	}
	entry, duplicate, err = a.options.Ledger.Accept(ledger.Request{
		ID: req.id, Source: exporter.SourceAPI, Broadcast: req.broadcast, Targets: req.targets(),
		Digest: req.digest(), Ack: req.ack, Received: received,
	})
	switch {
	case errors.Is(err, ledger.ErrConflict):
		p := refuse(http.StatusConflict, "id_conflict", "the id was used for another message")
		p.Field = "id"
		return nil, false, p
	case err != nil:
		return nil, false, err
	case !duplicate:
		a.dispatch(req, req.push(received), entry)
	}
	return entry, duplicate, nil
}

// dispatch hands an accepted message to the nodes. Every target gets its Done,
// also when there is no node.
func (a *Allocator) dispatch(req *pushRequest, p *cluster.Push, t cluster.Tracker) {
	switch router := a.options.Router; {
	case req.broadcast:
		router.Broadcast(p, t)
	case req.users != nil:
		router.PushAll(p, req.users, t)
	default:
		router.Push(p, req.user, t)
	}
}

// holdOpen moves the deadlines of a connection behind a wait: the server would
// otherwise end it when the time to read a request is over.
func (a *Allocator) holdOpen(w http.ResponseWriter, wait time.Duration) {
	c := http.NewResponseController(w)
	// Neither deadline exists on a connection that is not the server's own; then
	// there is nothing to move.
	_ = c.SetReadDeadline(time.Time{})
	_ = c.SetWriteDeadline(time.Now().Add(wait + answerTimeout))
}

// counts names the outcomes that occurred.
func counts(n [protocol.NumOutcomes]int) map[string]int {
	named := make(map[string]int)
	for _, o := range protocol.Outcomes() {
		if n[o] > 0 {
			named[o.String()] = n[o]
		}
	}
	return named
}

// milliseconds is d to the microsecond, nil for the 0 that stands for no time.
func milliseconds(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	ms := float64(d.Microseconds()) / 1000
	return &ms
}
