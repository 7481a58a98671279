//go:build !unix

package server

import (
	"net"
	"syscall"
)

// Elsewhere sockets give no non-blocking write, so every write goes through the
// flusher goroutine and every read holds a small buffer.

func rawConn(net.Conn) (syscall.RawConn, int32) { return nil, 0 }

func writeAll(int, []byte) (int, error) { return 0, errAgain }

func waitWrite(syscall.RawConn, func(fd int) bool) error { return errClosed }

type rawReader struct{}

func newRawReader(*stream) *rawReader { return nil }

func (*rawReader) next() (bool, error) { return false, errClosed }
