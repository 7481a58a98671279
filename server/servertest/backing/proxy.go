package backing

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy whose network can fail.
type Proxy struct {
	// Addr is host:port of the proxy. It stays the same.
	Addr string

	t      testing.TB
	target string
	done   chan struct{}
	work   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener  // nil while broken
	open     chan struct{} // closed while bytes may pass
	conns    map[*net.TCPConn]struct{}
	delay    time.Duration // of each piece, in each direction
}

// StartProxy passes connections on to target, host:port, until the test ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	open := make(chan struct{})
	close(open)
	p := &Proxy{
		Addr: FreeAddress(t), t: t, target: target,
		done: make(chan struct{}), open: open, conns: map[*net.TCPConn]struct{}{},
	}
	p.listen()
	t.Cleanup(p.close)
	return p
}

// Cut makes the network swallow everything: connections stay and nothing arrives, new
// ones are not answered. As with TCP, what was sent arrives after [Proxy.Heal] if
// the connection is still there.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.passing() {
		p.open = make(chan struct{})
	}
}

// Break resets all connections and refuses new ones.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopListening()
	p.reset()
}

// Slow makes every piece of data take so much longer, in each direction; one follows
// after the other, so that little gets through in a time, too.
func (p *Proxy) Slow(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

// Heal ends what [Proxy.Cut], [Proxy.Break] and [Proxy.Slow] began.
func (p *Proxy) Heal() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = 0
	if !p.passing() {
		close(p.open)
	}
	if p.listener == nil {
		p.listen()
	}
}

func (p *Proxy) passing() bool {
	select {
	case <-p.open:
		return true
	default:
		return false
	}
}

func (p *Proxy) listen() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.Addr)
	if err != nil {
		p.t.Fatalf("proxy: %v", err)
	}
	p.listener = l
	p.work.Go(func() { p.accept(l) })
}

func (p *Proxy) stopListening() {
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
}

func (p *Proxy) reset() {
	for c := range p.conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

func (p *Proxy) close() {
	close(p.done)
	p.mu.Lock()
	p.stopListening()
	p.reset()
	p.mu.Unlock()
	p.work.Wait()
}

func (p *Proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if in := c.(*net.TCPConn); p.add(in, l) {
			p.work.Go(func() { p.serve(in) })
		}
	}
}

// add keeps a connection unless the network broke since it was accepted.
func (p *Proxy) add(c *net.TCPConn, l net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil || l != nil && p.listener != l {
		_ = c.SetLinger(0)
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c *net.TCPConn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

func (p *Proxy) serve(in *net.TCPConn) {
	defer p.remove(in)
	if !p.wait() {
		return
	}
	c, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = in.SetLinger(0) // the client sees what the proxy saw
		return
	}
	out := c.(*net.TCPConn)
	if !p.add(out, nil) {
		return
	}
	defer p.remove(out)
	var back sync.WaitGroup
	back.Go(func() { p.pass(in, out) })
	p.pass(out, in)
	back.Wait()
}

// wait returns when bytes may pass, false when the test has ended.
func (p *Proxy) wait() bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-p.done:
		return false
	}
}

// linger waits as long as a piece of data takes, false when the test has ended.
func (p *Proxy) linger() bool {
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.done:
		return false
	}
}

// pass copies one direction until it ends, and hands on how it ended.
func (p *Proxy) pass(to, from *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.linger() || !p.wait() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if errors.Is(err, io.EOF) {
			_ = to.CloseWrite()
			return
		}
		if err != nil {
			_ = to.SetLinger(0)
			_ = to.Close()
			return
		}
	}
}
