package cluster

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// The attributes that Fanfare adds to its entries. MPush ignores them.
const (
	attrID       = "fanfare_id"
	attrLink     = "fanfare_link"
	attrOps      = "fanfare_ops"
	attrWS       = "fanfare_ws"
	attrState    = "fanfare_state"
	attrVersion  = "fanfare_version"
	attrSince    = "fanfare_since"
	attrPublicIP = "fanfare_public_ip"
	attrWeight   = "fanfare_weight"
	// MPush's own, in device entries.
	attrMPushWeight   = "weight"
	attrMPushPublicIP = "public_ip"
)

// entry is what was read of a node under cs, ws or gs.
type entry struct {
	znode
	service service
	name    string
	owner   int64 // session; 0 if a person made it
	created int64 // larger for later ones
	since   time.Time
}

// mergePeers puts the entries of nodes together; see [ZooKeeper.Peers]. hidden says
// which nodes were left out, one text for each.
func mergePeers(entries []entry) (peers []Peer, hidden []string) {
	m := peerMerge{byID: make(map[string][numServices][]entry), bySession: make(map[int64][numServices][]entry)}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.created, a.created), strings.Compare(a.name, b.name))
	})
	for _, e := range entries {
		if id := e.text(attrID); id != "" {
			sorted := m.byID[id]
			sorted[e.service] = append(sorted[e.service], e)
			m.byID[id] = sorted
			continue
		}
		sorted := m.bySession[e.owner]
		sorted[e.service] = append(sorted[e.service], e)
		m.bySession[e.owner] = sorted
	}
	m.fanfare()
	m.java()
	return m.result()
}

// found is a peer with the age of what it was made of.
type found struct {
	Peer
	created int64
}

type peerMerge struct {
	byID      map[string][numServices][]entry
	bySession map[int64][numServices][]entry
	found     []found
}

// fanfare makes peers of the entries that name their node. The newest of a kind
// stands; one of an earlier life of the node is on its way out.
func (m *peerMerge) fanfare() {
	for id, kinds := range m.byID {
		if len(kinds[gatewayService]) == 0 {
			continue // its gateway comes in a moment, or went a moment ago
		}
		gateway := kinds[gatewayService][0]
		p := fanfarePeer(id, gateway)
		if d := sameSession(kinds[deviceService], gateway.owner); d != nil {
			p.Device = d.address()
		}
		if w := sameSession(kinds[webSocketService], gateway.owner); w != nil {
			p.WebSocket = webSocketURL(gateway.text(attrWS), *w)
		}
		m.found = append(m.found, found{p, gateway.created})
	}
}

func fanfarePeer(id string, gateway entry) Peer {
	p := Peer{
		ID: id, Gateway: gateway.address(), PublicIP: gateway.text(attrPublicIP), Weight: gateway.number(attrWeight),
		Link: gateway.number(attrLink), State: Serving, Version: gateway.text(attrVersion), Since: gateway.since,
	}
	if gateway.text(attrState) == string(Draining) {
		p.State = Draining
	}
	if host, port, err := net.SplitHostPort(gateway.text(attrOps)); err == nil && isHost(host) && port != "" {
		p.Ops = gateway.text(attrOps)
	}
	if t, err := time.Parse(time.RFC3339Nano, gateway.text(attrSince)); err == nil {
		p.Since = t
	}
	return p
}

func sameSession(entries []entry, owner int64) *entry {
	for i := range entries {
		if entries[i].owner == owner {
			return &entries[i]
		}
	}
	return nil
}

func webSocketURL(url string, e entry) string {
	if strings.HasPrefix(url, "ws://") || strings.HasPrefix(url, "wss://") {
		return url
	}
	return "ws://" + e.address() + "/"
}

// java makes peers of MPush's entries.
func (m *peerMerge) java() {
	for owner, kinds := range m.bySession {
		taken := make(map[string]bool) // names of device entries
		for _, gateway := range kinds[gatewayService] {
			p := Peer{ID: gateway.address(), Gateway: gateway.address(), Weight: 1, State: Serving, Since: gateway.since}
			if d := match(gateway, kinds[gatewayService], kinds[deviceService], owner); d != nil {
				taken[d.name] = true
				p.Device, p.PublicIP, p.Weight = javaDevice(*d)
			}
			if w := match(gateway, kinds[gatewayService], kinds[webSocketService], owner); w != nil {
				p.WebSocket = webSocketURL("", *w)
			}
			m.found = append(m.found, found{p, gateway.created})
		}
		for _, d := range kinds[deviceService] {
			if taken[d.name] {
				continue
			}
			p := Peer{State: Serving, Since: d.since}
			p.Device, p.PublicIP, p.Weight = javaDevice(d)
			m.found = append(m.found, found{p, d.created})
		}
	}
}

// javaDevice is the address that MPush's allocator gives to devices, the name of the
// node's online list and its weight.
func javaDevice(e entry) (address, publicIP string, weight int) {
	if ip := e.text(attrMPushPublicIP); isHost(ip) {
		e.Host = ip
	}
	return e.address(), e.Host, e.number(attrMPushWeight)
}

// match finds the entry that belongs to a gateway: the only one of the same session,
// whatever its host, as devices may know the node by a public address; or else the
// only one on the same host if the gateway is the only one there.
func match(gateway entry, gateways, others []entry, owner int64) *entry {
	if owner != 0 && len(gateways) == 1 && len(others) == 1 {
		return &others[0]
	}
	if len(onHost(gateways, gateway.Host)) != 1 {
		return nil
	}
	if there := onHost(others, gateway.Host); len(there) == 1 {
		return &there[0]
	}
	return nil
}

func onHost(entries []entry, host string) (there []entry) {
	for _, e := range entries {
		if e.Host == host {
			there = append(there, e)
		}
	}
	return there
}

// result lists the peers by id. Only one process can listen on an address, so of two
// with the same gateway the newer has it; devices may still know the other's address.
func (m *peerMerge) result() (peers []Peer, hidden []string) {
	slices.SortFunc(m.found, func(a, b found) int { return cmp.Compare(b.created, a.created) })
	gateways, devices, ids := make(map[string]string), make(map[string]bool), make(map[string]bool)
	keep := func(p Peer) {
		devices[p.Device], ids[p.ID] = true, true
		peers = append(peers, p)
	}
	var apart []Peer
	for _, f := range m.found {
		by := gateways[f.Gateway]
		if f.Gateway != "" && by == "" {
			gateways[f.Gateway] = f.ID
			keep(f.Peer)
			continue
		}
		if f.Gateway != "" {
			hidden = append(hidden, fmt.Sprintf("%s: %s has its gateway %s", f.ID, by, f.Gateway))
			f.Gateway = ""
		}
		apart = append(apart, f.Peer)
	}
	for _, p := range apart {
		if p.Java() {
			p.ID = p.Device
		}
		if p.Device != "" && !devices[p.Device] && !ids[p.ID] {
			keep(p)
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(a.ID, b.ID) })
	return peers, hidden
}
