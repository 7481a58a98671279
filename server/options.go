package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/proxy"
	"github.com/fanfare-push/fanfare/server/store"
)

// Endpoints are the addresses of a node's ports, host:port each. An empty listen
// address turns that port off.
type Endpoints struct {
	Device    string // MPush binary protocol, TLS on the same port
	WebSocket string // MPush JSON protocol
	Gateway   string // MPush back ends and other nodes
}

// Limits bound what a node takes from outside. Crossing one has the consequence
// its comment names.
type Limits struct {
	// PacketBytes is the longest body a device or back end may send on the binary
	// ports; a header that announces more closes the connection (too_large).
	PacketBytes int
	// WebSocketBytes is the longest WebSocket message; more closes with 1009 (too_large).
	WebSocketBytes int
	// InflatedBytes is the longest a compressed body may become (bad_body).
	InflatedBytes int
	// CompressThreshold is the body length in bytes above which the node compresses.
	CompressThreshold int
	// Connections is the most device connections at a time; the next is closed
	// (capacity). 0 derives it from the process's limit of open files, which also cuts
	// down what is more.
	Connections int
	// OutboundBytes may wait for one device beyond what its socket took; more closes
	// it (slow_bytes). A single longer frame is let through an empty queue.
	OutboundBytes int
	// OutboundAge is how long the oldest of them may wait (slow_age).
	OutboundAge time.Duration
	// SendBuffer and ReceiveBuffer are the socket buffers of a device's connection in
	// bytes; 0 leaves them to the system. They bound what the kernel holds for a device
	// and so decide how soon a slow one is noticed.
	SendBuffer, ReceiveBuffer int
	// HandshakeTimeout is the time from accept to a finished handshake (handshake_timeout).
	HandshakeTimeout time.Duration
	// PendingAcks may be awaited from one connection; the next push that wants an
	// ack ends as rejected.
	PendingAcks int
	// UserBytes is the longest user id in bytes (bad_request).
	UserBytes int
	// Broadcasts may run at a time; the next ends as rejected.
	Broadcasts int
	// BroadcastRate is how many connections per second one broadcast writes to, after
	// the first so many at once. 0: as fast as sockets take it.
	BroadcastRate int
	// UnicastRate is how many pushes to single users per second the node sends, after
	// the first so many at once; the next wait in order. 0: no limit.
	UnicastRate int
	// UnicastQueue is how many of them may wait, none for longer than 3 s; one more
	// ends as rejected.
	UnicastQueue int
	// GatewayPacketBytes is the longest body of a push that a back end may send; one
	// that announces more is answered with a push failure and read over.
	GatewayPacketBytes int
	// GatewayInFlight may be outstanding on one gateway connection; the next is
	// answered with a push failure.
	GatewayInFlight int
	// GatewayConnections may be open at a time; the next is closed.
	GatewayConnections int
	// RSAWorkers and RSAQueue bound the pool for key exchanges; a handshake that
	// finds the queue full closes its connection (overload).
	RSAWorkers, RSAQueue int
	// StoreWorkers and StoreQueue bound the pool for the store, with the same consequence.
	StoreWorkers, StoreQueue int
}

// Options configure a [Node]. Start from [DefaultOptions].
type Options struct {
	ID        string    // unique in the cluster; empty = made up at start
	Version   string    // shown to operators
	Ops       string    // host:port of the operations port, shown to operators and scraped
	PublicIP  string    // names the node's online list; empty = the host that devices are told
	Weight    int       // share of the devices it is to get; 0 = 1
	Listen    Endpoints // what to bind
	Advertise Endpoints // what to tell others; empty = derived from the bound address

	Key               *protocol.PrivateKey // devices encrypt their handshake with its public half
	TLS               *tls.Config          // nil: no TLS on the device port, no wss
	RequireEncryption bool                 // refuse handshakes and binds in clear on the binary port

	// GatewayAllow are the networks beside loopback and private ones whose back ends may
	// connect to the gateway.
	GatewayAllow []netip.Prefix
	// GatewaySecret lets nodes and allocators at any other address connect that prove
	// to have it too; empty: none can.
	GatewaySecret string

	WebSocketPath  string   // exact path of the upgrade request
	AllowedOrigins []string // of WebSocket upgrades; empty = any, as in MPush

	MinHeartbeat, MaxHeartbeat time.Duration // clamp of what devices ask for
	HeartbeatTimeouts          int           // intervals missed before one more closes the connection (idle)
	WebSocketPing              time.Duration // silence after which a WebSocket is pinged; two more close it (idle)
	SessionTTL                 time.Duration // how long a session can be resumed
	AckTimeout                 time.Duration // wait for an ack when the push does not say
	DrainRate                  int           // connections per second asked to leave while draining
	KickGrace                  time.Duration // how long a device that lost its user may stay connected to say goodbye

	Limits Limits

	// Validate decides whether a user may bind with the given credential (the second
	// field of BIND). It may block; nil accepts everybody, as MPush does.
	Validate func(user, credential string) bool
	// Received takes what devices push to the server; it must not block. nil: logged
	// at debug level.
	Received func(user, device string, content []byte)

	// Canary makes the node keep a device of its own, bound to [protocol.CanaryUser], to
	// which entry points push to see that all is well.
	Canary bool

	// Proxy makes HTTP requests for devices; nil: none, which a device is told as MPush
	// does. Whoever made it closes it when the node has stopped.
	Proxy *proxy.Proxy

	Logger  *slog.Logger
	Metrics *exporter.Metrics
	Store   store.Store
	// Registry is where the node announces itself when [Node.Join] is called; nil: nowhere.
	Registry cluster.Registry
	// SweepEvery is the time between two sweeps over the store's routes for stale ones,
	// SweepRate how many routes a second one looks at. 0: an hour, 5,000.
	SweepEvery time.Duration
	SweepRate  int
	Ledger     *ledger.Ledger // of the gateway; required when Listen.Gateway is set
}

