package main

import (
	"context"
	"runtime/debug"
	"time"
)

// trimInterval is how often a trimmer looks, and so how long a wave of logins must
// have been over.
const trimInterval = 10 * time.Second

// trimmer gives memory back to the system once a wave of logins is over. Handshakes
// leave garbage behind, and the collector, which paces itself by what was needed at
// the peak, would keep that room for good on a node whose devices then fall silent.
type trimmer struct {
	connections func() int
	free        func() // collects and returns free memory
	cancel      context.CancelFunc
	done        chan struct{}

	last    int  // connections at the last look
	trimmed int  // connections when memory was last given back
	due     bool // there were more or fewer since
}

func newTrimmer(connections func() int) *trimmer {
	return &trimmer{connections: connections, free: debug.FreeOSMemory, done: make(chan struct{})}
}

func (t *trimmer) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	go func() {
		defer close(t.done)
		tick := time.NewTicker(trimInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				t.look()
			}
		}
	}()
	return nil
}

func (t *trimmer) stop(context.Context) error {
	if t.cancel != nil {
		t.cancel()
		<-t.done
	}
	return nil
}

// look frees memory if the connections are about as many as at the last look and have
// been a quarter more, or fewer, than when that was last done.
func (t *trimmer) look() {
	now := t.connections()
	steady := near(now, t.last, 50)
	t.last = now
	t.due = t.due || !near(now, t.trimmed, 4)
	if steady && t.due {
		t.trimmed, t.due = now, false
		t.free()
	}
}

// near reports whether a and b differ by at most one part in parts, and a hundred.
func near(a, b, parts int) bool {
	difference := max(a, b) - min(a, b)
	return difference <= 100+max(a, b)/parts
}
