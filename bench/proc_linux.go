package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// processUsage asks the kernel about a running process.
func processUsage(pid int) (usage, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return usage{}, fmt.Errorf("read the processor time of process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return usage{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	var u usage
	if u.CPU, err = parseStatCPU(stat); err != nil {
		return usage{}, err
	}
	if u.RSS, err = parseStatusRSS(status); err != nil {
		return usage{}, err
	}
	return u, nil
}

// loadAverage is the kernel's, over the last minute; 0 if it cannot be read.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	minute, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(minute, 64)
	if err != nil {
		return 0
	}
	return load
}
