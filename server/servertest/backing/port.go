package backing

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Ports are taken from below the range that the system gives to outgoing
// connections, so that none of these sits on a port while its server restarts.
const lowestPort, highestPort = 10_000, 32_000

var handedOut = struct {
	sync.Mutex
	ports map[int]bool
}{ports: make(map[int]bool)}

// FreePort finds a TCP port on which nobody listens at 127.0.0.1. It never returns
// a port twice in one process.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if take(port) {
			return port
		}
	}
	t.Fatal("no free port was found")
	return 0
}

func take(port int) bool {
	handedOut.Lock()
	defer handedOut.Unlock()
	if handedOut.ports[port] {
		return false
	}
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	handedOut.ports[port] = true
	return l.Close() == nil
}

// FreeAddress is 127.0.0.1 with a [FreePort], as host:port.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return loopback(FreePort(t))
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
