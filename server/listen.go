package server

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

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
	net.Listener
	node *Node
	kind kind
	once sync.Once
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
		n.listeners = append(n.listeners, &listener{Listener: l, node: n, kind: port.kind})
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

func (l *listener) close() { l.once.Do(func() { _ = l.Listener.Close() }) }

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

// The pause after a failed accept: without it an exhausted file table would be a
// busy loop. It doubles while the trouble lasts.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// serve accepts until the listener is closed. A trouble that lasts is logged once
// when it begins and once when it is over.
func (l *listener) serve() {
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			pause = l.trouble(err, pause)
			continue
		case pause > 0:
			l.node.log.Info("accepting connections again", "port", string(l.kind))
			pause = 0
		}
		l.welcome(nc)
	}
}

func (l *listener) trouble(err error, pause time.Duration) time.Duration {
	kind := exporter.AcceptOther
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		kind = exporter.AcceptEMFILE
	}
	l.node.metrics.AcceptErrors(kind).Inc()
	if pause == 0 {
		l.node.log.Error("cannot accept connections, open ones go on; trying again", "port", string(l.kind), "err", err)
		pause = firstPause
	}
	select {
	case <-l.node.quit:
	case <-time.After(pause):
	}
	return min(2*pause, lastPause)
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

// unlimited is the capacity where the limit of open files is unknown.
const unlimited = 1 << 20

func fileCapacity() int {
	files := openFileLimit()
	if files <= 0 || files > unlimited {
		return unlimited
	}
	return max(files-reservedFiles, files/2)
}