// DefaultOptions returns MPush's defaults where MPush has the setting, with every
// listener on loopback. Key, Logger, Metrics and Store are left to the caller.
func DefaultOptions() Options {
	return Options{
		Listen:            Endpoints{Device: "127.0.0.1:3000", WebSocket: "127.0.0.1:8008", Gateway: "127.0.0.1:3001"},
		WebSocketPath:     "/",
		MinHeartbeat:      3 * time.Minute,
		MaxHeartbeat:      3 * time.Minute,
		HeartbeatTimeouts: 2,
		WebSocketPing:     time.Minute,
		SessionTTL:        24 * time.Hour,
		AckTimeout:        10 * time.Second,
		DrainRate:         500,
		KickGrace:         3 * time.Second,
		Weight:            1,
		Limits: Limits{
			PacketBytes: 10 << 10, WebSocketBytes: 64 << 10, InflatedBytes: 1 << 20, CompressThreshold: 10 << 10,
			OutboundBytes: 64 << 10, OutboundAge: 2 * time.Minute, HandshakeTimeout: time.Minute,
			SendBuffer: 32 << 10, ReceiveBuffer: 32 << 10,
			PendingAcks: 256, UserBytes: 256, Broadcasts: 16, BroadcastRate: 3000, UnicastQueue: 10_000, GatewayInFlight: 1 << 16, GatewayConnections: 1024, GatewayPacketBytes: 1 << 20,
			RSAWorkers: runtime.GOMAXPROCS(0), RSAQueue: 4096, StoreWorkers: 4 * runtime.GOMAXPROCS(0), StoreQueue: 20_000,
		},
	}
}

// validate names everything that is missing or out of range, one error for each.
func (o *Options) validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.Key != nil, "no private key")
	bad(o.Logger != nil && o.Metrics != nil && o.Store != nil, "logger, metrics and store are required")
	bad(o.Ledger != nil || o.Listen.Gateway == "", "the gateway needs a ledger")
	bad(o.MinHeartbeat >= time.Second, "the smallest heartbeat is %v: it must be at least 1s", o.MinHeartbeat)
	bad(o.MaxHeartbeat >= o.MinHeartbeat, "the largest heartbeat %v is below the smallest %v", o.MaxHeartbeat, o.MinHeartbeat)
	bad(o.HeartbeatTimeouts >= 0, "heartbeat timeouts %d: must not be negative", o.HeartbeatTimeouts)
	bad(o.WebSocketPing >= time.Second, "the WebSocket ping interval is %v: it must be at least 1s", o.WebSocketPing)
	bad(o.KickGrace >= 0 && o.Weight >= 0 && o.SweepEvery >= 0 && o.SweepRate >= 0, "kick grace, weight, sweep interval and rate must not be negative")
	bad(o.SessionTTL > 0 && o.AckTimeout > 0 && o.DrainRate > 0, "session ttl, ack timeout and drain rate must be positive")
	l := o.Limits
	bad(l.BroadcastRate >= 0 && l.UnicastRate >= 0, "broadcast rate and unicast rate must not be negative")
	bad(l.SendBuffer >= 0 && l.ReceiveBuffer >= 0, "socket buffers must not be negative")
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"packet bytes", int64(l.PacketBytes)}, {"websocket bytes", int64(l.WebSocketBytes)},
		{"inflated bytes", int64(l.InflatedBytes)}, {"outbound bytes", int64(l.OutboundBytes)},
		{"outbound age", int64(l.OutboundAge)}, {"handshake timeout", int64(l.HandshakeTimeout)},
		{"pending acks", int64(l.PendingAcks)}, {"user bytes", int64(l.UserBytes)}, {"broadcasts", int64(l.Broadcasts)}, {"unicast queue", int64(l.UnicastQueue)},
		{"gateway packet bytes", int64(l.GatewayPacketBytes)}, {"gateway in flight", int64(l.GatewayInFlight)}, {"gateway connections", int64(l.GatewayConnections)},
		{"rsa workers", int64(l.RSAWorkers)}, {"rsa queue", int64(l.RSAQueue)},
		{"store workers", int64(l.StoreWorkers)}, {"store queue", int64(l.StoreQueue)},
	} {
		bad(limit.value > 0, "limit %s is %d: it must be positive", limit.name, limit.value)
	}
	return errors.Join(errs...)
}
