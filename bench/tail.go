package bench

import "sync"

// tail keeps the last bytes written to it: what a child said before it failed. It
// is safe for concurrent use.
type tail struct {
	mu    sync.Mutex
	limit int
	bytes []byte
}

// Write never fails and keeps at most the limit.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - t.limit; over > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[over:]...)
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.bytes)
}
