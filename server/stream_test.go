package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// listenerLog is the logic above a stream in these tests: it keeps what arrives.
type listenerLog struct {
	mu   sync.Mutex
	got  bytes.Buffer
	stop bool
	end  chan error
}

func (l *listenerLog) receive(data []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got.Write(data)
	return !l.stop
}

func (l *listenerLog) ended(err error) { l.end <- err }

// note remembers the end of a write.
type note struct{ end chan string }

func newNote() *note { return &note{make(chan string, 2)} }

func (n *note) written(time.Time) { n.end <- "written" }
func (n *note) abandoned()        { n.end <- "abandoned" }

func (n *note) wait(t *testing.T) string {
	t.Helper()
	select {
	case end := <-n.end:
		return end
	case <-time.After(10 * time.Second):
		t.Fatal("write did not end")
		return ""
	}
}

// pair is a stream and the peer's end of it.
type pair struct {
	stream
	log   *listenerLog
	peer  net.Conn
	wg    sync.WaitGroup
	total atomic.Int64
}

// newPair connects a stream over loopback, or over a pipe without raw access.
func newPair(t *testing.T, overPipe bool, limit int) *pair {
	t.Helper()
	var server, peer net.Conn
	if overPipe {
		server, peer = net.Pipe()
	} else {
		server, peer = loopback(t)
	}
	p := &pair{log: &listenerLog{end: make(chan error, 1)}, peer: peer}
	p.stream.init(server, p.log, &streamEnv{&p.wg, limit, &p.total})
	if overPipe != (p.raw == nil) {
		t.Fatalf("raw access: %t", p.raw != nil)
	}
	p.read()
	t.Cleanup(func() {
		_ = peer.Close()
		_ = server.Close()
		p.wg.Wait()
	})
	return p
}

func loopback(t *testing.T) (server, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if peer, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return server, peer
}

// both runs a test on raw sockets and on connections without raw access, which is
// how every connection works where the system has none.
func both(t *testing.T, test func(t *testing.T, overPipe bool)) {
	t.Parallel()
	for name, overPipe := range map[string]bool{"raw": false, "portable": true} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, overPipe) })
	}
}

func TestStreamKeepsOrderThroughTheBacklog(t *testing.T) {
	both(t, func(t *testing.T, overPipe bool) {
		const size = 16 << 20 // more than any socket buffer takes
		p := newPair(t, overPipe, size)
		want := make([]byte, size)
		_, _ = rand.Read(want)
		end := newNote()
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 100_000)
			if _, err := p.write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if p.settle(end) {
			t.Fatal("the socket took 16 MiB without a reader")
		}
		if p.total.Load() == 0 {
			t.Error("waiting bytes were not counted")
		}
		if waiting, since := p.waiting(); waiting == 0 || since.IsZero() {
			t.Errorf("waiting %d since %v", waiting, since)
		}
		got := make([]byte, size)
		if _, err := io.ReadFull(p.peer, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Error("bytes were changed or reordered")
		}
		if how := end.wait(t); how != "written" {
			t.Errorf("write ended as %s", how)
		}
		if left := p.total.Load(); left != 0 {
			t.Errorf("%d bytes are counted as waiting after all left", left)
		}
		if waiting, _ := p.waiting(); waiting != 0 {
			t.Errorf("%d bytes wait", waiting)
		}
	})
}

func TestStreamRefusesBeyondItsBound(t *testing.T) {
	both(t, func(t *testing.T, overPipe bool) {
		p := newPair(t, overPipe, 64<<10)
		if flushed, err := p.write(make([]byte, 16<<20)); flushed || err != nil {
			t.Fatalf("a single long frame: %t %v, want it to wait", flushed, err)
		}
		end := newNote()
		if p.settle(end) {
			t.Fatal("nothing waits")
		}
		if _, err := p.write([]byte("x")); !errors.Is(err, errSlow) {
			t.Fatalf("beyond the bound: %v", err)
		}
		p.shut(false)
		if how := end.wait(t); how != "abandoned" {
			t.Errorf("write ended as %s", how)
		}
		if left := p.total.Load(); left != 0 {
			t.Errorf("%d bytes are counted as waiting on a closed stream", left)
		}
		if _, err := p.write([]byte("x")); !errors.Is(err, errClosed) {
			t.Errorf("after shut: %v", err)
		}
	})
}

