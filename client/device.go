package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// State is where a [Device] stands.
type State uint8

// The states in the order of a connection's life.
const (
	// StateWaiting: not connected, waiting for the next attempt.
	StateWaiting State = iota
	// StateConnecting: looking for a server, connecting, shaking hands.
	StateConnecting
	// StateConnected: connected, no user bound.
	StateConnected
	// StateBound: connected as a user; pushes arrive.
	StateBound
	// StateStopped: Run returned.
	StateStopped
)

// String is the state's name in logs.
func (s State) String() string {
	names := [...]string{"waiting", "connecting", "connected", "bound", "stopped"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// lastWrites is how long a write may still block once the device is to stop.
const lastWrites = time.Second

// Device keeps one device connected: it resumes or makes a session, binds the
// user, receives, acknowledges and reconnects. It is created by [NewDevice] and
// works while [Device.Run] runs.
type Device struct {
	o       *DeviceOptions
	log     *slog.Logger
	servers *servers
	running atomic.Bool
	state   atomic.Uint32

	binding chan struct{} // held while bound is brought in line with want

	mu    sync.Mutex
	conn  *Conn         // nil while not connected
	want  protocol.Bind // the binding to have
	bound protocol.Bind // the binding of conn
}

// NewDevice checks the options, of which it keeps a copy. Nothing connects before
// [Device.Run]. The error is an [*OptionError].
func NewDevice(o DeviceOptions) (*Device, error) {
	filled, err := o.prepared()
	if err != nil {
		return nil, err
	}
	return &Device{
		o: filled, log: filled.Logger.With("device", filled.DeviceID), servers: newServers(filled),
		binding: make(chan struct{}, 1),
		want:    protocol.Bind{UserID: filled.User, Data: filled.Credential, Tags: filled.Tags},
	}, nil
}

// State is where the device stands now.
func (d *Device) State() State { return State(d.state.Load()) }

// Run keeps the device connected until ctx ends, whose error it returns, or until
// trying again cannot help: [ErrKicked] (unless AfterKick says otherwise) or a
// fatal [*ServerError]. When it returns nothing of the device runs any more; it
// may then be called again.
func (d *Device) Run(ctx context.Context) error {
	if !d.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer d.running.Store(false)
	err := d.keepConnected(ctx)
	d.enter(StateStopped, err)
	return err
}

func (d *Device) keepConnected(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		lasted, err := d.connectOnce(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.ends(err) {
			return err
		}
		if lasted >= d.o.Backoff.Stable {
			attempt = 0
		}
		wait := d.o.Backoff.wait(attempt)
		d.log.Info("not connected", "error", err, "attempt", attempt, "retry_in", wait)
		d.enter(StateWaiting, err)
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// ends tells whether err is one that another attempt meets again.
func (d *Device) ends(err error) bool {
	return fatal(err) || errors.Is(err, ErrKicked) && d.o.AfterKick == KickStop
}

// connectOnce lives through one connection and says how long it lasted.
func (d *Device) connectOnce(ctx context.Context) (lasted time.Duration, err error) {
	d.enter(StateConnecting, nil)
	addresses, err := d.servers.list(ctx)
	if err != nil {
		return 0, err
	}
	c, err := dialFirst(ctx, d.o, addresses)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	start := time.Now()
	d.attach(c)
	defer d.attach(nil)
	hurried := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(hurried); c.hurry(lastWrites) })
	defer func() {
		if !stop() {
			<-hurried
		}
	}()
	d.log.Debug("connected", "server", c.RemoteAddr().String(), "resumed", c.Resumed(), "heartbeat", c.HeartbeatInterval())
	d.enter(StateConnected, nil)
	if err = d.bindWanted(ctx, c); err == nil {
		err = d.receive(ctx, c)
	}
	return time.Since(start), err
}

// attach makes c, or none, the device's connection.
func (d *Device) attach(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn, d.bound = c, protocol.Bind{}
}

// current is the connection, or nil.
func (d *Device) current() *Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conn
}

// receive handles packets until the connection ends.
func (d *Device) receive(ctx context.Context, c *Conn) error {
	for {
		p, err := c.Receive(ctx)
		if err != nil {
			return err
		}
		if err := d.handle(c, &p); err != nil {
			return err
		}
	}
}

func (d *Device) handle(c *Conn, p *protocol.Packet) error {
	switch p.Command {
	case protocol.CmdPush:
		return d.deliver(c, p)
	case protocol.CmdKick:
		return d.kicked(p)
	case protocol.CmdError:
		return d.complained(p)
	default: // MPush's devices ignore what they do not know
		d.log.Debug("ignored a packet", "command", p.Command, "id", p.SessionID)
		return nil
	}
}

// deliver gives a push to the application and acknowledges it if that is ours.
func (d *Device) deliver(c *Conn, p *protocol.Packet) error {
	m := &Message{Content: p.Body, ID: p.SessionID, Mode: protocol.AckModeOf(p.Flags), conn: c}
	if d.o.OnPush != nil {
		d.o.OnPush(m)
	}
	if m.Mode != protocol.AckAuto {
		return nil
	}
	return m.Ack()
}

// kicked handles a KICK, unless it is about a user that this connection no longer
// has.
func (d *Device) kicked(p *protocol.Packet) error {
	var kick protocol.Kick
	if err := p.Unmarshal(&kick); err != nil {
		return fmt.Errorf("reading a KICK: %w", err)
	}
	user := d.boundUser()
	if kick.UserID != "" && kick.UserID != user {
		d.log.Debug("ignored a kick of another user")
		return nil
	}
	d.log.Info("kicked: the user logged in elsewhere")
	if d.o.OnKick != nil {
		d.o.OnKick(kick)
	}
	if d.o.AfterKick != KickStay {
		return ErrKicked
	}
	d.forgetUser(user)
	d.enter(StateConnected, ErrKicked)
	return nil
}

// complained handles an ERROR that answers no request of ours. After those about
// a session MPush goes on, after every other it closes.
func (d *Device) complained(p *protocol.Packet) error {
	refused, err := refusal(p)
	if err != nil {
		return err
	}
	switch refused.Code {
	case protocol.CodeRepeatHandshake, protocol.CodeSessionExpired, protocol.CodeInvalidDevice:
		d.log.Debug("ignored an error", "error", refused)
		return nil
	}
	return refused
}

// enter changes the state and tells the application.
func (d *Device) enter(s State, cause error) {
	if State(d.state.Swap(uint32(s))) == s && cause == nil {
		return
	}
	if d.o.OnState != nil {
		d.o.OnState(s, cause)
	}
}
