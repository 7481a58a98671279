package dingtalk

import (
	"sync"
	"time"
)

// maxRecent is how many messages the page shows, and maxShown bounds each, in bytes.
const (
	maxRecent = 50
	maxShown  = 20000
)

// shown is a message that was sent, or would have been.
type shown struct {
	At            time.Time
	Target, Robot string // Robot is empty in preview mode
	Result        string
	Title, Text   string
}

// recent keeps the last messages for the page.
type recent struct {
	mu   sync.Mutex
	ring []shown
}

func (r *recent) add(s shown) {
	s.Text = s.Text[:min(len(s.Text), maxShown)]
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) == maxRecent {
		copy(r.ring, r.ring[1:])
		r.ring = r.ring[:maxRecent-1]
	}
	r.ring = append(r.ring, s)
}

// list returns them, the newest first.
func (r *recent) list() []shown {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]shown, 0, len(r.ring))
	for i := len(r.ring) - 1; i >= 0; i-- {
		out = append(out, r.ring[i])
	}
	return out
}
