package cluster

import (
	"context"
	"time"
)

// LinkVersion is the version of the link protocol that this program speaks. A node
// announces it; one that announces none is an MPush node in Java.
const LinkVersion = 1

// Peer is what the registry knows about a node.
type Peer struct {
	// ID is the node's name; of a Java node, which has none, its gateway address.
	ID string
	// Gateway is host:port of the gateway, exactly as in the registry and in routes. It
	// is empty for an MPush node of which only the device address can be told, and for
	// one whose gateway address another node has: only devices can go there.
	Gateway   string
	Device    string // host:port devices connect to; empty while it takes none
	WebSocket string // ws:// or wss:// URL
	Ops       string // host:port of /metrics
	// PublicIP names the node's online list, mp:oul:<PublicIP>.
	PublicIP string
	Weight   int // at least 1
	Link     int // version of the link protocol; 0: a Java node
	State    State
	Version  string
	Since    time.Time
}

// Java reports whether the peer is an MPush node in Java.
func (p Peer) Java() bool { return p.Link == 0 }

// Registry is where nodes announce themselves and find each other. Its methods may be
// called from any goroutine.
type Registry interface {
	// Join announces this node and returns when it can be seen, or with an error when
	// ctx ends or when another living node has its id ([ErrTaken]). From then on the
	// registry announces it again whenever the session was lost.
	Join(ctx context.Context, self Peer) error
	// Update changes what is announced: a draining node takes back its device and
	// WebSocket entries and keeps its gateway.
	Update(self Peer)
	// Leave takes everything back. A node that leaves is gone at once, one that dies
	// when its session ends.
	Leave(ctx context.Context) error
	// Peers lists the nodes by id, this one too if it has joined. known is false until
	// they were read once; while the registry is away they are those seen last.
	Peers() (peers []Peer, known bool)
	// Err is why the registry cannot be reached at the moment; nil while it can.
	Err() error
	// Watch calls changed after every change of Peers or Err, one call at a time and
	// never after the returned function has returned. Changes that come during a call
	// may be told of together. changed must not call that function or Close.
	Watch(changed func()) (stop func())
	// Close ends the session. Further calls do nothing.
	Close() error
}
