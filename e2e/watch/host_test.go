//go:build linux

package watch

import (
	"strconv"
	"strings"
	"time"
)

// calm makes of the machine that tests run on one with nothing to do: how busy the
// test's own machine is, is no fault of the stack. What a fault needs it changes under a
// name of its own, which comes after.
func calm(began time.Time) func(string) string {
	return func(line string) string {
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			return line
		}
		name, _, _ := strings.Cut(line[:at], "{")
		value := ""
		switch name {
		case "node_cpu_seconds_total":
			value = "1"
			if strings.Contains(line, `mode="idle"`) {
				value = strconv.FormatFloat(time.Since(began).Seconds(), 'f', 3, 64)
			}
		case "node_memory_MemAvailable_bytes":
			value = "8e+09"
		case "node_memory_MemTotal_bytes":
			value = "1.6e+10"
		case "node_filesystem_avail_bytes":
			value = "5e+10"
		case "node_filesystem_size_bytes":
			value = "1e+11"
		default:
			return line
		}
		return line[:at+1] + value
	}
}
