//go:build linux

package limits

import (
	"syscall"
	"testing"
)

// TestConnectionsThatNeverSpeak opens as many as the issue asks for and the machine
// allows.
func TestConnectionsThatNeverSpeak(t *testing.T) {
	t.Parallel()
	const wanted, others = 19_000, 1000 // others are the files of everything else here
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	count := int(min(wanted, limit.Cur-min(limit.Cur/2, others)))
	if count < wanted {
		t.Logf("%d connections instead of %d: this process may open %d files", count, wanted, limit.Cur)
	}
	p := startProduct(t, 0, "limits.handshake_timeout=12s")
	p.works(t)
	before, files, memory := p.metrics(t), p.files(t), p.memory(t, "VmRSS")

	silent := floodOf(t, p.device, count)
	most := 0.0 // a slow machine accepts the last of them when the first are closed already
	eventually(t, "all are accepted", func() bool {
		most = max(most, p.metric(t, open("tcp")))
		return p.metric(t, opened("tcp")) >= before[opened("tcp")]+float64(count)
	})
	grown := p.memory(t, "VmRSS") - memory
	t.Logf("%v were open at a time, %d bytes of memory each", most, grown/max(int(most), 1))
	if bound := int(most)*16<<10 + 16<<20; grown > bound {
		t.Errorf("%v silent connections take %d KiB, want at most %d", most, grown>>10, bound>>10)
	}

	eventually(t, "all are closed", func() bool { return p.metric(t, closedFor("tcp", "handshake_timeout")) == float64(count) })
	eventually(t, "all hear of it", func() bool { return silent.closed() == count })
	eventually(t, "files come back", func() bool { return p.files(t) <= files+2 })
	eventually(t, "goroutines end", func() bool { return p.metric(t, "go_goroutines") <= before["go_goroutines"]+4 })
	// Go keeps about a kilobyte for each goroutine and socket that there ever was.
	eventually(t, "memory comes back", func() bool { return p.memory(t, "VmRSS") < memory+count*2<<10 })
	if n := p.metric(t, open("tcp")); n != 0 {
		t.Errorf("%v connections are still counted", n)
	}
	if log := p.stderr.String(); len(log) > 10<<10 {
		t.Errorf("the log has %d bytes", len(log))
	}
	p.works(t)
}
