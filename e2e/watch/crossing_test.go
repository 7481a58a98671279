//go:build linux

package watch

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

// crossing is the network between a node's gateway and the nodes and allocators that have
// links to it. It knows who comes, as a link begins with a name, so that it can be closed
// to one of them.
type crossing struct {
	address string         // where they come in
	way     *backing.Proxy // from there to the gateway, for all of them

	listener net.Listener
	work     sync.WaitGroup

	mu     sync.Mutex
	ended  bool
	barred map[string]bool
	conns  map[net.Conn]string // with the name of who it is, or nothing
}

// newCrossing leads to host:port until the test ends.
func newCrossing(t *testing.T, target string) *crossing {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &crossing{
		address: listener.Addr().String(), way: backing.StartProxy(t, target), listener: listener,
		barred: make(map[string]bool), conns: make(map[net.Conn]string),
	}
	c.work.Go(c.accept)
	t.Cleanup(c.end)
	return c
}

// bar closes the crossing to a node, and open opens it again.
func (c *crossing) bar(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.barred[id] = true
	for conn, who := range c.conns {
		if who == id {
			_ = conn.Close()
		}
	}
}

func (c *crossing) open(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.barred, id)
}

func (c *crossing) end() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.ended = true
	for conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.work.Wait()
}

func (c *crossing) accept() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.work.Go(func() { c.serve(conn) })
	}
}

// admit keeps a connection under a name, unless that is barred.
func (c *crossing) admit(conn net.Conn, who string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.barred[who] {
		return false
	}
	c.conns[conn] = who
	return true
}

func (c *crossing) leave(conn net.Conn) {
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	_ = conn.Close()
}

func (c *crossing) serve(in net.Conn) {
	defer c.leave(in)
	if !c.admit(in, "") {
		return
	}
	first := make([]byte, 4<<10)
	n, err := in.Read(first)
	if err != nil || !c.admit(in, caller(first[:n])) {
		return
	}
	out, err := net.Dial("tcp", c.way.Addr)
	if err != nil {
		return
	}
	defer c.leave(out)
	if !c.admit(out, "") {
		return
	}
	if _, err := out.Write(first[:n]); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out) // either ends with the other
		_ = in.Close()
	})
	_, _ = io.Copy(out, in)
	_ = out.Close()
	back.Wait()
}

// caller is the name in the hello that a link begins with; nothing for a back end.
func caller(first []byte) string {
	var decoder protocol.Decoder
	p, _, ok, err := decoder.Next(first, len(first))
	if err != nil || !ok || p.Command != protocol.CmdLinkHello {
		return ""
	}
	var hello protocol.LinkHello
	if hello.UnmarshalBinary(p.Body) != nil {
		return ""
	}
	return hello.ID
}
