package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// The pause before a link is made again, which doubles while that fails.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// dialect is how requests are put to a node: one for ours, one for those in Java.
type dialect interface {
	// open says the first words on a new connection. Requests may follow when it
	// returns nil.
	open(c *linkConn) error
	// fits tells why a push cannot be put to the node, nil if it can.
	fits(p *Push, user string, broadcast bool) error
	// append adds the frame of a request.
	append(dst []byte, o *outgoing) ([]byte, error)
	// receive handles a frame of the node.
	receive(p *protocol.Packet) error
}

// linkConn reads frames from a connection.
type linkConn struct {
	net.Conn
	heard func() // called for each piece that came
	dec   protocol.Decoder
	buf   []byte
	rest  []byte // of buf, not decoded yet
}

// next returns the next frame. Its body is valid until the next call.
func (c *linkConn) next(limit int) (protocol.Packet, error) {
	for {
		p, rest, ok, err := c.dec.Next(c.rest, limit)
		if ok || err != nil {
			c.rest = rest
			return p, err
		}
		n, err := c.Read(c.buf)
		if n > 0 {
			c.heard()
		} else if err != nil {
			return protocol.Packet{}, err
		}
		c.rest = c.buf[:n]
	}
}

// connect keeps the link connected until it ends.
func (l *Link) connect() {
	pause := firstPause
	for {
		useful, err := l.session()
		if useful {
			pause = firstPause
		}
		if l.ctx.Err() != nil {
			return
		}
		l.explain(err)
		// Half of the pause is random, so that the nodes of a cluster do not all come at
		// once to one that has restarted.
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-l.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, lastPause)
	}
}

// explain logs why the link is down, once for each reason.
func (l *Link) explain(err error) {
	l.mu.Lock()
	l.err = err
	known := l.logged != nil && sameTrouble(l.logged, err)
	l.logged = err
	level := slog.LevelWarn
	if l.leaving {
		level = slog.LevelInfo // it was to come
	}
	l.mu.Unlock()
	if !known {
		l.log.Log(context.Background(), level, "link is down", "err", err)
	}
}

// sameTrouble reports whether two errors call for the same remedy.
func sameTrouble(a, b error) bool {
	for _, remedy := range []error{ErrLinkVersion, ErrLinkIdentity, ErrLinkSecret, ErrLinkRefused} {
		if errors.Is(a, remedy) || errors.Is(b, remedy) {
			return errors.Is(a, remedy) && errors.Is(b, remedy)
		}
	}
	return true // some trouble with the network
}

// session is the life of one connection. useful tells whether it brought an answer or
// lived for a while: a node that only lets itself be called is not called often.
func (l *Link) session() (useful bool, err error) {
	l.mu.Lock()
	address, answers := l.peer.Gateway, l.answers
	l.mu.Unlock()
	dialing, cancel := context.WithTimeout(l.ctx, l.o.Silence)
	defer cancel()
	nc, err := l.o.Dial(dialing, address)
	if err != nil {
		return false, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = nc.Close() }()
	defer context.AfterFunc(l.ctx, func() { _ = nc.Close() })()
	c := &linkConn{Conn: nc, buf: make([]byte, 32<<10), heard: func() { l.heard.Store(int64(l.clock())) }}
	c.heard()
	if err := nc.SetDeadline(time.Now().Add(l.o.Silence)); err != nil {
		return false, err
	}
	if err := l.talk.open(c); err != nil {
		return false, err
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return false, err
	}
	start := l.clock()
	err = l.serve(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers > answers || l.clock()-start > lastPause, err
}

// serve writes requests and reads results until the connection breaks.
func (l *Link) serve(c *linkConn) error {
	if !l.up(c.Conn) {
		return errLinkDown
	}
	stop := make(chan struct{})
	wrote := make(chan error, 1)
	go func() {
		err := l.writeRequests(c.Conn, stop)
		_ = c.Close() // the reader ends
		wrote <- err
	}()
	err := l.readResults(c)
	close(stop)
	_ = c.Close()
	if writing := <-wrote; writing != nil && errors.Is(err, net.ErrClosed) {
		err = fmt.Errorf("writing: %w", writing) // which closed the connection
	}
	l.down()
	return err
}

func (l *Link) readResults(c *linkConn) error {
	var p protocol.Packet // one for all, because it escapes
	for {
		var err error
		p, err = c.next(protocol.MaxLinkFrame)
		switch {
		case err != nil && time.Duration(l.heard.Load()) < l.clock()-l.o.Silence:
			return errLinkSilent
		case err != nil:
			return fmt.Errorf("reading: %w", err)
		case p.Command == protocol.CmdHeartbeat:
			continue
		}
		if err := l.talk.receive(&p); err != nil {
			return err
		}
	}
}

// up lets the writer begin; false if the link has ended.
func (l *Link) up(nc net.Conn) bool {
	l.mu.Lock()
	if l.over || l.leaving {
		l.mu.Unlock()
		return false
	}
	l.o.Metrics.Links(exporter.LinkDown).Dec()
	l.o.Metrics.Links(exporter.LinkUp).Inc()
	l.conn, l.err, l.logged = nc, nil, nil
	l.pings = pings{next: l.clock() + l.o.Ping}
	l.mu.Unlock()
	l.log.Info("link is up")
	l.rouse()
	return true
}

// down notes that the connection has ended. Whether a Java node got what was written
// cannot be found out, so that ends.
func (l *Link) down() {
	var list []*request
	l.mu.Lock()
	if !l.over {
		l.o.Metrics.Links(exporter.LinkUp).Dec()
		l.o.Metrics.Links(exporter.LinkDown).Inc()
		l.o.Metrics.LinkReconnects.Inc()
	}
	l.conn, l.err = nil, errLinkDown
	if l.java {
		list = l.requests.dropPending()
	}
	l.mu.Unlock()
	l.endAll(list, exporter.ResultError)
}

// pings measures how long the node takes to answer, and keeps it from taking our
// silence for death.
type pings struct {
	next   time.Duration // when the next is due, on the link's clock
	due    bool
	number int32
	sent   time.Duration // of the last one; 0 once it was answered
}

// watch ends requests whose deadline has come and connections that are silent.
func (l *Link) watch() {
	tick := time.NewTicker(deadlineTick)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
		}
		l.checkTime()
	}
}

func (l *Link) checkTime() {
	now := l.clock()
	l.mu.Lock()
	list := l.requests.deadlines.expired(int64(now / deadlineTick))
	for _, r := range list {
		l.requests.drop(r)
	}
	var dead net.Conn
	ping := false
	if l.conn != nil && !l.java {
		if time.Duration(l.heard.Load()) < now-l.o.Silence {
			dead = l.conn
		}
		if now >= l.pings.next {
			l.pings.due, l.pings.next, ping = true, now+l.o.Ping, true
		}
	}
	left := l.left()
	l.mu.Unlock()
	if dead != nil {
		_ = dead.Close() // the reader ends and says so
	}
	if left {
		l.end()
	}
	if ping || len(list) > 0 { // what ended made room
		l.rouse()
	}
	l.endAll(list, exporter.ResultTimeout)
}
