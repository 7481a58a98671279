//go:build unix

package backing

import (
	"os/exec"
	"runtime"
)

// StartChild starts a command in a process group of its own, out of the way of the
// terminal's signals; it sets command.SysProcAttr. The channel is closed when the
// process has ended, and command.ProcessState says how. To end it is the caller's
// part, but on Linux the kernel kills it when the test's process goes, even by a panic.
// An error is that of [exec.Cmd.Start]; then there is nothing to wait for.
func StartChild(command *exec.Cmd) (ended <-chan struct{}, err error) {
	command.SysProcAttr = ownGroup()
	started, gone := make(chan error), make(chan struct{})
	go func() {
		// Linux ends the child with the thread that started it, so the thread stays.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(gone)
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // the state says it too
		}
	}()
	return gone, <-started
}
