//go:build unix

package server

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// rawConn gives non-blocking access to the socket, nil if there is none (a pipe
// in a test).
func rawConn(nc net.Conn) syscall.RawConn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// writeOp is one write(2) through a RawConn. The closure that RawConn wants is made
// once and pooled, so that a write allocates nothing.
type writeOp struct {
	b   []byte
	n   int
	err error
	fn  func(fd uintptr) bool
}

var writeOps = sync.Pool{New: func() any {
	op := new(writeOp)
	op.fn = func(fd uintptr) bool {
		op.n, op.err = writeAll(int(fd), op.b)
		return true
	}
	return op
}}

// writeAll writes until the socket takes no more.
func writeAll(fd int, b []byte) (n int, err error) {
	for n < len(b) {
		m, err := syscall.Write(fd, b[n:])
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return n, errAgain
		case err != nil:
			return n, err
		default:
			n += m
		}
	}
	return n, nil
}

// tryWrite writes what the socket takes now; errAgain if that was not all.
func tryWrite(raw syscall.RawConn, b []byte) (int, error) {
	if raw == nil {
		return 0, errAgain
	}
	op := writeOps.Get().(*writeOp)
	op.b, op.n, op.err = b, 0, nil
	err := raw.Write(op.fn)
	n, opErr := op.n, op.err
	op.b = nil
	writeOps.Put(op)
	if err != nil {
		return n, err
	}
	return n, opErr
}

// waitWrite calls try, and again each time the socket becomes writable, until it
// returns false.
func waitWrite(raw syscall.RawConn, try func(fd int) (wait bool)) error {
	return raw.Write(func(fd uintptr) bool { return !try(int(fd)) })
}

// rawReader waits for bytes without holding a buffer.
type rawReader struct {
	s   *stream
	buf *[readChunk]byte
	n   int
	err error
	fn  func(fd uintptr) bool
}

func newRawReader(s *stream) *rawReader {
	r := &rawReader{s: s}
	r.fn = r.try
	return r
}

// try reads once; false parks the goroutine until the socket is readable.
func (r *rawReader) try(fd uintptr) bool {
	r.buf = readBuffers.Get().(*[readChunk]byte)
	for {
		r.n, r.err = syscall.Read(int(fd), r.buf[:])
		if r.err != syscall.EINTR {
			break
		}
	}
	if r.err == syscall.EAGAIN {
		readBuffers.Put(r.buf)
		r.buf = nil
		return false
	}
	return true
}

// next waits for bytes and hands them to the owner.
func (r *rawReader) next() (more bool, err error) {
	err = r.s.raw.Read(r.fn)
	if r.buf == nil {
		return true, err
	}
	buf, n := r.buf, r.n
	r.buf = nil
	defer readBuffers.Put(buf)
	switch {
	case err != nil:
		return true, err
	case r.err != nil:
		return true, r.err
	case n == 0:
		return true, io.EOF
	}
	return r.s.owner.receive(buf[:n]), nil
}
