//go:build linux

package watch

import (
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// network is how the processes find each other under the names of docker-compose.yml:
// each that asks others over HTTP has a proxy of its own, which knows the names. So the
// shipped files keep the names, and labels are made of them as they would be.
type network struct {
	done chan struct{}

	mu      sync.Mutex
	relays  map[string]*relay  // by name and port
	cuts    map[[2]string]bool // who cannot reach what
	unknown map[string]bool    // names that were asked for and do not exist
}

// newNetwork makes a network without names. It ends with the test.
func newNetwork(t *testing.T) *network {
	n := &network{done: make(chan struct{}), relays: make(map[string]*relay), cuts: make(map[[2]string]bool), unknown: make(map[string]bool)}
	t.Cleanup(func() { close(n.done) })
	return n
}

// add gives a name and port to a service at host:port.
func (n *network) add(name, target string) *relay {
	r := newRelay(target, n.done)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.relays[name] = r
	return r
}

// find is nil if the name is not there for a client.
func (n *network) find(client, name string) *relay {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cuts[[2]string{client, name}] {
		return nil
	}
	return n.relays[name]
}

// names are where services really are.
func (n *network) names() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[string]string, len(n.relays))
	for name, r := range n.relays {
		all[name] = r.target
	}
	return all
}

// cut keeps a client from a service, and mend ends that.
func (n *network) cut(client, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[[2]string{client, name}] = true
}

func (n *network) mend(client, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, [2]string{client, name})
}

// strangers are names that somebody asked for and nobody has.
func (n *network) strangers() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(maps.Keys(n.unknown))
}

// proxy serves a client until the test ends, and returns its URL.
func (n *network) proxy(t *testing.T, client string) string {
	t.Helper()
	return "http://" + serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r := n.find(client, q.Host); r != nil {
			r.ServeHTTP(w, q)
			return
		}
		n.mu.Lock()
		_, known := n.relays[q.Host]
		if !known {
			n.unknown[q.Host] = true
		}
		n.mu.Unlock()
		if known {
			panic(http.ErrAbortHandler) // it is cut off
		}
		http.Error(w, "nobody is called "+q.Host, http.StatusBadGateway)
	}))
}

// serve has a handler answer on a free port until the test ends, and returns host:port.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: patience}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = server.Close() // ends the requests that run
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	return listener.Addr().String()
}
