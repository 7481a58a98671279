package exporter

import (
	"testing"
	"testing/fstest"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const machine = "MemTotal:       2048 kB\nMemFree:        1 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"no groups": {map[string]string{}, 2 << 20},
		"version 2, own group": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "4096\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 4096},
		"version 2, group above": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "8192\n"}, 8192},
		"version 2, in a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "5000\n"}, 5000},
		"version 2, unlimited": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 2 << 20},
		"version 2, out of its mount": {map[string]string{
			"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "6000\n"}, 6000},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:cpu:/y\n4:memory:/docker/1\n", "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "7000\n"}, 7000},
		"version 1, in a container": {map[string]string{
			"proc/self/cgroup": "4:memory:/docker/1\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "7000\n"}, 7000},
		"version 1, unlimited": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2 << 20},
		"nonsense": {map[string]string{
			"proc/self/cgroup": "what\n0::/\n", "sys/fs/cgroup/memory.max": "-1\n"}, 2 << 20},
	} {
		root := fstest.MapFS{"proc/meminfo": {Data: []byte(machine)}}
		for path, text := range c.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, ok := memoryLimit(root); got != c.want || !ok {
			t.Errorf("%s: %d, %v, want %d", name, got, ok, c.want)
		}
	}
	if got, ok := memoryLimit(fstest.MapFS{}); ok {
		t.Errorf("no Linux: %d", got)
	}
}

func TestRegistryShowsTheMemoryLimit(t *testing.T) {
	t.Parallel()
	reg := NewRegistry(Build{})
	if n, err := testutil.GatherAndCount(reg, "fanfare_memory_limit_bytes"); n != 1 || err != nil {
		t.Fatalf("%d series, %v", n, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "fanfare_memory_limit_bytes" && f.GetMetric()[0].GetGauge().GetValue() < 1<<20 {
			t.Errorf("limit %v", f)
		}
	}
}
