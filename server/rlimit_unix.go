//go:build unix

package server

import "syscall"

// openFileLimit is how many files this process may have open. Go raises the soft
// limit to the hard one at start.
func openFileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > unlimited {
		return 0
	}
	return int(limit.Cur)
}
