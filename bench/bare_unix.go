//go:build unix

package bench

import (
	"fmt"
	"io"
	"net"
	"syscall"
)

// bareSocket writes with the system call itself, without Go's bookkeeping.
type bareSocket struct {
	conn *net.TCPConn // keeps the descriptor open
	fd   int
}

func newBareSocket(conn *net.TCPConn) (bareSocket, error) {
	s := bareSocket{conn: conn}
	raw, err := conn.SyscallConn()
	if err != nil {
		return s, fmt.Errorf("take the descriptor: %w", err)
	}
	err = raw.Control(func(fd uintptr) { s.fd = int(fd) })
	if err != nil {
		return s, fmt.Errorf("take the descriptor: %w", err)
	}
	return s, nil
}

// write is one write(2); a full socket is an error, because the loop never waits.
func (s bareSocket) write(frame []byte) error {
	n, err := syscall.Write(s.fd, frame)
	if err == nil && n < len(frame) {
		return io.ErrShortWrite
	}
	return err
}

func (s bareSocket) close() { s.conn.Close() }
