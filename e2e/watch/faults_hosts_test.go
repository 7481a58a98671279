//go:build linux

package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// hostAlerts are those that node_exporter is needed for.
var hostAlerts = []string{"HostCPUHigh", "HostClockUnsynchronised", "HostDiskFilling", "HostFileDescriptorsLow", "HostMemoryExhausted", "HostMemoryLow"}

// hostFaults are about the machine that everything runs on. A test cannot fill it up: what
// node_exporter shows of it is changed on its way to Prometheus.
func hostFaults() []scenario {
	return []scenario{
		hostFault("the processors of a machine are busy", "HostCPUHigh", func(s *stack) func(string) string {
			idle := time.Since(s.began).Seconds()
			return func(line string) string { // they were idle, and are no more
				if strings.Contains(line, `mode="idle"`) {
					return setValue("node_cpu_seconds_total{", idle)(line)
				}
				return line
			}
		}),
		hostFault("hardly any memory of a machine is left", "HostMemoryLow", func(*stack) func(string) string {
			return setValue("node_memory_MemAvailable_bytes", 1e9)
		}),
		hostFault("the memory of a machine is exhausted", "HostMemoryExhausted", func(*stack) func(string) string {
			return setValue("node_memory_MemAvailable_bytes", 3e8)
		}, "HostMemoryLow"),
		hostFault("a machine has few file handles left", "HostFileDescriptorsLow", func(*stack) func(string) string {
			used, all := setValue("node_filefd_allocated", 9e5), setValue("node_filefd_maximum", 1e6)
			return func(line string) string { return all(used(line)) }
		}),
		hostFault("a disk is nearly full", "HostDiskFilling", func(*stack) func(string) string {
			return disk("/dev/vdy", func() float64 { return 0.06 })
		}),
		hostFault("a disk will be full in three hours", "HostDiskFilling", func(s *stack) func(string) string {
			began, full := time.Now(), s.lapse.of(3*time.Hour)
			return disk("/dev/vdz", func() float64 { return 0.28 * (1 - time.Since(began).Seconds()/full.Seconds()) })
		}),
		{
			name: "the clock of a machine follows no time server", alerts: []string{"HostClockUnsynchronised"}, names: []string{"node-exporter:9100"},
			how:    "what the test's machine says itself; where its clock is right, at the scrape",
			inject: func(_ *testing.T, s *stack) { s.nodeExporter.relay.fault(" clock", wrongClock(s)) },
			repair: func(_ *testing.T, s *stack) { s.nodeExporter.relay.fault(" clock", rightClock) },
		},
	}
}

// hostFault is one that changes what node_exporter says.
func hostFault(name, alert string, change func(*stack) func(string) string, needs ...string) scenario {
	return scenario{
		name: name, how: "at the scrape", alerts: []string{alert}, names: []string{"node-exporter:9100"}, needs: needs, window: 2 * time.Minute,
		inject: func(_ *testing.T, s *stack) {
			s.nodeExporter.relay.fault(alert, trouble{path: "/metrics", lines: change(s)})
		},
		repair: func(_ *testing.T, s *stack) { s.nodeExporter.relay.heal(alert) },
	}
}

// disk adds one of which a share is free.
func disk(device string, free func() float64) func(string) string {
	return func(line string) string {
		if !strings.HasPrefix(line, "# TYPE node_filesystem_avail_bytes ") {
			return line
		}
		labels := fmt.Sprintf(`{device=%q,fstype="ext4",mountpoint="/data"}`, device)
		return line + fmt.Sprintf("\nnode_filesystem_avail_bytes%[1]s %[2]g\nnode_filesystem_size_bytes%[1]s 1e+11\nnode_filesystem_readonly%[1]s 0", labels, 1e11*free())
	}
}

// rightClock has a machine follow a time server, and wrongClock has it not do so, as is
// true of machines of tests anyhow.
var rightClock = trouble{path: "/metrics", lines: clock(1, 0.001)}

func wrongClock(s *stack) trouble {
	_, text, err := fetch(s.nodeExporter.address, "/metrics")
	if err == nil && strings.Contains(text, "\nnode_timex_sync_status 0\n") && strings.Contains(text, "\nnode_timex_maxerror_seconds 16\n") {
		return trouble{}
	}
	return trouble{path: "/metrics", lines: clock(0, 16)}
}

func clock(synchronised, maxError float64) func(string) string {
	status, most, offset := setValue("node_timex_sync_status ", synchronised), setValue("node_timex_maxerror_seconds ", maxError), setValue("node_timex_offset_seconds ", 0.001)
	return func(line string) string { return status(most(offset(line))) }
}
