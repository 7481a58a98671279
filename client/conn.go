package client

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Conn is one connection of a device, past its handshake. It runs no goroutine:
// [Conn.Receive] reads when it is called, and a timer sends the heartbeats. All
// methods may be called by several goroutines. A Conn must be closed.
//
// An idle Conn holds its read buffer (512 bytes unless DeviceOptions.ReadBuffer
// says otherwise) and one expanded AES key; the rest is taken while a packet is
// handled.
type Conn struct {
	nc        net.Conn
	limit     int           // bytes of a body, as sent and as inflated
	threshold int           // bytes of a body that are still sent uncompressed
	patience  time.Duration // for a reply
	session   Session
	resumed   bool
	heartbeat time.Duration // as negotiated
	pulse     pulse

	// turn is held by whoever reads: a Receive, or a request that waits for its
	// reply while nobody receives. It guards the fields up to the blank line.
	turn    chan struct{}
	buf     []byte
	unread  []byte // the rest of buf
	decoder protocol.Decoder
	opener  *protocol.Cipher
	queue   []protocol.Packet // read by requests, for Receive
	watched <-chan struct{}   // Done of the context that ends reads

	reading atomic.Bool // somebody waits for bytes
	heard   atomic.Bool // bytes came since the last heartbeat was sent
	lastID  atomic.Int32

	writing sync.Mutex // held for one frame; every write has a deadline
	writeBy time.Time  // the deadline, pushed on by each heartbeat

	mu      sync.Mutex
	cause   error // why the connection ended; nil while it lives
	waiters []*waiter
	timer   *time.Timer // the next heartbeat
	unwatch func()
	helpers sync.WaitGroup // timer and context callbacks that may still run
}

// past is a deadline that has been over for long.
var past = time.Unix(1, 0)

func newConn(nc net.Conn, o *DeviceOptions) *Conn {
	return &Conn{
		nc: nc, limit: o.MaxPacket, threshold: o.CompressThreshold, patience: o.RequestTimeout,
		turn: make(chan struct{}, 1), buf: make([]byte, o.ReadBuffer),
	}
}

// Session is the session in force, new or resumed.
func (c *Conn) Session() Session { return c.session }

// Resumed tells whether the session was resumed, without a full handshake.
func (c *Conn) Resumed() bool { return c.resumed }

// HeartbeatInterval is what the server asks for: it takes a device that says
// nothing for some of these to be gone.
func (c *Conn) HeartbeatInterval() time.Duration { return c.heartbeat }

// LocalAddr is this end of the connection.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr is the server's end.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Err is why the connection ended, nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Close ends the connection. Calls that wait on it return [ErrClosed]. It returns
// when nothing of the connection runs any more but calls of others; a second call
// is allowed. The error is always nil.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	c.dropWatch()
	c.helpers.Wait()
	return nil
}

// fail ends the connection for a cause, the first of which counts, and returns
// that one. Requests that wait get it too.
func (c *Conn) fail(cause error) error {
	c.mu.Lock()
	if c.cause != nil {
		defer c.mu.Unlock()
		return c.cause
	}
	c.cause = cause
	waiters := c.waiters
	c.waiters = nil
	if c.timer != nil && c.timer.Stop() {
		c.helpers.Done()
	}
	c.mu.Unlock()
	_ = c.nc.Close() // the cause is what counts
	for _, w := range waiters {
		w.settle(cause)
	}
	return cause
}

// watch makes the end of ctx end the reads that follow. The registration stays
// until another context comes, so a loop with one context pays for it once.
func (c *Conn) watch(ctx context.Context) error {
	done := ctx.Done()
	if done == c.watched {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	c.dropWatchLocked()
	c.watched = done
	if err := c.nc.SetReadDeadline(time.Time{}); err != nil || done == nil {
		return err
	}
	c.helpers.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer c.helpers.Done()
		_ = c.nc.SetReadDeadline(past) // fails only if the connection ended
	})
	c.unwatch = func() {
		if stop() {
			c.helpers.Done()
		}
	}
	return nil
}

// stopWatching forgets a context that is about to be cancelled although nothing
// went wrong. Call with the turn.
func (c *Conn) stopWatching() {
	c.watched = nil
	c.dropWatch()
}

func (c *Conn) dropWatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropWatchLocked()
}

func (c *Conn) dropWatchLocked() {
	if c.unwatch != nil {
		c.unwatch()
		c.unwatch = nil
	}
}
