package server

import (
	"cmp"
	"net"
	"sync"
	"time"

	"log/slog"

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

// bindingSet are the connections between writing their route and entering the hub.
// The zero value is empty.
type bindingSet struct {
	mu  sync.Mutex
	ids map[uint64]struct{}
}

func (b *bindingSet) add(id uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ids == nil {
		b.ids = make(map[uint64]struct{})
	}
	b.ids[id] = struct{}{}
}

func (b *bindingSet) remove(id uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ids, id)
}

// names lists the connections as routes name them.
func (b *bindingSet) has(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.ids { // a few: as many as the store pool has workers
		if connName(id) == name {
			return true
		}
	}
	return false
}

// seldom logs what may happen thousands of times a second at most once in five
// seconds, with how often it happened. The zero value is ready.
type seldom struct {
	mu    sync.Mutex
	next  time.Time
	count int
}

func (s *seldom) warn(log *slog.Logger, text string, args ...any) {
	s.mu.Lock()
	s.count++
	now := time.Now()
	if now.Before(s.next) {
		s.mu.Unlock()
		return
	}
	count := s.count
	s.count, s.next = 0, now.Add(5*time.Second)
	s.mu.Unlock()
	log.Warn(text, append(args, "times", count)...)
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
