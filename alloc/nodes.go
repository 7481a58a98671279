package alloc

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/server/cluster"
)

const (
	maxDrainRate = 1_000_000             // connections per second that a drain can ask for
	drainWait    = 3 * time.Second       // for a node to say that it drains
	drainPoll    = 20 * time.Millisecond // how often to look whether it does
)

type nodesAnswer struct {
	Nodes []cluster.Info `json:"nodes"`
}

type drainAnswer struct {
	ID    string        `json:"id"`
	State cluster.State `json:"state"`
}

// offers describes every member, in the order of the ids; ok is false while the
// membership is unknown.
func (a *Allocator) offers() (offers []offer, ok bool) {
	list, ok := a.options.Router.Members().List()
	offers = make([]offer, 0, len(list))
	for _, m := range list {
		info := m.Info()
		info.Weight = max(info.Weight, 1)
		known := a.loads.fill(&info)
		offers = append(offers, offer{info, known})
	}
	slices.SortFunc(offers, func(a, b offer) int { return cmp.Compare(a.info.ID, b.info.ID) })
	return offers, ok
}

// nodes describes every member to people and to Prometheus.
func (a *Allocator) nodes() (answer nodesAnswer, ok bool) {
	offers, ok := a.offers()
	answer.Nodes = make([]cluster.Info, 0, len(offers))
	for _, o := range offers {
		answer.Nodes = append(answer.Nodes, o.info)
	}
	return answer, ok
}

// serveNodes lists the nodes.
func (a *Allocator) serveNodes(w http.ResponseWriter, _ *http.Request) error {
	answer, ok := a.nodes()
	if !ok {
		return unknownMembership()
	}
	return writeJSON(w, http.StatusOK, answer)
}

// serveDrain makes a node let its devices go. Doing it again changes the rate. The
// answer comes when the node says that it drains: the way to another node may be cut.
func (a *Allocator) serveDrain(w http.ResponseWriter, r *http.Request) error {
	rate := 0
	if _, err := a.readOptional(w, r, map[string]value{"rate": integer(&rate, maxDrainRate)}); err != nil {
		return err
	}
	id := r.PathValue("id")
	node, err := a.drainable(id)
	if err != nil {
		return err
	}
	a.log.Info("drain asked for", "node", id, "peer", r.RemoteAddr, "rate", rate)
	node.Drain(rate)
	a.holdOpen(w, drainWait)
	ctx, cancel := a.until(r, drainWait)
	defer cancel()
	if !drains(ctx, node) {
		p := refuse(http.StatusServiceUnavailable, "drain_unconfirmed", "the node was asked but does not say that it drains")
		p.retryAfter = time.Second
		return p
	}
	return writeJSON(w, http.StatusAccepted, drainAnswer{id, cluster.Draining})
}

// drainable finds a node that can be asked to drain.
func (a *Allocator) drainable(id string) (cluster.Member, error) {
	members, ok := a.options.Router.Members().List()
	if !ok {
		return nil, unknownMembership()
	}
	i := slices.IndexFunc(members, func(m cluster.Member) bool { return m.Info().ID == id })
	if i < 0 {
		return nil, refuse(http.StatusNotFound, "node_unknown", "there is no node with this id")
	}
	switch info := members[i].Info(); {
	case info.State == cluster.Lost:
		return nil, refuse(http.StatusConflict, "node_lost", "the node cannot be reached")
	case info.Java:
		return nil, refuse(http.StatusConflict, "node_is_java", "an MPush node in Java cannot be drained: stop its process")
	}
	return members[i], nil
}

// drains waits until the node says that it drains, at most until ctx ends.
func drains(ctx context.Context, node cluster.Member) bool {
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for node.Info().State != cluster.Draining {
		select {
		case <-ctx.Done():
			return false
		case <-poll.C:
		}
	}
	return true
}
