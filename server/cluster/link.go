package cluster

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// LinkOptions configure a [Link]. Self, Metrics and Logger are required.
type LinkOptions struct {
	Self   string // id of our node or allocator
	Secret string // that the nodes of the cluster share; empty = none
	// Dial connects to an address; nil is a plain TCP connection.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// QueueBytes bounds the memory of requests that the node does not have yet; more end
	// as rejected. Default 64 MiB.
	QueueBytes int
	// InFlight bounds the users whose pushes are written and not answered; more wait in
	// the queue. Default 65,536.
	InFlight int
	// Timeout is how long a push may take besides the wait for an ack; default 5 s.
	Timeout time.Duration
	// Ping is the time between two pings, default 2 s; Silence how long the node may say
	// nothing before the connection is given up, default 5 s. A Java node knows no pings.
	Ping, Silence time.Duration
	Metrics       *exporter.Metrics
	Logger        *slog.Logger
	Now           func() time.Time // nil means [time.Now]
}

func (o *LinkOptions) fill() {
	setDefault(&o.QueueBytes, 64<<20)
	setDefault(&o.InFlight, 1<<16)
	setDefault(&o.Timeout, 5*time.Second)
	setDefault(&o.Ping, 2*time.Second)
	setDefault(&o.Silence, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		// A Java node answers no pings: the kernel finds out that it is gone.
		dialer := net.Dialer{Timeout: o.Silence, KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}
	}
}

func setDefault[T int | time.Duration](option *T, value T) {
	if *option <= 0 {
		*option = value
	}
}

// Link hands work to one other node over one connection to its gateway, which it makes
// again whenever it is lost. It implements [Member]; no method but Close blocks.
//
// Every push ends within Timeout, plus the wait for an ack. While the node cannot be
// reached pushes wait; one that was not written by then ends as node_lost and unsent. A
// push that was written is never written a second time unless the node itself has said
// that it never arrived: after a connection broke, both sides tell each other what they
// have (see [protocol.LinkReady]), so that nothing is lost or doubled as long as both
// programs live. A broadcast that was written may take as long as the node shows that
// it goes on.
//
// A Java node gets GATEWAY_PUSH, one for each user and class of devices, and its answers
// become sent or acked (OK), offline (1), failed (2) and offline with Moved (3). Where it
// says nothing, which is its way to report a missing ack or a write that came too late,
// the push ends as ack_timeout if an ack was wanted and else as node_lost; one whose
// connection broke ends as node_lost. A push that names no class goes to all four,
// and ends as the best of them. A broadcast ends as sent, without counts. What a Java node
// would refuse by closing or could not filter ends as failed at once: frames over 10 KiB,
// tags and conditions for single users, and for broadcasts classes of devices or tags
// together with a condition.
type Link struct {
	o        LinkOptions
	log      *slog.Logger
	born     time.Time // zero of deadlines
	java     bool
	talk     dialect
	instance protocol.LinkNonce

	ctx    context.Context // of the goroutines
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	wake   chan struct{} // the writer has something to do

	heard atomic.Int64 // when the last byte came, on clock

	mu        sync.Mutex
	peer      Peer
	over      bool          // Lost or Close was called
	leaving   bool          // it takes no more, and ends when all that was written is answered
	answers   uint64        // that came
	told      *Info         // what the node last said of itself; nil: nothing yet
	skew      skew          // of its clock, over this connection
	roundTrip time.Duration // of the last ping
	err       error         // why the link is down; nil while it is up
	conn      net.Conn      // nil while the link is down
	logged    error         // what was last logged of err
	window    int           // of the node, if smaller than ours
	ackWait   time.Duration // of the node, for pushes that do not say
	pings     pings
	lastID    uint64 // of requests
	received  uint64 // number of the last result
	requests  requests
}

var _ Member = (*Link)(nil)

// defaultAckTimeout is assumed of a node that was never connected.
const defaultAckTimeout = 10 * time.Second

// NewLink makes a link to a node and starts to connect. [Link.Close] ends it.
func NewLink(p Peer, o LinkOptions) *Link {
	l := makeLink(p, o)
	o.Metrics.Links(exporter.LinkDown).Inc()
	l.tasks.Go(l.connect)
	l.tasks.Go(l.watch)
	return l
}

// makeLink makes one that does nothing yet.
func makeLink(p Peer, o LinkOptions) *Link {
	o.fill()
	l := &Link{
		o: o, log: o.Logger.With("peer", p.ID, "gateway", p.Gateway), born: time.Now(), java: p.Java(),
		wake: make(chan struct{}, 1), peer: p, err: errLinkDown, ackWait: defaultAckTimeout, window: o.InFlight,
	}
	_, _ = rand.Read(l.instance[:]) // never fails since Go 1.24
	l.talk = &fanfareTalk{link: l}
	if l.java {
		l.talk = &javaTalk{link: l}
	}
	l.requests.init(o.Metrics)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Update tells what the registry now says of the node. Its id, address and language
// must be the same.
func (l *Link) Update(p Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peer = p
}

// Lost ends everything because the registry says that the node is gone: pushes, those
// to come as well, end as node_lost, and the link connects no more.
func (l *Link) Lost() { l.end() }

// Close does so and waits until nothing of the link runs any more. It must not be called
// by a tracker.
func (l *Link) Close() {
	l.end()
	l.tasks.Wait()
}

func (l *Link) end() { l.endAll(l.giveUp(), exporter.ResultError) }

// giveUp makes the link a lost one and returns the requests that the caller is to end.
func (l *Link) giveUp() []*request {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.over = true
		l.o.Metrics.Links(l.stateLocked()).Dec()
	}
	return l.requests.clear()
}

// leave lets the node answer what it has, and then ends the link. What was not written
// ends at once.
func (l *Link) leave() {
	l.mu.Lock()
	l.leaving = true
	list := l.requests.clearQueue()
	l.mu.Unlock()
	l.endAll(list, exporter.ResultError)
}

// left reports whether a link that is leaving has nothing more to wait for; the caller
// holds mu.
func (l *Link) left() bool {
	return l.leaving && (l.conn == nil || len(l.requests.pending) == 0)
}

func (l *Link) stateLocked() exporter.LinkState {
	if l.conn == nil {
		return exporter.LinkDown
	}
	return exporter.LinkUp
}

// Err is why the link is not connected, nil while it is.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Info implements [Member]: what the registry says of the node, and what it says itself.
func (l *Link) Info() Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &l.peer
	info := Info{
		ID: p.ID, Device: p.Device, WebSocket: p.WebSocket, Gateway: p.Gateway, Ops: p.Ops, State: p.State,
		Weight: max(1, p.Weight), Java: l.java, Version: p.Version, Since: p.Since,
	}
	if info.State == "" {
		info.State = Serving
	}
	info.Unheard = l.told == nil
	if l.told != nil {
		info.Connections, info.Users, info.Canary = l.told.Connections, l.told.Users, l.told.Canary
		if l.told.State == Draining {
			info.State = Draining
		}
	}
	if l.over {
		info.State = Lost
	}
	info.Skew, info.SkewKnown = l.skew.ahead, l.skew.known && l.conn != nil && !l.over
	return info
}

// clock is the time since the link was made, which nobody sets.
func (l *Link) clock() time.Duration { return time.Since(l.born) }

// rouse tells the writer that there is something to do.
func (l *Link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
