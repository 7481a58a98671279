package backing

import "syscall"

// ownGroup keeps signals of the terminal away from a server and ends it with the
// test, even with one that panics.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
