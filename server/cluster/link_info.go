package cluster

import (
	"encoding/json"
	"fmt"
	"time"
)

// LinkInfo is the body of a [protocol.CmdLinkInfo]: what a node says of itself, and when
// it said so. A node that knows no clocks leaves that out, or reads over it.
type LinkInfo struct {
	Info
	Clock  int64 `json:"clock,omitempty"`  // of the node, milliseconds since 1970
	Canary bool  `json:"canary,omitempty"` // [Info.Canary]
}

// skew is by how much the clock of a node is ahead of ours.
type skew struct {
	ahead time.Duration
	known bool
}

// heardInfo takes what the node says of itself. Its clock is compared with what ours said
// half a round trip ago, about when the node wrote it.
func (l *Link) heardInfo(body []byte) error {
	var m LinkInfo
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("%w: %w", errLinkWords, err)
	}
	now := l.o.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	m.Info.Canary = m.Canary
	l.told = &m.Info
	if m.Clock > 0 {
		l.skew = skew{ahead: time.UnixMilli(m.Clock).Sub(now.Add(-l.roundTrip / 2)), known: true}
	}
	return nil
}
