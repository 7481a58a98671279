package server

import (
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Bounds of what is remembered of links.
const (
	maxLinkMemories = 256             // over it the one that was left first is forgotten
	linkMemoryTime  = 5 * time.Minute // how long a link is remembered that does not come back
)

// linkKey names the calling side of a link over all its connections.
type linkKey struct {
	id       string
	instance protocol.LinkNonce
}

// links is what this node remembers of the links to it.
type links struct {
	mu       sync.Mutex
	memories map[linkKey]*linkMemory
	refused  map[string]protocol.LinkRefusal // last refusals that were logged
}

// of returns the memory of a link, a new one if there is none.
func (l *links) of(key linkKey, n *Node) *linkMemory {
	now := n.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.refused, key.id)
	m := l.memories[key]
	if m == nil {
		l.makeRoom(now)
		m = &linkMemory{limit: n.opt.Limits.GatewayInFlight, node: n}
		if l.memories == nil {
			l.memories = make(map[linkKey]*linkMemory)
		}
		l.memories[key] = m
	}
	return m
}

// makeRoom forgets links that did not come back, and of those that may the one that
// was left first if there are too many.
func (l *links) makeRoom(now time.Duration) {
	var oldest linkKey
	first := now + 1
	for key, m := range l.memories {
		left, gone := m.leftAt()
		switch {
		case gone && now-left > linkMemoryTime:
			delete(l.memories, key)
		case gone && left < first:
			oldest, first = key, left
		}
	}
	if len(l.memories) >= maxLinkMemories && first <= now {
		delete(l.memories, oldest)
	}
}

// maxRefusals bounds how many peers are remembered that were refused.
const maxRefusals = 256

// firstRefusal reports whether a peer was not refused for the same reason just before.
func (l *links) firstRefusal(id string, code protocol.LinkRefusal) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.refused[id]; ok && last == code {
		return false
	}
	if l.refused == nil || len(l.refused) >= maxRefusals {
		l.refused = make(map[string]protocol.LinkRefusal)
	}
	l.refused[id] = code
	return true
}

// linkMemory is what a link must not forget when its connection breaks: which requests
// have come, and the results that the peer may not have. The lock order is its mu, then
// that of the gateway connection.
type linkMemory struct {
	node  *Node
	limit int // users in flight, and results that are kept

	mu      sync.Mutex
	conn    *gateway // the one connection that may ask and is answered; nil: none
	known   bool     // it had one before
	left    time.Duration
	last    uint64 // highest number of a request
	running int    // users whose push has not ended
	casts   map[uint64]*linkCast
	frame   []byte // scratch

	// The peer has at most limit requests without a result, and results arrive in order:
	// so the last limit results are always enough.
	results []byte  // encoded, one after the other
	sizes   []uint8 // of each
	first   uint64  // number of the first of them, from 1
}

func (m *linkMemory) leftAt() (at time.Duration, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left, m.conn == nil && m.known
}

// attach makes w the connection of the link: what an older one still delivers is not
// listened to from here on. It says what is known and repeats the results that the
// peer does not have. old is to be closed.
func (m *linkMemory) attach(w *gateway, received uint64, ready *protocol.LinkReady) (old *gateway, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, m.conn = m.conn, w
	ready.Resumed, ready.Last = m.known, m.last
	if !m.known {
		m.known, m.first = true, 1
	}
	m.forgetLocked(received)
	body, _ := ready.AppendBinary(nil) // never fails
	frames := protocol.AppendPacket(m.frame[:0], protocol.Packet{Command: protocol.CmdLinkReady, Body: body})
	number, rest := m.first, m.results
	for _, size := range m.sizes {
		frames = appendResult(frames, protocol.CmdLinkResults, number, rest[:size])
		number, rest = number+1, rest[size:]
	}
	m.keepFrame(frames)
	return old, w.put(frames)
}

func appendResult(dst []byte, cmd protocol.Command, number uint64, result []byte) []byte {
	const first = 8
	dst = protocol.AppendHeader(dst, cmd, 0, 0, first+len(result))
	return append(protocol.AppendLinkResults(dst, number), result...)
}

func (m *linkMemory) keepFrame(frame []byte) {
	if m.frame = frame; cap(frame) > maxScratch {
		m.frame = nil
	}
}

// detach notes that a connection has ended.
func (m *linkMemory) detach(w *gateway) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == w {
		m.conn, m.left = nil, m.node.clock()
	}
}

// begin notes that a request has come over w, for so many users. It is false if w is
// not the link's connection any more.
func (m *linkMemory) begin(w *gateway, request uint64, users int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != w {
		return false
	}
	m.last = max(m.last, request)
	m.running += users
	return true
}

// full reports whether there are more users in flight than the peer was told.
func (m *linkMemory) full(users int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running > users && m.running > m.limit
}

// deliver keeps a result and sends it; it ends the push for so many users. The error is
// for the connection's survives.
func (m *linkMemory) deliver(r *protocol.LinkResult, users int) (w *gateway, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running -= users
	delete(m.casts, r.Request)
	if len(m.sizes) >= m.limit {
		m.forgetLocked(m.first)
	}
	start := len(m.results)
	m.results = r.AppendBinary(m.results)
	result := m.results[start:]
	m.sizes = append(m.sizes, uint8(len(result)))
	if m.conn == nil {
		return nil, nil
	}
	m.keepFrame(appendResult(m.frame[:0], protocol.CmdLinkResults, m.first+uint64(len(m.sizes))-1, result))
	return m.conn, m.conn.put(m.frame)
}

// forget drops the results up to a number, which the peer has, and returns the number
// of the last request.
func (m *linkMemory) forget(received uint64) (last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetLocked(received)
	return m.last
}

func (m *linkMemory) forgetLocked(received uint64) {
	n, bytes := 0, 0
	for n < len(m.sizes) && m.first+uint64(n) <= received {
		bytes += int(m.sizes[n])
		n++
	}
	m.first += uint64(n)
	m.sizes, m.results = m.sizes[n:], m.results[bytes:]
	if len(m.sizes) == 0 {
		m.sizes, m.results = nil, nil
	}
}

// start remembers a broadcast that runs, and showProgress says of all of them that they
// do: the peer gives up one of which it hears nothing.
func (m *linkMemory) start(c *linkCast) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.casts == nil {
		m.casts = make(map[uint64]*linkCast)
	}
	m.casts[c.request] = c
}

func (m *linkMemory) showProgress(w *gateway) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != w || len(m.casts) == 0 {
		return nil
	}
	frames := m.frame[:0]
	for _, c := range m.casts {
		frames = appendResult(frames, protocol.CmdLinkProgress, 0, c.progress.AppendBinary(nil))
	}
	m.keepFrame(frames)
	return w.put(frames)
}

// note takes the progress of a broadcast, unless it has ended.
func (m *linkMemory) note(c *linkCast, r *protocol.LinkResult) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.casts[c.request] == c {
		c.progress = *r
	}
}
