//go:build unix

package server

import (
	"io"
	"net"
	"syscall"
)

// rawConn gives non-blocking access to the socket and its number, nil if there is
// none (a pipe in a test).
func rawConn(nc net.Conn) (raw syscall.RawConn, fd int32) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, 0
	}
	if err := raw.Control(func(number uintptr) { fd = int32(number) }); err != nil {
		return nil, 0
	}
	return raw, fd
}

// writeAll writes until the socket takes no more; errAgain if that was not all.
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
