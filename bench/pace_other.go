//go:build !linux

package bench

import "time"

// holdThread has nothing to hold where sleeps go through the runtime.
func holdThread() func() { return func() {} }

// sleepExactly sleeps as well as the runtime can.
func sleepExactly(d time.Duration) { time.Sleep(min(d, 50*time.Millisecond)) }
