package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Dial opens one connection: it resumes the stored session if there is one that
// has not expired, else (or if the server has forgotten it) it makes a full
// handshake. No user is bound. Address is used, or else the servers that
// Allocator names, in order. A refusal is a [*ServerError], a wrong option an
// [*OptionError].
func Dial(ctx context.Context, o DeviceOptions) (*Conn, error) {
	filled, err := o.prepared()
	if err != nil {
		return nil, err
	}
	addresses, err := newServers(filled).list(ctx)
	if err != nil {
		return nil, err
	}
	return dialFirst(ctx, filled, addresses)
}

// dialFirst returns the first connection that succeeds. A fatal refusal is taken
// for the cluster's.
func dialFirst(ctx context.Context, o *DeviceOptions, addresses []string) (*Conn, error) {
	var failures []error
	for _, address := range addresses {
		c, err := dial(ctx, o, address)
		if err == nil {
			return c, nil
		}
		err = fmt.Errorf("connecting to %s: %w", address, err)
		if ctx.Err() != nil || fatal(err) {
			return nil, err
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

func fatal(err error) bool {
	var refused *ServerError
	return errors.As(err, &refused) && refused.Fatal()
}

func dial(ctx context.Context, o *DeviceOptions, address string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	nc, err := o.Dialer(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if o.TLS != nil {
		if nc, err = startTLS(ctx, nc, o.TLS, address); err != nil {
			return nil, err
		}
	}
	c := newConn(nc, o)
	if err := c.establish(ctx, o); err != nil {
		_ = c.Close() // always nil
		return nil, err
	}
	return c, nil
}

// startTLS makes the TLS handshake and owns nc from now on.
func startTLS(ctx context.Context, nc net.Conn, config *tls.Config, address string) (net.Conn, error) {
	if config.ServerName == "" && !config.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(nc, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // the handshake's error is what counts
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secured, nil
}

// establish agrees on a session and starts the heartbeats. Nobody else knows the
// connection yet.
func (c *Conn) establish(ctx context.Context, o *DeviceOptions) error {
	defer c.stopWatching()
	err := c.resume(ctx, o)
	if errors.Is(err, errNoSession) {
		err = c.handshake(ctx, o)
	}
	if err != nil {
		return err
	}
	if c.heartbeat <= 0 {
		c.heartbeat = o.MaxHeartbeat
	}
	if !o.ManualHeartbeat {
		c.startPulse(newPulse(c.heartbeat, o.HeartbeatMargin, o.ProbeTimeout))
	}
	return nil
}

// errNoSession: there is nothing to resume, or not any more.
var errNoSession = errors.New("no session to resume")

// resume tries the stored session. It is [errNoSession] if a handshake on this
// same connection is to follow.
func (c *Conn) resume(ctx context.Context, o *DeviceOptions) error {
	s, ok := o.loadSession()
	if !ok || !time.Now().Before(s.Expires) {
		return errNoSession
	}
	request := protocol.FastConnect{
		SessionID: s.ID, DeviceID: o.DeviceID,
		MinHeartbeat: int32(o.MinHeartbeat.Milliseconds()), MaxHeartbeat: int32(o.MaxHeartbeat.Milliseconds()),
	}
	body, err := request.AppendBinary(nil)
	if err != nil {
		return fmt.Errorf("writing FAST_CONNECT: %w", err)
	}
	var reply protocol.FastConnectOK
	err = c.exchange(ctx, protocol.Packet{Command: protocol.CmdFastConnect, Body: body}, &reply)
	var refused *ServerError
	if errors.As(err, &refused) {
		o.dropSession()
		if refused.Code == protocol.CodeSessionExpired || refused.Code == protocol.CodeInvalidDevice {
			return errNoSession
		}
	}
	if err != nil {
		return err
	}
	c.begin(s, reply.Heartbeat)
	c.resumed = true
	return nil
}

// handshake makes a new session.
func (c *Conn) handshake(ctx context.Context, o *DeviceOptions) error {
	var clientKey, iv [protocol.KeySize]byte
	_, _ = rand.Read(clientKey[:]) // crypto/rand never fails
	_, _ = rand.Read(iv[:])
	body, err := o.handshakeBody(clientKey[:], iv[:])
	if err != nil {
		return err
	}
	c.opener = protocol.NewCipher(protocol.SessionKey{Key: clientKey, IV: iv})
	var reply protocol.HandshakeOK
	p := protocol.Packet{Command: protocol.CmdHandshake, Flags: protocol.FlagCrypto, Body: body}
	if err := c.exchange(ctx, p, &reply); err != nil {
		return err
	}
	if len(reply.ServerKey) != protocol.KeySize {
		return fmt.Errorf("HANDSHAKE: the server's key has %d bytes, want %d", len(reply.ServerKey), protocol.KeySize)
	}
	key := protocol.MixKey(clientKey, [protocol.KeySize]byte(reply.ServerKey))
	s := Session{ID: reply.SessionID, Expires: time.UnixMilli(reply.ExpireTime), Key: protocol.SessionKey{Key: key, IV: iv}}
	c.begin(s, reply.Heartbeat)
	o.saveSession(s)
	return nil
}

// handshakeBody is the encrypted body of a HANDSHAKE.
func (o *DeviceOptions) handshakeBody(clientKey, iv []byte) ([]byte, error) {
	request := protocol.Handshake{
		DeviceID: o.DeviceID, OSName: o.OSName, OSVersion: o.OSVersion, ClientVersion: o.ClientVersion,
		IV: iv, ClientKey: clientKey,
		MinHeartbeat: int32(o.MinHeartbeat.Milliseconds()), MaxHeartbeat: int32(o.MaxHeartbeat.Milliseconds()),
		Timestamp: time.Now().UnixMilli(),
	}
	plain, err := request.AppendBinary(nil)
	if err != nil {
		return nil, fmt.Errorf("writing HANDSHAKE: %w", err)
	}
	sealed, err := o.PublicKey.AppendEncrypt(nil, plain)
	if err != nil {
		return nil, fmt.Errorf("writing HANDSHAKE: %w", err)
	}
	return sealed, nil
}

// begin puts a session in force.
func (c *Conn) begin(s Session, heartbeatMillis int32) {
	c.session = s
	c.opener = protocol.NewCipher(s.Key)
	c.heartbeat = time.Duration(heartbeatMillis) * time.Millisecond
}

// exchange sends a request of the handshake and reads its reply, which has the
// same command. Other packets are skipped.
func (c *Conn) exchange(ctx context.Context, request protocol.Packet, reply protocol.Message) error {
	request.SessionID = c.lastID.Add(1)
	deadline, _ := ctx.Deadline()
	if err := c.write(protocol.AppendPacket(nil, request), deadline); err != nil {
		return err
	}
	for {
		p, err := c.next(ctx)
		if err != nil {
			return fmt.Errorf("waiting for the reply to %v: %w", request.Command, err)
		}
		switch {
		case p.Command == request.Command && p.SessionID == request.SessionID:
			if err := p.Unmarshal(reply); err != nil {
				return fmt.Errorf("reading the reply to %v: %w", request.Command, err)
			}
			return nil
		case p.Command == protocol.CmdError && p.SessionID == request.SessionID:
			refused, err := refusal(&p)
			if err != nil {
				return err
			}
			return refused
		}
	}
}

// loadSession reads the store, if there is one.
func (o *DeviceOptions) loadSession() (Session, bool) {
	if o.SessionStore == nil {
		return Session{}, false
	}
	s, ok, err := o.SessionStore.LoadSession()
	if err != nil {
		o.Logger.Warn("cannot load the session: making a full handshake", "device", o.DeviceID, "error", err)
		return Session{}, false
	}
	return s, ok
}

func (o *DeviceOptions) saveSession(s Session) {
	if o.SessionStore == nil {
		return
	}
	if err := o.SessionStore.SaveSession(s); err != nil {
		o.Logger.Warn("cannot save the session: the next connect needs a full handshake", "device", o.DeviceID, "error", err)
	}
}

func (o *DeviceOptions) dropSession() {
	if err := o.SessionStore.DeleteSession(); err != nil {
		o.Logger.Warn("cannot delete the refused session", "device", o.DeviceID, "error", err)
	}
}
