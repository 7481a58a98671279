package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between devices and a node, at an address that stays, as a network
// does that breaks or leads elsewhere.
type proxy struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string
	conns  map[net.Conn]struct{}
	passed int // connections
	closed bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.cut()
		p.wg.Wait()
	})
	return p
}

// address is where devices connect to.
func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.pass(c) })
	}
}

// pass carries bytes both ways until either side ends.
func (p *proxy) pass(device net.Conn) {
	defer device.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	node, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer node.Close()
	if !p.keep(device, node) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { carry(device, node) })
	carry(node, device)
	back.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, device)
	delete(p.conns, node)
}

// carry copies until an end, and passes the end on.
func carry(to, from net.Conn) {
	_, _ = io.Copy(to, from) // a cut connection is what this is for
	_ = to.Close()
	_ = from.Close()
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.passed++
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return true
}

// cut resets every connection on both sides.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	clear(p.conns)
}

// lead makes later connections go elsewhere.
func (p *proxy) lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}
