//go:build linux

package limits

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// emfile counts connections that were not accepted for want of files.
const emfile = `fanfare_accept_errors_total{kind="emfile"}`

// TestExhaustedFileTable takes one file after the other from a process that may
// open 300: first as devices, then as back ends, then at the HTTP API, at last at
// the operations port. What is connected goes on, what matters more is served
// longer, and every trouble is two lines in the log.
func TestExhaustedFileTable(t *testing.T) {
	t.Parallel()
	const files, capacity = 300, 150
	p := startProduct(t, files, "limits.max_connections=5000", "limits.gateway_connections=5000")
	if p.logged("level=WARN", "limits.max_connections", "allowed=150", "open_files_limit=300") != 1 {
		t.Errorf("it does not say that fewer connections are possible than were asked for:\n%s", &p.stderr)
	}
	alice, pusher := p.connect(t, "alice"), p.pusher(t)
	alice.reaches(t, pusher, "alice", "before")
	base, attempts := p.files(t), 0
	hold := func(address string, count int) *flood {
		attempts += count
		return floodOf(t, address, count)
	}

	devices := hold(p.device, 200)
	eventually(t, "no more devices than the capacity", func() bool { return p.metric(t, closedFor("tcp", "capacity")) == 200-capacity+1 })
	if n := p.metric(t, emfile); n != 0 {
		t.Errorf("devices alone used up the files: %v", n)
	}

	backEnds := hold(p.gateway, 200)
	eventually(t, "back ends are refused", func() bool { return p.metric(t, emfile) > 0 && backEnds.closed() > 0 })
	alice.reaches(t, p.pusher(t), "alice", "from a new back end")

	callers := hold(p.alloc, 100)
	eventually(t, "callers of the API are refused", func() bool { return callers.closed() > 0 })
	if p.metric(t, open("tcp")) != capacity { // /metrics answers a new connection
		t.Error("devices were closed")
	}
	alice.reaches(t, pusher, "alice", "while nobody else gets in")

	hold(p.ops, 60)
	eventually(t, "the file table is full", func() bool { return p.logged("cannot accept", "port=ops", "too many open files") == 1 })
	alice.reaches(t, pusher, "alice", "with no file left")
	eventually(t, "the operations port closes who says nothing", func() bool {
		code, _, err := fetch(t, http.MethodGet, "http://"+p.ops+"/-/healthy", "")
		return err == nil && code == http.StatusOK
	})

	for _, f := range []*flood{devices, backEnds, callers} {
		f.end()
	}
	eventually(t, "all files are given back", func() bool { return p.files(t) <= base+2 })
	for port, address := range map[string]string{"gateway": p.gateway, "allocator": p.alloc, "ops": p.ops} {
		eventually(t, port+" accepts again, and says so", func() bool {
			attempts++
			if conn, err := net.Dial("tcp", address); err == nil {
				_ = conn.Close()
			}
			return p.logged("accepting connections again", "port="+port) == 1
		})
		if n := p.logged("cannot accept", "port="+port); n != 1 {
			t.Errorf("%s: %d lines say that it cannot accept", port, n)
		}
	}
	if n := p.logged("cannot accept") + p.logged("accepting connections again"); n != 6 {
		t.Errorf("%d lines about it, want 2 for each of 3 ports", n)
	}
	// Each refused connection is counted once; beyond that only a full table is, at
	// growing intervals.
	if n := p.metric(t, emfile); n > float64(attempts+200) {
		t.Errorf("%v failures were counted for %d connections", n, attempts)
	}
	p.works(t)
}

// TestTooFewFiles starts the product where not even its ports can be opened.
func TestTooFewFiles(t *testing.T) {
	t.Parallel()
	args := []string{"-c", `ulimit -n "$1"; shift; exec "$@"`, "sh", "8", fanfare, "run"}
	for _, key := range listeners {
		args = append(args, "--set", key+"=127.0.0.1:0")
	}
	r := runToEnd(t, "sh", args...)
	if r.code != 1 || !strings.HasPrefix(r.stderr, "fanfare: ") || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "too many open files") {
		t.Errorf("with 8 files it ends with %d:\n%s", r.code, r.stderr)
	}
}
