//go:build linux

package limits

import (
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

var seed = flag.Uint64("seed", 0, "seed of the garbage; 0 takes the time")

// TestGarbage sends every port bytes of chance, some of them behind a beginning that
// is right, in pieces of chance.
func TestGarbage(t *testing.T) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -seed %d", first)
	p := startProduct(t, 0, "limits.handshake_timeout=2s", "limits.min_heartbeat=1s", "limits.max_heartbeat=1s", "log.level=warn")
	p.works(t)
	before, files, memory := p.metrics(t), p.files(t), p.memory(t, "VmRSS")
	const each, workers = 300, 4
	ports := []string{p.device, p.websocket, p.gateway, p.alloc, p.ops}
	var running sync.WaitGroup
	for worker := range uint64(workers) {
		running.Go(func() {
			r := rand.New(rand.NewPCG(first, worker))
			for i := range each * len(ports) / workers {
				if err := throw(r, ports[i%len(ports)]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	p.alive(t)
	eventually(t, "all connections are closed", func() bool {
		m := p.metrics(t)
		return m[open("tcp")] == 0 && m[open("ws")] == 0 && p.files(t) <= files+2 && m["go_goroutines"] <= before["go_goroutines"]+4
	})
	for _, name := range []string{"fanfare_deliveries_in_flight", "fanfare_messages_in_flight"} {
		eventually(t, name+" is 0", func() bool { return p.metric(t, name) == 0 })
	}
	if n := p.metric(t, closedFor("tcp", "internal")) + p.metric(t, closedFor("ws", "internal")); n != 0 {
		t.Errorf("%v connections ended by a fault of the node", n)
	}
	p.grewAtMost(t, memory, 96<<20)
	p.works(t)
}

// throw sends garbage on one connection. That the product closes it is no error.
func throw(r *rand.Rand, address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	data := garbage(r)
	for len(data) > 0 {
		n := min(1+r.IntN(4096), len(data))
		if _, err := conn.Write(data[:n]); err != nil {
			return nil
		}
		data = data[n:]
	}
	// A little patience, so that answers are written to somebody; then it is gone.
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, _ = io.CopyN(io.Discard, conn, 4096)
	return nil
}

// garbage is up to 32 KiB of one of several kinds.
func garbage(r *rand.Rand) []byte {
	random := make([]byte, r.IntN(32<<10))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	switch r.IntN(6) {
	case 0:
		return random
	case 1: // packets with a true length
		return packets(r, random)
	case 2: // a handshake, then packets
		return append(handshake(), packets(r, random)...)
	case 3: // a WebSocket's upgrade, then frames of chance
		return append([]byte("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"), frames(r, random)...)
	case 4: // the head of a request, then anything
		return append([]byte("POST /api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"), random...)
	default: // TLS that never was
		return append([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03}, random...)
	}
}

func handshake() []byte {
	body, err := (&protocol.Handshake{DeviceID: "d", OSName: "android", OSVersion: "1", ClientVersion: "1",
		IV: make([]byte, 16), ClientKey: make([]byte, 16), MinHeartbeat: 1000, MaxHeartbeat: 1000}).AppendBinary(nil)
	if err != nil {
		panic(err) // short fields do fit
	}
	return protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdHandshake, SessionID: 1, Body: body})
}

// packets cuts random bytes into the bodies of packets with commands and flags of chance.
func packets(r *rand.Rand, random []byte) (out []byte) {
	for len(random) > 0 {
		n := min(r.IntN(600), len(random))
		out = protocol.AppendPacket(out, protocol.Packet{Command: protocol.Command(r.IntN(24)), Flags: protocol.Flags(r.IntN(32)),
			SessionID: r.Int32(), Body: random[:n]})
		random = random[max(n, 1):]
	}
	return out
}

// frames cuts random bytes into masked frames of known kinds and true lengths.
func frames(r *rand.Rand, random []byte) (out []byte) {
	kinds := []byte{0x81, 0x01, 0x80, 0x82, 0x89, 0x8A, 0x88}
	for len(random) > 0 {
		n := min(r.IntN(126), len(random))
		out = append(out, kinds[r.IntN(len(kinds))], 0x80|byte(n), 0, 0, 0, 0)
		if r.IntN(2) == 0 {
			out = append(out, make([]byte, n)...) // which is valid text
		} else {
			out = append(out, random[:n]...)
		}
		random = random[max(n, 1):]
	}
	return out
}
