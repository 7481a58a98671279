//go:build unix

package bench

import "syscall"

// openFileLimit is how many files this process may open; the Go runtime has
// raised the soft limit to the hard one. 0 means unknown.
func openFileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
