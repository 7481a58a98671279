package bench

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// longestNap bounds a sleep in the kernel, which a cancelled context cannot end.
const longestNap = 50 * time.Millisecond

// holdThread keeps the calling goroutine on its thread and has the kernel wake it
// to the microsecond instead of within the usual 50 microseconds. The function
// that it returns undoes both.
func holdThread() func() {
	runtime.LockOSThread()
	// A kernel without timer slack sleeps a little longer; the schedule catches up.
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() {
		unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0: the thread's default again
		runtime.UnlockOSThread()
	}
}

// sleepExactly sleeps for d, at most [longestNap], in the kernel: the runtime's
// timers would round up to a millisecond when nothing else runs.
func sleepExactly(d time.Duration) {
	nap := unix.NsecToTimespec(int64(max(min(d, longestNap), 0)))
	// An interrupted sleep is a short one; the caller looks at the clock anyway.
	unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &nap, nil)
}
