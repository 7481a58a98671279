//go:build !unix

package bench

import "net"

// bareSocket writes through the standard library.
type bareSocket struct{ conn *net.TCPConn }

func newBareSocket(conn *net.TCPConn) (bareSocket, error) { return bareSocket{conn}, nil }

func (s bareSocket) write(frame []byte) error {
	_, err := s.conn.Write(frame)
	return err
}

func (s bareSocket) close() { s.conn.Close() }
