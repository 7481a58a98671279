package alloc

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// targetGroup is one entry of Prometheus's http_sd format.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// portOf is host:port of one of a node's ports; empty if it has none, or if that is closed
// on purpose.
type portOf func(cluster.Info) string

// opsPort is where Prometheus scrapes a node.
func opsPort(i cluster.Info) string { return i.Ops }

// probedPorts are those that others probe, by their names in ?port=.
func probedPorts(name string) (port portOf, ok bool) {
	switch name {
	case "device":
		return devicePort, true
	case "websocket":
		return webSocketPort, true
	case "gateway":
		return func(i cluster.Info) string { return i.Gateway }, true
	}
	return nil, false
}

// devicePort is closed while the node drains.
func devicePort(i cluster.Info) string {
	if i.State == cluster.Draining {
		return ""
	}
	return i.Device
}

// webSocketPort is closed while the node drains, too. Other programs know the scheme of
// what they probe.
func webSocketPort(i cluster.Info) string {
	u, err := url.Parse(i.WebSocket)
	if err != nil || u.Host == "" || i.State == cluster.Draining {
		return ""
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"ws": "80", "wss": "443"}[u.Scheme]))
}

// serveDiscovery is Prometheus's http_sd. While the membership is unknown it is an
// error, on which Prometheus keeps the targets that it has.
func (a *Allocator) serveDiscovery(w http.ResponseWriter, r *http.Request) error {
	port, probed := opsPort, false
	if query := r.URL.Query(); query.Has("port") {
		if port, probed = probedPorts(query.Get("port")); !probed {
			return invalid("port", "invalid_port", "%q is none of device, websocket, gateway", clip(query.Get("port")))
		}
	}
	nodes, ok := a.nodes()
	if !ok {
		return unknownMembership()
	}
	groups := []targetGroup{}
	for _, info := range targets(nodes.Nodes, port) {
		groups = append(groups, nodeGroup(info, port(info)))
	}
	if a.options.ListSelf && !probed {
		groups = append(groups, a.ownGroup(r))
	}
	return writeJSON(w, http.StatusOK, groups)
}

// targets are the nodes that are to be asked at a port of theirs, by id. The membership
// names nodes that were lost for 15 minutes more: if they went at once their series would go
// stale and no alert about them could ever fire. Nodes that drained are gone at once. The
// address of a lost node may belong to another by now, whose numbers must not be taken for
// those of the lost one.
func targets(nodes []cluster.Info, port portOf) []cluster.Info {
	living := make(map[string]bool, len(nodes))
	for _, info := range nodes {
		if info.State != cluster.Lost {
			living[port(info)] = true
		}
	}
	infos := make([]cluster.Info, 0, len(nodes))
	for _, info := range nodes {
		if address := port(info); address != "" && (info.State != cluster.Lost || !living[address]) {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b cluster.Info) int { return cmp.Compare(a.ID, b.ID) })
	return infos
}

func nodeGroup(info cluster.Info, address string) targetGroup {
	return targetGroup{[]string{address}, map[string]string{
		"node":                   info.ID,
		"__meta_fanfare_role":    "node",
		"__meta_fanfare_node":    info.ID,
		"__meta_fanfare_state":   string(info.State),
		"__meta_fanfare_version": info.Version,
	}}
}

// ownGroup is this allocator, as whoever asks has reached it unless it was told better.
func (a *Allocator) ownGroup(r *http.Request) targetGroup {
	address := cmp.Or(a.options.Advertise, r.Host, a.Addr().String())
	if _, _, err := net.SplitHostPort(address); err != nil { // a Host header of the default port
		address = net.JoinHostPort(strings.Trim(address, "[]"), "80")
	}
	return targetGroup{[]string{address}, map[string]string{
		"__meta_fanfare_role":      "allocator",
		"__meta_fanfare_allocator": a.options.ID,
		"__meta_fanfare_state":     string(cluster.Serving),
		"__meta_fanfare_version":   a.options.Version,
	}}
}
