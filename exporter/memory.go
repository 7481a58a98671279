package exporter

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// addMemoryLimit shows how much memory the process may have, read at each scrape as it
// can be changed meanwhile. Where the system does not say there is no such metric.
func addMemoryLimit(reg prometheus.Registerer) {
	root := os.DirFS("/")
	if _, ok := memoryLimit(root); !ok {
		return
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "memory_limit_bytes",
		Help: "Memory that this process may take: the limit of its control group, or what the machine has.",
	}, func() float64 {
		limit, _ := memoryLimit(root)
		return float64(limit)
	}))
}

// memoryLimit is the least of what the machine has and what the control groups of this
// process allow, in bytes; false if root is not that of a Linux.
func memoryLimit(root fs.FS) (limit uint64, ok bool) {
	limit, ok = machineMemory(root)
	if !ok {
		return 0, false
	}
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return limit, true
	}
	for line := range strings.Lines(string(groups)) {
		// number:controllers:/path, where version 2 has the number 0 and no controllers
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			limit = min(limit, groupLimit(root, "sys/fs/cgroup", parts[2], "memory.max"))
		case parts[1] == "memory":
			limit = min(limit, groupLimit(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	return limit, true
}

// groupLimit is the least limit of a group and those above it. In a container the path
// may be that of the host, of which only the root is to be seen.
func groupLimit(root fs.FS, mount, group, file string) uint64 {
	least := uint64(math.MaxUint64)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		text, err := fs.ReadFile(root, path.Join(mount, group, file))
		if err == nil {
			if n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil { // or it is "max"
				least = min(least, n)
			}
		}
		if group == "/" {
			return least
		}
	}
}

// machineMemory is the memory of the machine in bytes.
func machineMemory(root fs.FS) (total uint64, ok bool) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "MemTotal:"); found {
			kilobytes, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 54)
			return kilobytes << 10, err == nil
		}
	}
	return 0, false
}
