//go:build linux

package cluster

import (
	"net"
	"sync"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// gateway is the address at which a node's gateway is announced. It finds out who
// calls, so that each caller has a network of its own that can be cut.
type gateway struct {
	address string
	paths   map[string]*backing.Proxy // by the id of the caller

	listener net.Listener
	work     sync.WaitGroup
	mu       sync.Mutex
	closed   bool
	conns    map[net.Conn]struct{}
}

// newGateway passes the links of callers on to target until the test ends.
func newGateway(t *testing.T, target string, callers ...string) *gateway {
	t.Helper()
	g := &gateway{paths: make(map[string]*backing.Proxy), conns: make(map[net.Conn]struct{})}
	for _, c := range callers {
		g.paths[c] = backing.StartProxy(t, target)
	}
	var err error
	if g.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	g.address = g.listener.Addr().String()
	g.work.Go(g.accept)
	t.Cleanup(g.close)
	return g
}

func (g *gateway) accept() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.work.Go(func() { g.serve(c) })
	}
}

// keep remembers a connection until the end; false if that has come.
func (g *gateway) keep(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = c.Close()
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gateway) drop(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
	_ = c.Close()
}

func (g *gateway) close() {
	g.mu.Lock()
	g.closed = true
	_ = g.listener.Close()
	for c := range g.conns {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.work.Wait()
}

func (g *gateway) serve(in net.Conn) {
	if !g.keep(in) {
		return
	}
	defer g.drop(in)
	said, caller := hello(in)
	path := g.paths[caller]
	if path == nil {
		return
	}
	out, err := net.Dial("tcp", path.Addr)
	if err != nil || !g.keep(out) {
		return
	}
	defer g.drop(out)
	if _, err := out.Write(said); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { pass(in, out) })
	pass(out, in)
	back.Wait()
}

// hello reads the first frame of a link and who says it.
func hello(c net.Conn) (said []byte, caller string) {
	buf := make([]byte, 4096)
	var decoder protocol.Decoder
	for {
		n, err := c.Read(buf)
		if err != nil {
			return said, ""
		}
		said = append(said, buf[:n]...)
		p, _, ok, err := decoder.Next(buf[:n], 4096)
		if err != nil {
			return said, ""
		}
		var m protocol.LinkHello
		if ok && p.Command == protocol.CmdLinkHello && m.UnmarshalBinary(p.Body) == nil {
			return said, m.ID
		}
	}
}

// pass copies until either end is gone, and then ends both.
func pass(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}
