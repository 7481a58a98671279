package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// maxGreeting bounds the answer to the first request of a connection, in bytes.
// ZooKeeper's has 37 or 41.
const maxGreeting = 4 << 10

// zkWire dials for the ZooKeeper library, which has one connection at a time, and
// watches over it: it remembers why the last one failed and can end it for good.
type zkWire struct {
	ctx    context.Context
	cancel context.CancelFunc
	bound  time.Duration // the longest a server may take for its first answer

	mu      sync.Mutex
	socket  *zkSocket // the last one
	last    error
	timeout time.Duration // of the session, as the server wants it
}

func newZKWire(bound time.Duration) *zkWire {
	ctx, cancel := context.WithCancel(context.Background())
	return &zkWire{ctx: ctx, cancel: cancel, bound: bound}
}

// dial is a zk.Dialer. Names are looked up each time.
func (w *zkWire) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(w.ctx, network, address)
	if err != nil {
		w.failed(err)
		return nil, err
	}
	s := &zkSocket{Conn: c, wire: w, address: address}
	w.replace(s)
	if w.ctx.Err() != nil { // end came in between
		w.replace(nil)
	}
	return s, nil
}

// replace closes the last connection, which the library does not do with one over
// which it heard that its session has expired.
func (w *zkWire) replace(s *zkSocket) {
	w.mu.Lock()
	old := w.socket
	w.socket = s
	w.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

func (w *zkWire) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = err
}

// reason is why the last connection failed, nil if none has.
func (w *zkWire) reason() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *zkWire) granted(timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if timeout > 0 {
		w.timeout = timeout
	}
}

// sessionTimeout is what the server granted, 0 before there was a session.
func (w *zkWire) sessionTimeout() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.timeout
}

// end closes the connection and makes every later dial fail.
func (w *zkWire) end() {
	w.cancel()
	w.replace(nil)
}

// zkSocket is a connection whose first exchange always ends: the library takes the
// first four bytes that arrive for a length, without a bound in memory or time, which
// would be fatal with a server that is not ZooKeeper. Later reads it bounds itself.
type zkSocket struct {
	net.Conn
	wire    *zkWire
	address string
	begun   bool // the first request was written
	greeted bool // the first answer was read
	answer  []byte
}

// Read implements net.Conn.
func (s *zkSocket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err == nil && !s.greeted {
		err = s.greeting(p[:n])
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.wire.failed(fmt.Errorf("read from %s: %w", s.address, err))
	}
	return n, err
}

// greeting looks at the first answer: its length, the version of the protocol, the
// timeout of the session in milliseconds, and more.
func (s *zkSocket) greeting(p []byte) error {
	s.answer = append(s.answer, p...)
	if len(s.answer) < 4 {
		return nil
	}
	length := binary.BigEndian.Uint32(s.answer)
	if length < 8 || length > maxGreeting {
		return errors.New("the server does not answer as ZooKeeper does")
	}
	if len(s.answer) < 4+int(length) {
		return nil
	}
	s.greeted = true
	s.wire.granted(time.Duration(binary.BigEndian.Uint32(s.answer[8:])) * time.Millisecond)
	s.answer = nil
	return nil
}

// lastSeen is where the first request says which change the client saw last: after
// its length and the version of the protocol.
const lastSeen = 8

// Write implements net.Conn, with two differences. In the first request it takes back
// which change was seen last: a server that lost its data would never let this process
// in again. A server that is behind is made to catch up instead; see
// zkSession.prepare. And a write that fails ends the connection without an error, so
// that the reader finds the fault: the library answers a request twice if its write
// fails, and when that is the credential of a new connection, it waits for ever for
// somebody to take the second answer.
func (s *zkSocket) Write(p []byte) (int, error) {
	if !s.begun && len(p) >= lastSeen+8 {
		s.begun = true
		p = slices.Clone(p)
		clear(p[lastSeen : lastSeen+8])
	}
	if _, err := s.Conn.Write(p); err != nil {
		if !errors.Is(err, net.ErrClosed) {
			s.wire.failed(fmt.Errorf("write to %s: %w", s.address, err))
		}
		_ = s.Conn.Close()
	}
	return len(p), nil
}

// SetReadDeadline implements net.Conn. During the first exchange no deadline means the
// latest.
func (s *zkSocket) SetReadDeadline(t time.Time) error {
	if s.greeted {
		return s.Conn.SetReadDeadline(t)
	}
	if latest := time.Now().Add(s.wire.bound); t.IsZero() || t.After(latest) {
		t = latest
	}
	return s.Conn.SetReadDeadline(t)
}

// zkHosts gives the library one server after the other, by name: its own way looks
// names up once, when it is made, and fails if it cannot.
type zkHosts struct {
	mu      sync.Mutex
	servers []string
	next    int
	failed  int // since the last connection
}

// Init implements zk.HostProvider.
func (h *zkHosts) Init(servers []string) error {
	h.servers = servers
	return nil
}

// Len implements zk.HostProvider.
func (h *zkHosts) Len() int { return len(h.servers) }

// Next implements zk.HostProvider. pause is true when all servers were tried.
func (h *zkHosts) Next() (server string, pause bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	server = h.servers[h.next%len(h.servers)]
	pause = h.failed > 0 && h.failed%len(h.servers) == 0
	h.next++
	h.failed++
	return server, pause
}

// Connected implements zk.HostProvider.
func (h *zkHosts) Connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = 0
}
