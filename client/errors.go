package client

import (
	"errors"
	"fmt"

	"github.com/fanfare-push/fanfare/protocol"
)

// The ways in which a connection or a device ends, or cannot do what was asked.
// They are wrapped with what was being done; test with [errors.Is].
var (
	// ErrClosed: [Conn.Close] was called.
	ErrClosed = errors.New("connection closed")
	// ErrPeerClosed: the server closed the connection in the ordinary way. A server
	// that drains, refuses or is full says no more than that on TCP.
	ErrPeerClosed = errors.New("the server closed the connection")
	// ErrSilent: two heartbeats in a row were not answered.
	ErrSilent = errors.New("the server answers no heartbeat")
	// ErrNoReply: a request was not answered within RequestTimeout.
	ErrNoReply = errors.New("no reply in time")
	// ErrBacklog: while a request waited for its reply more other packets arrived
	// than are kept; receive them first.
	ErrBacklog = errors.New("too many packets wait to be received")
	// ErrNotConnected: the device has no connection at the moment.
	ErrNotConnected = errors.New("not connected")
	// ErrRunning: [Device.Run] was called while it runs.
	ErrRunning = errors.New("the device runs already")
	// ErrKicked: another connection of the same user took this one's place.
	ErrKicked = errors.New("kicked: the user logged in elsewhere")
	// ErrNoServers: the allocator answered without a usable address.
	ErrNoServers = errors.New("the allocator names no server")
	// ErrEmpty: content without a byte is never pushed, MPush devices break on it.
	ErrEmpty = errors.New("empty content")
	// ErrBadSession: stored text is not a session.
	ErrBadSession = errors.New("not a stored session")
)

// An OptionError says which option is missing or wrong.
type OptionError struct {
	Option string // the field of the options, for example "PublicKey"
	Reason string
}

// Error names the option and what is wrong with it.
func (e *OptionError) Error() string { return "client: option " + e.Option + ": " + e.Reason }

// A ServerError is an ERROR packet: the server's refusal of a request.
type ServerError struct {
	Command protocol.Command // of the request that failed
	Code    protocol.Code
	Reason  string // MPush's text; several failures share code 0 and differ by it
}

// Error gives the command, the code and the text.
func (e *ServerError) Error() string {
	return fmt.Sprintf("server refused %v: code %d %q", e.Command, e.Code, e.Reason)
}

// Fatal tells whether the same request would be refused again for the same cause:
// a handshake that the server cannot read (another key pair) or will not have,
// and a user that the validator refuses. [Device.Run] ends on these.
func (e *ServerError) Fatal() bool {
	switch e.Command {
	case protocol.CmdHandshake:
		return e.Code != protocol.CodeRepeatHandshake
	case protocol.CmdBind:
		return e.Code == protocol.CodeNone &&
			(e.Reason == protocol.ReasonBindFailed || e.Reason == protocol.ReasonInvalidParam)
	default:
		return false
	}
}

// refusal reads the body of an ERROR packet.
func refusal(p *protocol.Packet) (*ServerError, error) {
	var body protocol.Error
	if err := p.Unmarshal(&body); err != nil {
		return nil, fmt.Errorf("reading an ERROR of the server: %w", err)
	}
	return &ServerError{Command: body.Command, Code: body.Code, Reason: body.Reason}, nil
}
