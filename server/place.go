package server

import (
	"cmp"
	"net"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// place is how others find this node: as routes and the registry say it.
type place struct {
	Address  string // host:port of the gateway
	PublicIP string // names the online list
}

// findPlace needs the bound ports.
func (n *Node) findPlace() place {
	p := place{Address: n.advertised(kindGateway, n.opt.Advertise.Gateway), PublicIP: n.opt.PublicIP}
	if p.PublicIP == "" {
		device := cmp.Or(n.advertised(kindDevice, n.opt.Advertise.Device), n.advertised(kindWebSocket, n.opt.Advertise.WebSocket))
		p.PublicIP, _, _ = net.SplitHostPort(device) // empty if there is no port for devices
	}
	return p
}

// PublicIP names the node's online list in the store.
func (n *Node) PublicIP() string { return n.place.PublicIP }

// peer is what the node announces in its present state.
func (n *Node) peer() cluster.Peer {
	info := n.Info()
	p := cluster.Peer{
		ID: info.ID, Gateway: n.place.Address, Ops: info.Ops, PublicIP: n.place.PublicIP, Weight: max(1, info.Weight),
		Link: cluster.LinkVersion, State: info.State, Version: info.Version, Since: info.Since,
	}
	if info.State == cluster.Serving {
		p.Device, p.WebSocket = info.Device, info.WebSocket
	}
	return p
}

// PrivateAddress is [HostAddress] if that is a private one, which only neighbours can
// reach, else loopback.
func PrivateAddress() string {
	host := HostAddress()
	if ip := net.ParseIP(host); ip != nil && ip.IsPrivate() {
		return host
	}
	return "127.0.0.1"
}
