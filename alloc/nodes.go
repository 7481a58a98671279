package alloc

import (
	"net/http"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// maxDrainRate bounds the rate of a drain, in connections per second.
const maxDrainRate = 1_000_000

type nodesAnswer struct {
	Nodes []cluster.Info `json:"nodes"`
}

type drainAnswer struct {
	ID    string        `json:"id"`
	State cluster.State `json:"state"`
}

// nodesOf describes every member; ok is false while the membership is unknown.
func nodesOf(members cluster.Members) (answer nodesAnswer, ok bool) {
	list, ok := members.List()
	answer.Nodes = make([]cluster.Info, 0, len(list))
	for _, m := range list {
		answer.Nodes = append(answer.Nodes, m.Info())
	}
	return answer, ok
}

// serveNodes lists the nodes.
func (a *Allocator) serveNodes(w http.ResponseWriter, _ *http.Request) error {
	answer, ok := nodesOf(a.options.Router.Members())
	if !ok {
		return unknownMembership()
	}
	return writeJSON(w, http.StatusOK, answer)
}

// serveDrain makes a node let its devices go. Doing it again changes the rate.
func (a *Allocator) serveDrain(w http.ResponseWriter, r *http.Request) error {
	rate := 0
	if _, err := a.readOptional(w, r, map[string]value{"rate": integer(&rate, maxDrainRate)}); err != nil {
		return err
	}
	members, ok := a.options.Router.Members().List()
	if !ok {
		return unknownMembership()
	}
	id := r.PathValue("id")
	for _, m := range members {
		if info := m.Info(); info.ID != id {
			continue
		} else if info.State == cluster.Lost {
			return refuse(http.StatusConflict, "node_lost", "the node cannot be reached")
		}
		m.Drain(rate)
		a.log.Info("drain asked for", "node", id, "peer", r.RemoteAddr, "rate", rate)
		return writeJSON(w, http.StatusAccepted, drainAnswer{id, cluster.Draining})
	}
	return refuse(http.StatusNotFound, "node_unknown", "there is no node with this id")
}
