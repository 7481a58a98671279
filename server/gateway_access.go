package server

import (
	"net"
	"net/netip"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// The protocol of back ends has no credentials, so addresses decide who may push. A
// node or allocator at any other address has to prove the secret of the cluster
// before anything else that it says is listened to.

const (
	// maxStrangers may be connected that have proved nothing yet; the next is closed.
	maxStrangers = 64
	// strangerTime is how long one may take for it at most (handshake_timeout).
	strangerTime = 10 * time.Second
	// strangerBytes is the longest body that one may send.
	strangerBytes = 4 << 10
)

// trusts reports whether a back end at this address may push without credentials.
func (o *Options) trusts(remote net.Addr) bool {
	tcp, ok := remote.(*net.TCPAddr)
	return ok && trusted(tcp.AddrPort().Addr(), o.GatewayAllow)
}

// trusted reports whether an address is of this machine, private (RFC 1918, and RFC
// 4193 for IPv6) or in one of the networks. Link-local addresses, which nobody has to
// be given, are not.
func trusted(a netip.Addr, allow []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsPrivate() {
		return true
	}
	for _, network := range allow {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// awaitProof closes the connection of a stranger who does not say who it is.
func (w *gateway) awaitProof() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != protocol.CloseUnknown {
		return
	}
	w.proof = time.AfterFunc(min(strangerTime, w.node.opt.Limits.HandshakeTimeout), func() {
		if w.stranger.Load() {
			w.turnAway(protocol.CloseHandshakeTimeout)
		}
	})
}

// proved is called when the other end has proved the secret of the cluster. It may
// push from now on, whatever its address is.
func (w *gateway) proved() {
	g := &w.node.gateways
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.stranger.Swap(false) {
		g.strangers--
	}
}

// turnAway closes the connection of a stranger who did not prove the secret.
func (w *gateway) turnAway(reason protocol.CloseReason) {
	w.node.gateways.refused.Warn(w.node.log, "gateway connection refused: its address may not push and it did not prove the gateway secret",
		"remote", w.nc.RemoteAddr().String())
	w.end(reason, false)
}
