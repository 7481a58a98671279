package server

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// receiver is the logic above a [stream]. Its methods are called by one goroutine
// at a time.
type receiver interface {
	// receive takes bytes that arrived; data is valid during the call only. False
	// stops the reading: the connection was closed, or it was paused and resume
	// will be called.
	receive(data []byte) bool
	// ended is told that the peer closed (io.EOF) or the connection broke. It is not
	// called after the stream was closed from this side.
	ended(err error)
}

// completion is told when the bytes it was queued with have left, or never will.
type completion interface {
	written(at time.Time)
	abandoned()
}

// stream is the seam between a connection's logic and the operating system:
// non-blocking writes with a bounded overflow, and a source of arriving bytes.
// Today a goroutine waits for those bytes; an event loop can take its place without
// a change above this file.
type stream struct {
	nc    net.Conn
	raw   syscall.RawConn // nil: no non-blocking access, every write goes through the flusher
	tls   *tls.Conn       // nil: plain; set before the first read
	owner receiver
	env   *streamEnv

	mu      sync.Mutex
	back    *backlog // nil: nothing waits
	closed  bool
	linger  bool  // closed, but who holds it last discards what the peer sends until it has read the farewell
	pass    pass  // of the frame that is being written
	holders int8  // the readers, and the requests that paused one and will end in drop
	fd      int32 // the socket's number, if raw is not nil; valid until closed, see tryWrite
}

// pass is what a frame may do that another must not.
type pass uint8

const (
	passWhole pass = 1 << iota // it was let through, so its pieces are not refused
	passAside                  // it does not count against the bound
)

// streamEnv is what streams of one kind share.
type streamEnv struct {
	tasks *sync.WaitGroup // waits for reader and flusher goroutines
	limit int             // bytes that may wait on one
	total *atomic.Int64   // bytes waiting on all of the node
}

// backlog is what the socket did not take.
type backlog struct {
	buf      []byte
	off      int // bytes of buf that were written
	free     int // bytes of buf that do not count against the bound, written or not
	marks    []mark
	flushing bool
}

// mark is the end of a write within the backlog.
type mark struct {
	end  int // offset in buf
	at   time.Time
	done completion // may be nil
}

var (
	// errSlow: the bound of waiting bytes would be crossed.
	errSlow = errors.New("too many bytes wait for the device")
	// errClosed: the stream was closed from this side.
	errClosed = errors.New("connection is closed")
	// errAgain: the socket takes nothing now.
	errAgain = errors.New("socket is full")
)

func (s *stream) init(nc net.Conn, owner receiver, env *streamEnv) {
	s.nc, s.owner, s.env = nc, owner, env
	s.raw, s.fd = rawConn(nc)
}

// write sends b, at once as far as the socket takes it, and reports whether all of
// it left; the rest was copied to the backlog, and settle attaches who wants to hear
// of its end. The caller keeps writers apart. On an error nothing more can be sent:
// errSlow if the bound would be crossed, errClosed after shut.
func (s *stream) write(b []byte) (flushed bool, err error) {
	if s.tls == nil {
		return s.writeRaw(b)
	}
	if err := s.letThrough(len(b)); err != nil {
		return false, err
	}
	_, err = s.tls.Write(b) // a record, and so a raw write, for each kilobyte of it
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass &^= passWhole
	return err == nil && s.back == nil, err
}

// letThrough applies the bound to a frame of n bytes that will come in several raw
// writes, which are then not refused one by one.
func (s *stream) letThrough(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overfull(n) {
		return errSlow
	}
	s.pass |= passWhole
	return nil
}

// writeAside is write for a frame whose sender answers for the memory it takes: it
// does not count against the bound, nor does what waits before it.
func (s *stream) writeAside(b []byte) (flushed bool, err error) {
	s.setAside(true)
	defer s.setAside(false)
	return s.write(b)
}

func (s *stream) setAside(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass &^= passAside
	if on {
		s.pass |= passAside
	}
}

// overfull reports whether n more bytes are too many; the caller holds mu. Through an
// empty queue goes a frame of any length.
func (s *stream) overfull(n int) bool {
	return s.back != nil && s.pass&passAside == 0 && len(s.back.buf)-max(s.back.off, s.back.free)+n > s.env.limit
}

// tryWrite writes what the socket takes now; the caller holds mu and has looked at
// closed. That is what makes the bare number safe: the socket is closed only after
// closed was set under mu, so the number cannot have become another's. Going through
// RawConn costs a tenth of a delivery more.
func (s *stream) tryWrite(b []byte) (int, error) {
	if s.raw == nil {
		return 0, errAgain
	}
	return writeAll(int(s.fd), b)
}

// settle lets done hear when all that was written so far has left. It returns true,
// and forgets done, if that is so already.
func (s *stream) settle(done completion) (flushed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back == nil {
		return true
	}
	s.back.marks[len(s.back.marks)-1].done = done
	return false
}

