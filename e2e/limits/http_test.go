//go:build linux

package limits

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// dial opens a connection that fails the test if it hangs for good.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// readEnd reads until the product closes the connection.
func readEnd(t *testing.T, conn net.Conn) string {
	t.Helper()
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the product does not close the connection; it sent %.200q", got)
	}
	return string(got)
}

// drip writes the text and then the same byte for ever, until the connection ends.
func drip(conn net.Conn, text string, more byte) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	if _, err := conn.Write([]byte(text)); err != nil {
		return
	}
	for range tick.C {
		if _, err := conn.Write([]byte{more}); err != nil {
			return
		}
	}
}

// TestSlowRequests sends heads and bodies that never end, a byte at a time.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	files := p.files(t)
	var dripping sync.WaitGroup
	defer dripping.Wait()
	var conns []net.Conn
	start := func(address, text string, more byte) {
		conn := dial(t, address)
		conns = append(conns, conn)
		dripping.Go(func() { drip(conn, text, more) })
	}
	for _, address := range []string{p.alloc, p.ops} {
		for range 20 {
			start(address, "G", 'G')
			start(address, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", 'a')
		}
		start(address, "", '\n')
		start(address, "POST /api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{", ' ')
		start(address, "POST /api/v1/push HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", '1')
	}
	p.works(t)
	for _, conn := range conns {
		readEnd(t, conn)
		_ = conn.Close()
	}
	eventually(t, "their files come back", func() bool { return p.files(t) <= files+2 })
	p.works(t)
}

// TestBodiesThatAreTooLarge sends 100 MB where 4 MiB are allowed and where none are wanted.
func TestBodiesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	p.works(t)
	memory := p.memory(t, "VmRSS")
	const size = 100 << 20
	for _, c := range []struct {
		address, head string
		status        int
	}{
		{p.alloc, "POST /api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", http.StatusRequestEntityTooLarge},
		{p.alloc, "POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", http.StatusRequestEntityTooLarge},
		{p.alloc, "POST /api/v1/users/u/kick HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", http.StatusRequestEntityTooLarge},
		{p.alloc, "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", http.StatusRequestEntityTooLarge},
		{p.ops, "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", http.StatusOK},
	} {
		conn := dial(t, c.address)
		_, err := fmt.Fprintf(conn, c.head, size)
		must(t, err)
		// The answer is there before the first byte of the body.
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		if answer.StatusCode != c.status {
			t.Errorf("%s answers %d, want %d", c.head[:20], answer.StatusCode, c.status)
		}
		if sent := pour(conn, size); sent > 16<<20 { // what buffers of both ends hold and a little more
			t.Errorf("%s took %d bytes of the body", c.head[:20], sent)
		}
		_ = conn.Close()
	}
	p.grewAtMost(t, memory, 32<<20)
	p.works(t)
}

// pour sends so many bytes, or fewer if the connection ends, and returns how many.
func pour(conn net.Conn, size int) (sent int) {
	chunk := bytes.Repeat([]byte{' '}, 64<<10)
	for sent < size {
		n, err := conn.Write(chunk)
		if sent += n; err != nil {
			break
		}
	}
	return sent
}

// TestChunkedBodiesThatAreTooLarge do not say how long they are.
func TestChunkedBodiesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0, "api.max_body=1m")
	p.works(t)
	memory := p.memory(t, "VmRSS")
	for range 4 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.alloc+"/api/v1/push", io.LimitReader(spaces{}, 100<<20))
		must(t, err)
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			continue // the client may notice the closed connection before it sees the answer
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("answered with %s", answer.Status)
		}
	}
	p.grewAtMost(t, memory, 32<<20)
	p.works(t)
}

// spaces has no end.
type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// TestHeadsThatAreTooLarge sends each HTTP port more head than it takes.
func TestHeadsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	p.works(t)
	memory := p.memory(t, "VmRSS")
	for address, size := range map[string]int{p.websocket: 8 << 10, p.alloc: 32 << 10, p.ops: 32 << 10} {
		for _, head := range []string{
			"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + strings.Repeat("x", size),
			"GET /" + strings.Repeat("x", size),
			"GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", size/6),
			strings.Repeat("\r", size+1),
		} {
			conn := dial(t, address)
			if _, err := io.WriteString(conn, head); err != nil {
				continue // refused already
			}
			// One that has no answer is closed for the byte it sends after the last.
			_, _ = io.WriteString(conn, strings.Repeat("z", 8<<10))
			if got := readEnd(t, conn); got != "" && !strings.HasPrefix(got, "HTTP/1.1 4") {
				t.Errorf("%s: %.20q… is answered with %.100q", address, head, got)
			}
		}
	}
	if n := p.metric(t, closedFor("ws", "too_large")); n != 4 {
		t.Errorf("%v WebSockets were closed as too_large, want 4", n)
	}
	p.grewAtMost(t, memory, 32<<20)
	p.works(t)
}

// TestHalfOpenWebSocket is a browser whose machine went to sleep: it reads nothing
// and answers no ping. Another one, which answers, stays.
func TestHalfOpenWebSocket(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0, "limits.websocket_ping=2s")
	asleep, awake := p.openWebSocket(t), p.openWebSocket(t)
	for pings := 0; p.metric(t, closedFor("ws", "idle")) == 0; pings++ {
		if opcode, _ := awake.next(t); opcode != opPing || pings > 20 {
			t.Fatalf("after %d pings the one that is awake got frame %d", pings, opcode)
		}
		awake.send(t, opPong, nil)
	}
	if opcode, _ := asleep.next(t); opcode != opPing {
		t.Errorf("the one that sleeps was sent frame %d before its end", opcode)
	}
	want := protocol.CloseIdle.WebSocketCode()
	if opcode, payload := asleep.next(t); opcode != opClose || len(payload) < 2 || binary.BigEndian.Uint16(payload) != want {
		t.Errorf("its end is frame %d %q, want a close with %d", opcode, payload, want)
	}
	if opcode, _ := awake.next(t); opcode != opPing {
		t.Errorf("the one that is awake got frame %d", opcode)
	}
}
