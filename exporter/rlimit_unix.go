//go:build unix

package exporter

import (
	"net"
	"syscall"
)

// OpenFileLimit is how many files this process may have open; 0 if that is not
// limited. Go raises the soft limit to the hard one at start.
func OpenFileLimit() int {
	const unlimited = 1 << 20 // more than the sockets of one process
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > unlimited {
		return 0
	}
	return int(limit.Cur)
}

// descriptor is the number of the connection's file, -1 if it has none. The system
// gives out the lowest that is free, so that it tells how full the table is.
func descriptor(nc net.Conn) int {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1
	}
	number := -1
	if raw.Control(func(fd uintptr) { number = int(fd) }) != nil {
		return -1
	}
	return number
}
