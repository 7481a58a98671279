package server

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// conn is one device's connection, over TCP or WebSocket.
type conn struct {
	stream
	node   *Node
	id     uint64
	opened int64 // milliseconds on the node's clock

	lastRead atomic.Int64 // when the last whole packet came, on the node's clock

	// Owned by whoever drives the inbound side: the reader, or a pool's job while
	// the connection is paused.
	dec     protocol.Decoder // of the binary protocol
	ws      *wsConn          // nil on the binary protocol
	pending []byte           // arrived behind a request that is in a pool
	sniffed bool             // the first bytes were looked at for TLS

	// Guarded by the hub: slot and, for a bound connection, class and sibling.
	slot    int32
	class   protocol.ClientType
	sibling *conn

	mu        sync.Mutex
	transport protocol.Transport
	counted   bool                 // opened was counted
	pinged    bool                 // a WebSocket ping is unanswered
	end       protocol.CloseReason // why it was closed; CloseUnknown while it is open
	secured   bool                 // key is valid
	evicted   protocol.CloseReason // the user was taken from it: it is about to be closed for this reason
	device    *device              // nil before the handshake
	user      string               // empty while unbound
	tags      string
	bound     int64 // Unix milliseconds; while evicted is set, when that was
	key       protocol.SessionKey
	cipher    *protocol.Cipher // of key, for sending; made when first needed
	acks      *delivery        // waiting for the device's ack, linked by next
	awaited   int32            // how many they are
}

// device is what a handshake, or the session it resumed, told about the device.
type device struct {
	id                               string
	osName, osVersion, clientVersion unique.Handle[string] // few values, many devices
	heartbeat                        time.Duration
}

func (d *device) class() protocol.ClientType { return protocol.ClientTypeOf(d.osName.Value()) }

// initialHeartbeat is the interval MPush assumes before a handshake has agreed on one.
const initialHeartbeat = 10 * time.Second

func newConn(n *Node, nc net.Conn, t protocol.Transport, id uint64) *conn {
	c := &conn{node: n, id: id, opened: n.clock().Milliseconds(), transport: t}
	if t == protocol.WS {
		c.ws = new(wsConn)
	}
	c.stream.init(nc, c, &n.deviceStreams)
	c.lastRead.Store(c.opened)
	return c
}

// receive implements receiver. What comes behind a farewell asks for nothing any more.
func (c *conn) receive(data []byte) bool {
	if c.isClosed() {
		return false
	}
	if !c.sniffed {
		c.sniffed = true
		if c.sniff(data) {
			return false
		}
	}
	if c.ws != nil {
		return c.receiveWebSocket(data)
	}
	return c.receiveBinary(data)
}

// verdict is what handling a packet means for the ones behind it.
type verdict int

const (
	goOn   verdict = iota // handle the next
	paused                // a job took over and will resume
	stop                  // the connection is closed
)

// pass runs the packets of data through cut and handle until there are none, the
// connection closes or a request pauses it.
func (c *conn) pass(data []byte, cut func([]byte) (protocol.Packet, []byte, bool, error)) bool {
	for len(data) > 0 {
		p, rest, ok, err := cut(data)
		if err != nil {
			c.refuseBytes(err)
			return false
		}
		if !ok {
			return !c.isClosed()
		}
		c.touch()
		c.pending = rest // what later has to keep
		if c.handle(&p) != goOn {
			return false
		}
		data = rest
	}
	c.pending = nil
	return true
}

func (c *conn) touch() { c.lastRead.Store(c.node.clock().Milliseconds()) }

// later runs job in the pool while the connection is paused; job must end in resume.
// It closes the connection when the pool is full.
func (c *conn) later(p *pool, lane uint64, job func()) verdict {
	c.pending = bytes.Clone(c.pending)
	c.hold()
	if !p.submit(lane, job) {
		c.close(protocol.CloseOverload, false)
		c.drop()
		return stop
	}
	return paused
}

// resume goes on after a pause: first with what had arrived already.
func (c *conn) resume() {
	defer c.drop()
	rest := c.pending
	c.pending = nil
	if !c.isClosed() && (len(rest) == 0 || c.receive(rest)) {
		c.read()
	}
}

// ended implements receiver.
func (c *conn) ended(err error) {
	reason := protocol.CloseReset
	switch {
	case c.tlsFailed():
		reason = protocol.CloseTLS
	case err == io.EOF:
		reason = protocol.ClosePeer
	}
	c.close(reason, false)
}

func (c *conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != protocol.CloseUnknown
}

// close ends the connection for a reason; only the first call counts. With farewell
// the peer gets to read what was just sent.
func (c *conn) close(reason protocol.CloseReason, farewell bool) {
	c.mu.Lock()
	if c.end != protocol.CloseUnknown {
		c.mu.Unlock()
		return
	}
	if c.ws != nil && c.ws.framed() {
		farewell = c.sendCloseLocked(reason)
	}
	c.end = reason
	c.node.tasks.Add(1) // whoever closes, Stop waits for it as it did for the open connection
	defer c.node.tasks.Done()
	acks := c.acks
	c.acks, c.awaited = nil, 0
	c.countLocked()
	transport := c.transport
	c.mu.Unlock()
	user, class := c.forgetUser()

	c.node.hub.remove(c)
	c.node.http.left(c)
	c.node.metrics.Connections(transport).Dec()
	c.node.metrics.Closed(transport, reason).Inc()
	lasted := c.node.clock() - milliseconds(c.opened)
	c.node.metrics.ConnectionDuration.Observe(lasted.Seconds())
	if user != "" {
		c.node.background(c.id, func() { c.unregister(user, class) })
	}
	c.shut(farewell)
	for d := acks; d != nil; {
		next := d.next
		d.cut()
		d = next
	}
	c.node.log.Debug("connection closed", "conn", c.name(), "remote", c.nc.RemoteAddr().String(),
		"transport", transport.String(), "reason", reason.String(), "user", user,
		"lasted", lasted)
}

// countLocked counts the connection as opened once its transport is known.
func (c *conn) countLocked() {
	if !c.counted {
		c.counted = true
		c.node.metrics.Opened(c.transport).Inc()
		c.node.metrics.Connections(c.transport).Inc()
	}
}

// name is the connection's id as operators see it and routes hold it.
func (c *conn) name() string { return connName(c.id) }

// facts are what a filter may ask about the connection; the caller holds mu.
func (c *conn) facts() cluster.Facts {
	f := cluster.Facts{User: c.user, Tags: c.tags}
	if d := c.device; d != nil {
		f.ClientVersion, f.OSName, f.OSVersion = d.clientVersion.Value(), d.osName.Value(), d.osVersion.Value()
	}
	return f
}

// describe is the connection as the API shows it; ok is false if it is not bound
// to the user.
func (c *conn) describe(user string) (d cluster.Device, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.user != user || c.device == nil {
		return d, false
	}
	return cluster.Device{
		ClientType: c.device.class(), Node: c.node.opt.ID, Connection: c.name(), Since: time.UnixMilli(c.bound).UTC(),
		Online: true, DeviceID: c.device.id, OSName: c.device.osName.Value(), OSVersion: c.device.osVersion.Value(),
		ClientVersion: c.device.clientVersion.Value(), Tags: c.tags, Transport: c.transport.String(),
	}, true
}
