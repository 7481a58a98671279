package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// The values that [DeviceOptions] fields have when they are zero.
const (
	DefaultMinHeartbeat      = 10 * time.Second
	DefaultMaxHeartbeat      = 4 * time.Minute
	DefaultHeartbeatMargin   = time.Second
	DefaultProbeTimeout      = 10 * time.Second
	DefaultConnectTimeout    = 10 * time.Second
	DefaultRequestTimeout    = 5 * time.Second
	DefaultCompressThreshold = 1024    // bytes, as MPush's Java device
	DefaultMaxPacket         = 1 << 20 // bytes
	DefaultReadBuffer        = 512     // bytes
)

// minReadBuffer holds a header and a small body.
const minReadBuffer = 64

// DeviceOptions say who a device is and how it connects. Address or Allocator,
// PublicKey or DemoKey, and DeviceID are needed; every other zero value has a
// default.
type DeviceOptions struct {
	Address   string // host:port of a push server
	Allocator string // http or https URL that answers "host:port,host:port"; used when Address is empty

	PublicKey *protocol.PublicKey // the cluster's; a handshake encrypted for another key is refused
	DemoKey   bool                // use MPush's published demo key instead of PublicKey: no secrecy at all

	DeviceID      string // identifies the installation; sessions belong to it
	OSName        string // decides the client type, see [protocol.ClientTypeOf]; default: this system's
	OSVersion     string
	ClientVersion string

	User       string // bound by [Device.Run] after each connect; empty = stay unbound
	Tags       string // of the connection, for pushes that select by tag
	Credential string // for the server's validator of User; never logged

	MinHeartbeat    time.Duration // told to the server, which decides
	MaxHeartbeat    time.Duration // told to the server, which decides
	HeartbeatMargin time.Duration // heartbeats are sent this much before they are due
	ProbeTimeout    time.Duration // how long a heartbeat's answer may take; two missed end the connection
	ManualHeartbeat bool          // no heartbeats and no watch for silence: the caller uses [Conn.Heartbeat]

	ConnectTimeout time.Duration // for dialing, TLS and handshake together, and for asking the allocator
	RequestTimeout time.Duration // for the reply to a bind, an unbind or a push

	CompressThreshold int // bodies longer than this many bytes are compressed; negative = never
	MaxPacket         int // bytes; a longer body from the server, as sent or inflated, ends the connection
	ReadBuffer        int // bytes kept per connection for reading; longer packets take memory while they arrive

	SessionStore SessionStore // where the session survives the connection; nil = every connect is a full handshake
	TLS          *tls.Config  // nil = plain TCP; ServerName defaults to the host of the address

	Dialer     func(ctx context.Context, network, address string) (net.Conn, error)
	HTTPClient *http.Client // for Allocator; the default keeps no connection
	Logger     *slog.Logger // nil = silent

	// The callbacks run one after the other on the goroutine of [Device.Run], which
	// receives nothing meanwhile; heartbeats go on. They may use the Device's methods
	// except Run. OnState also runs within [Device.Bind] and [Device.Unbind].

	OnPush  func(*Message)         // nil = pushes are dropped, and acknowledged if automatic
	OnKick  func(protocol.Kick)    // before AfterKick takes effect
	OnState func(s State, e error) // e says why the device is not connected

	AfterKick KickAction
	Backoff   Backoff
}

// KickAction is what a device does when another connection of its user and client
// type took its place.
type KickAction uint8

const (
	// KickStop ends [Device.Run] with [ErrKicked].
	KickStop KickAction = iota
	// KickStay keeps connected without a user, until [Device.Bind]. A server may close
	// the connection of a device that stays without a word (Fanfare after three
	// seconds); then it connects again, without a user.
	KickStay
	// KickReconnect reconnects after a back-off and binds again. Two devices that
	// both do so take the user from each other for ever.
	KickReconnect
)

// prepared checks o and fills in the defaults.
func (o DeviceOptions) prepared() (*DeviceOptions, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.PublicKey == nil {
		pair, err := protocol.DemoKeyPair()
		if err != nil {
			return nil, fmt.Errorf("client: demo key: %w", err)
		}
		o.PublicKey = pair.Public()
	}
	o.fillIdentity()
	o.fillLimits()
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Backoff = o.Backoff.filled()
	return &o, nil
}

func (o *DeviceOptions) check() error {
	switch {
	case o.Address == "" && o.Allocator == "":
		return &OptionError{"Address", "is missing (or set Allocator)"}
	case o.PublicKey == nil && !o.DemoKey:
		return &OptionError{"PublicKey", "is missing (or set DemoKey for MPush's published demo key)"}
	case o.PublicKey != nil && o.DemoKey:
		return &OptionError{"DemoKey", "contradicts PublicKey"}
	case o.DeviceID == "":
		return &OptionError{"DeviceID", "is missing"}
	case o.AfterKick > KickReconnect:
		return &OptionError{"AfterKick", "is none of KickStop, KickStay, KickReconnect"}
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{
		{"MinHeartbeat", o.MinHeartbeat}, {"MaxHeartbeat", o.MaxHeartbeat},
		{"HeartbeatMargin", o.HeartbeatMargin}, {"ProbeTimeout", o.ProbeTimeout},
		{"ConnectTimeout", o.ConnectTimeout}, {"RequestTimeout", o.RequestTimeout},
	} {
		if d.value < 0 || d.value.Milliseconds() > 1<<31-1 {
			return &OptionError{d.option, fmt.Sprintf("%v is out of range", d.value)}
		}
	}
	return o.Backoff.check()
}

func (o *DeviceOptions) fillIdentity() {
	if o.OSName == "" {
		o.OSName = runtime.GOOS
		if o.OSName == "darwin" {
			o.OSName = "macos" // the name by which servers know it for a PC
		}
	}
	orDefault(&o.OSVersion, "unknown")
	orDefault(&o.ClientVersion, "go-1")
}

func (o *DeviceOptions) fillLimits() {
	orDefault(&o.MinHeartbeat, DefaultMinHeartbeat)
	orDefault(&o.MaxHeartbeat, DefaultMaxHeartbeat)
	orDefault(&o.HeartbeatMargin, DefaultHeartbeatMargin)
	orDefault(&o.ProbeTimeout, DefaultProbeTimeout)
	orDefault(&o.ConnectTimeout, DefaultConnectTimeout)
	orDefault(&o.RequestTimeout, DefaultRequestTimeout)
	orDefault(&o.CompressThreshold, DefaultCompressThreshold)
	if o.MaxPacket <= 0 {
		o.MaxPacket = DefaultMaxPacket
	}
	orDefault(&o.ReadBuffer, DefaultReadBuffer)
	o.ReadBuffer = max(o.ReadBuffer, minReadBuffer)
}

// orDefault replaces a zero value.
func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