func TestStreamTellsHowThePeerLeft(t *testing.T) {
	t.Parallel()
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		p := newPair(t, false, 1<<10)
		_, _ = p.peer.Write([]byte("last words"))
		_ = p.peer.Close()
		if err := <-p.log.end; err != io.EOF {
			t.Errorf("%v, want EOF", err)
		}
		if p.log.got.String() != "last words" {
			t.Errorf("got %q", p.log.got.String())
		}
	})
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		p := newPair(t, false, 1<<10)
		_ = p.peer.(*net.TCPConn).SetLinger(0)
		_ = p.peer.Close()
		if err := <-p.log.end; err == nil || err == io.EOF {
			t.Errorf("%v, want a reset", err)
		}
	})
}

// A farewell reaches a peer that has sent bytes nobody read: a plain close would
// reset the connection and the last word could be lost.
func TestStreamFarewellReachesAPeerThatKeepsSending(t *testing.T) {
	t.Parallel()
	p := newPair(t, false, 1<<10)
	p.log.stop = true // the first bytes pause the reading
	p.hold()
	for range 100 {
		if _, err := p.peer.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.write([]byte("goodbye")); err != nil {
		t.Fatal(err)
	}
	p.shut(true)
	p.drop()
	got, err := io.ReadAll(p.peer)
	if err != nil || string(got) != "goodbye" {
		t.Errorf("peer read %q, %v", got, err)
	}
}

func TestBacklogMarks(t *testing.T) {
	t.Parallel()
	var q backlog
	a, b := newNote(), newNote()
	now := time.Unix(100, 0)
	q.add([]byte("aaaa"), now)
	q.marks[0].done = a
	q.add([]byte("r"), now.Add(1)) // replies share a mark, with the time of the first
	q.add([]byte("r"), now.Add(2))
	q.add([]byte("bb"), now.Add(3))
	q.marks[len(q.marks)-1].done = b
	if len(q.marks) != 2 || q.marks[1].at != now.Add(1) {
		t.Fatalf("marks %+v", q.marks)
	}
	for _, step := range []struct {
		n    int
		left []completion
	}{{3, nil}, {1, []completion{a}}, {3, nil}, {1, []completion{b}}} {
		left := q.advance(step.n)
		if len(left) != len(step.left) || len(left) > 0 && left[0] != step.left[0] {
			t.Errorf("after %d more bytes: %v left, want %v", step.n, left, step.left)
		}
	}
	if len(q.buf) != q.off || len(q.marks) != 0 {
		t.Errorf("%d bytes, %d marks are left", len(q.buf)-q.off, len(q.marks))
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	p := newPair(t, false, 1<<20)
	go func() { _, _ = io.Copy(io.Discard, p.peer) }()
	frame := make([]byte, 113)
	if n := testing.AllocsPerRun(1000, func() { _, _ = p.write(frame) }); n > 0.1 {
		t.Errorf("%v allocations for a write", n)
	}
}

// Nobody reads any more when the peer has closed; a farewell must not leave the socket
// open for ever then.
func TestStreamFarewellWithoutAReaderClosesTheSocket(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *pair){
		"peer closed":     func(p *pair) { _ = p.peer.Close(); <-p.log.end },
		"reading stopped": func(p *pair) { p.log.stop = true; _, _ = p.peer.Write([]byte("x")); p.wg.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, false, 1<<10)
			end(p)
			p.shut(true)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.Now().Add(5 * farewellTime); ; <-tick.C {
				if err := p.nc.SetReadDeadline(time.Time{}); errors.Is(err, net.ErrClosed) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("the socket is still open")
				}
			}
		})
	}
}
