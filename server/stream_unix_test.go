//go:build unix

package server

import (
	"net"
	"testing"
)

func TestStreamIdleHoldsNoBuffer(t *testing.T) {
	t.Parallel()
	p := newPair(t, false, 1<<10)
	r := newRawReader(&p.stream)
	if r.try(fdOf(t, p.nc)) || r.buf != nil {
		t.Error("a reader that waits holds a buffer")
	}
}

func fdOf(t *testing.T, nc net.Conn) (fd uintptr) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(f uintptr) { fd = f }); err != nil {
		t.Fatal(err)
	}
	return fd
}
