package server

import "github.com/fanfare-push/fanfare/protocol"

// linkPeer is another node or allocator at the other end of a gateway connection.
type linkPeer struct{}

// link takes a frame of a link; see the commands in package protocol. False stops the
// reading: the connection was closed. The caller has checked who may connect.
func (w *gateway) link(p *protocol.Packet) (more bool) {
	w.fail(p, protocol.CodeUnsupportedCommand, protocol.CloseUnsupported)
	return false
}

// frameLimit is the longest body that the other end may send now, in bytes.
func (w *gateway) frameLimit() int {
	if w.peer != nil {
		return protocol.MaxLinkFrame
	}
	return w.node.opt.Limits.GatewayPacketBytes
}
