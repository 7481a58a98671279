package server

import (
	"fmt"
	"net"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// kind is what a listener is for.
type kind string

const (
	kindDevice    kind = "device"
	kindWebSocket kind = "websocket"
	kindGateway   kind = "gateway"
)

// listener accepts connections on one port.
type listener struct {
	*exporter.Listener
	node *Node
	kind kind
}

// listen binds every port that is not turned off.
func (n *Node) listen() error {
	for _, port := range []struct {
		kind    kind
		address string
	}{
		{kindDevice, n.opt.Listen.Device}, {kindWebSocket, n.opt.Listen.WebSocket}, {kindGateway, n.opt.Listen.Gateway},
	} {
		if port.address == "" {
			continue
		}
		l, err := net.Listen("tcp", port.address)
		if err != nil {
			return fmt.Errorf("node.listen.%s: %w", port.kind, err)
		}
		patient := exporter.NewListener(l, exporter.ListenerOptions{
			Port: string(port.kind), Spare: exporter.SpareOfDevices, Metrics: n.metrics, Logger: n.log})
		n.listeners = append(n.listeners, &listener{Listener: patient, node: n, kind: port.kind})
	}
	return nil
}

// Addr is the address a port was bound to, nil if it is turned off. kind is
// "device", "websocket" or "gateway".
func (n *Node) Addr(k kind) net.Addr {
	for _, l := range n.listeners {
		if l.kind == k {
			return l.Addr()
		}
	}
	return nil
}

// address is Addr for a log line.
func (n *Node) address(k kind) string {
	if a := n.Addr(k); a != nil {
		return a.String()
	}
	return "off"
}

func (l *listener) close() { _ = l.Close() }

func (n *Node) closeListeners() {
	for _, l := range n.listeners {
		l.close()
	}
}

func (n *Node) closeDeviceListeners() {
	for _, l := range n.listeners {
		if l.kind != kindGateway {
			l.close()
		}
	}
}

// serve accepts until the listener is closed.
func (l *listener) serve() {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		l.welcome(nc)
	}
}

// welcome starts a connection of the listener's kind.
func (l *listener) welcome(nc net.Conn) {
	n := l.node
	if l.kind == kindGateway {
		n.gateways.accept(n, nc)
		return
	}
	transport := protocol.TCP
	if l.kind == kindWebSocket {
		transport = protocol.WS
	}
	n.accept(nc, transport)
}

// accept takes over a device's connection. Beyond the node's capacity it is closed
// at once: a device that sees that tries another node.
func (n *Node) accept(nc net.Conn, transport protocol.Transport) {
	if n.hub.conns.Load() >= int64(n.capacity) {
		n.metrics.Opened(transport).Inc()
		n.metrics.Closed(transport, protocol.CloseCapacity).Inc()
		_ = nc.Close()
		return
	}
	n.setBuffers(nc)
	c := newConn(n, nc, transport, n.connIDs.Add(1))
	if n.opt.TLS == nil {
		c.sniffed = true
		c.countLocked()
	}
	n.hub.add(c)
	c.read()
}

// setBuffers sizes the socket's buffers. A system that refuses leaves its own, which
// does no harm but to memory.
func (n *Node) setBuffers(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	if size := n.opt.Limits.SendBuffer; size > 0 {
		_ = tcp.SetWriteBuffer(size)
	}
	if size := n.opt.Limits.ReceiveBuffer; size > 0 {
		_ = tcp.SetReadBuffer(size)
	}
}

// reservedFiles are kept for everything that is not a device's connection: logs,
// stores, scrapes, back ends.
const reservedFiles = 256

// unlimited is the capacity where the number of open files has no limit.
const unlimited = 1 << 20

// fileCapacity is how many devices a process may serve that can open so many files.
func fileCapacity(files int) int {
	if files <= 0 {
		return unlimited
	}
	return max(files-reservedFiles, files/2)
}

// capacityOf is what is asked for, 0 for as much as can be, as far as the files go.
// More would use up the files that everything else needs.
func (n *Node) capacityOf(asked int) int {
	files := exporter.OpenFileLimit()
	allowed := fileCapacity(files)
	if asked > allowed {
		n.log.Warn("limits.max_connections is more than the limit of open files allows and is cut down; raise that limit (ulimit -n, LimitNOFILE)",
			"max_connections", asked, "allowed", allowed, "open_files_limit", files)
	}
	if asked <= 0 || asked > allowed {
		return allowed
	}
	return asked
}