func (s *stream) writeRaw(b []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return false, errClosed
	case s.pass&passWhole == 0 && s.overfull(len(b)):
		return false, errSlow
	case s.back == nil:
		n, err := s.tryWrite(b)
		if err != nil && err != errAgain {
			return false, err
		}
		if n == len(b) {
			return true, nil
		}
		s.back = &backlog{}
		b = b[n:]
	}
	s.back.add(b, time.Now())
	if s.pass&passAside != 0 {
		s.back.free = len(s.back.buf)
	}
	s.env.total.Add(int64(len(b)))
	if !s.back.flushing {
		s.back.flushing = true
		s.env.tasks.Go(s.flush)
	}
	return false, nil
}

func (q *backlog) add(b []byte, now time.Time) {
	q.buf = append(q.buf, b...)
	if last := len(q.marks) - 1; last >= 0 && q.marks[last].done == nil {
		q.marks[last].end = len(q.buf) // replies nobody waits for share a mark
		return
	}
	q.marks = append(q.marks, mark{end: len(q.buf), at: now})
}

// advance accounts for n more bytes written and returns whose bytes have all left.
// It moves the rest down when most of the buffer is spent.
func (q *backlog) advance(n int) (left []completion) {
	q.off += n
	spent := 0
	for spent < len(q.marks) && q.marks[spent].end <= q.off {
		if q.marks[spent].done != nil {
			left = append(left, q.marks[spent].done)
		}
		spent++
	}
	q.marks = append(q.marks[:0], q.marks[spent:]...)
	if q.off > len(q.buf)/2 {
		q.buf = append(q.buf[:0], q.buf[q.off:]...)
		for i := range q.marks {
			q.marks[i].end -= q.off
		}
		q.free = max(0, q.free-q.off)
		q.off = 0
	}
	return left
}

// flush empties the backlog as the socket becomes writable, then ends.
func (s *stream) flush() {
	for {
		left, more := s.flushSome()
		now := time.Now()
		for _, done := range left {
			done.written(now)
		}
		if !more {
			return
		}
	}
}

// flushSome waits until the socket takes bytes and reports whose writes completed
// and whether the flusher must go on.
func (s *stream) flushSome() (left []completion, more bool) {
	if s.raw == nil {
		return s.flushBlocking()
	}
	err := waitWrite(s.raw, func(fd int) (wait bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.back == nil {
			return false
		}
		n, err := writeAll(fd, s.back.buf[s.back.off:])
		left, more = s.wrote(n, err)
		return n == 0 && err == errAgain
	})
	return left, more && err == nil
}

// flushBlocking is flushSome where only blocking writes exist.
func (s *stream) flushBlocking() (left []completion, more bool) {
	s.mu.Lock()
	if s.back == nil {
		s.mu.Unlock()
		return nil, false
	}
	chunk := append([]byte(nil), s.back.buf[s.back.off:]...)
	s.mu.Unlock()
	n, err := s.nc.Write(chunk)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrote(n, err)
}

// wrote accounts for n bytes of the backlog; the caller holds mu. A broken socket
// is left to the reader to find: it ends the connection in one place.
func (s *stream) wrote(n int, err error) (left []completion, more bool) {
	if s.back == nil {
		return nil, false
	}
	left = s.back.advance(n)
	s.env.total.Add(-int64(n))
	if len(s.back.buf) == s.back.off {
		s.back = nil
		return left, false
	}
	if err != nil && err != errAgain {
		s.back.flushing = true // nothing will be written any more, and no flusher is started
		return left, false
	}
	return left, true
}

// waiting reports the bytes queued and since when the oldest of them waits.
func (s *stream) waiting() (bytes int, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.back == nil || len(s.back.marks) == 0 {
		return 0, time.Time{}
	}
	return len(s.back.buf) - s.back.off, s.back.marks[0].at
}

// farewellTime is how long a connection that got a last word stays readable, so
// that the reset which closing over unread bytes causes does not overtake it.
const farewellTime = time.Second

// shut closes the stream once. With farewell, what was just written is let through:
// sending ends now, and who holds the stream last discards what still comes until the
// peer closes or farewellTime has passed; if nobody holds it the peer is gone already.
// What waits is abandoned.
func (s *stream) shut(farewell bool) {
	if farewell && s.tls != nil {
		_ = s.tls.CloseWrite() // fails without a handshake, and then there was no last word
	}
	s.mu.Lock()
	back := s.back
	half, ok := s.nc.(interface{ CloseWrite() error })
	s.closed, s.back = true, nil
	s.linger = farewell && ok && back == nil && s.holders > 0
	if back != nil {
		s.env.total.Add(-int64(len(back.buf) - back.off))
	}
	linger := s.linger
	s.mu.Unlock()
	if linger {
		_ = s.nc.SetReadDeadline(time.Now().Add(farewellTime))
		_ = half.CloseWrite()
		return
	}
	_ = s.nc.Close()
	if back == nil {
		return
	}
	for _, m := range back.marks {
		if m.done != nil {
			m.done.abandoned()
		}
	}
}

// hold promises that drop or letGo will be called.
func (s *stream) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holders++
}

// letGo takes hold back. After the last one the caller has to discard what a shut
// stream still gets, if that is what it returns.
func (s *stream) letGo() (discard bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holders--
	return s.linger && s.holders == 0
}

// drop is letGo for a pool's job, which must not wait.
func (s *stream) drop() {
	if s.letGo() {
		s.env.tasks.Go(s.discard)
	}
}
