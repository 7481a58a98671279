//go:build unix && !linux

package backing

import "syscall"

// ownGroup keeps signals of the terminal away from a server.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
