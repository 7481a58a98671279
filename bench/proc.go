package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// usage is what the kernel has charged to a process.
type usage struct {
	CPU time.Duration // user and system time of all its threads, in ticks of 10 ms
	RSS int64         // bytes of memory in place
}

// clockTick is the unit of /proc/PID/stat. The kernel's interface has had 100 a
// second on every architecture Go runs on.
const clockTick = 10 * time.Millisecond

var errProcFormat = errors.New("unexpected format")

// parseStatCPU reads user plus system time from /proc/PID/stat. The second field
// is the name of the program in parentheses and may itself contain both.
func parseStatCPU(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[end+1:])
	const utime, stime = 14 - 3, 15 - 3 // fields count from 1; the third comes first here
	if end < 0 || len(fields) <= stime {
		return 0, fmt.Errorf("read /proc/PID/stat %.60q: %w", stat, errProcFormat)
	}
	var ticks int64
	for _, field := range [][]byte{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read /proc/PID/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// parseStatusRSS reads VmRSS from /proc/PID/status, in bytes.
func parseStatusRSS(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		value, found := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !found {
			continue
		}
		fields := bytes.Fields(value)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			break
		}
		kilobytes, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read VmRSS: %w", err)
		}
		return kilobytes << 10, nil
	}
	return 0, fmt.Errorf("read VmRSS of /proc/PID/status: %w", errProcFormat)
}
