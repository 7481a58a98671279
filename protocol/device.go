package protocol

import (
	"fmt"
	"strings"
)

// ClientType is MPush's class of a device, derived from its operating system's
// name. A user has at most one connection of each class; a second login of the
// same class kicks the first. The number is the one stored in routes.
type ClientType int8

const (
	// ClientUnknown is any other system; it is a class of its own.
	ClientUnknown ClientType = -1
	// ClientMobile: android, ios.
	ClientMobile ClientType = 1
	// ClientPC: windows, mac, linux.
	ClientPC ClientType = 2
	// ClientWeb: web, h5.
	ClientWeb ClientType = 3
)

// ClientTypeOf classifies an operating system's name as MPush does: lower-cased
// substring match, first hit wins.
func ClientTypeOf(osName string) ClientType {
	name := strings.ToLower(osName)
	for _, class := range [...]struct {
		word string
		t    ClientType
	}{
		{"android", ClientMobile}, {"ios", ClientMobile},
		{"windows", ClientPC}, {"mac", ClientPC}, {"linux", ClientPC},
		{"web", ClientWeb}, {"h5", ClientWeb},
	} {
		if strings.Contains(name, class.word) {
			return class.t
		}
	}
	return ClientUnknown
}

// String is the name in the API and in metric labels.
func (t ClientType) String() string {
	switch t {
	case ClientMobile:
		return "mobile"
	case ClientPC:
		return "pc"
	case ClientWeb:
		return "web"
	default:
		return "unknown"
	}
}

// MarshalText writes the name.
func (t ClientType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a name written by [ClientType.MarshalText].
func (t *ClientType) UnmarshalText(text []byte) error {
	for _, known := range ClientTypes() {
		if known.String() == string(text) {
			*t = known
			return nil
		}
	}
	return fmt.Errorf("unknown client type %q: want mobile, pc, web or unknown", text)
}

// ClientTypes lists the four classes.
func ClientTypes() []ClientType {
	return []ClientType{ClientMobile, ClientPC, ClientWeb, ClientUnknown}
}

// AckMode says what acknowledgement a push asks of the device.
type AckMode uint8

const (
	// AckNone: the message ends when it is written.
	AckNone AckMode = iota
	// AckAuto: the device's SDK acknowledges once it handed the message to the app.
	AckAuto
	// AckBiz: the app acknowledges by itself.
	AckBiz

	// NumAckModes sizes arrays indexed by AckMode.
	NumAckModes = int(AckBiz) + 1
)

// String is the name in the API and in metric labels.
func (m AckMode) String() string {
	switch m {
	case AckAuto:
		return "auto"
	case AckBiz:
		return "biz"
	default:
		return "none"
	}
}

// MarshalText writes the name.
func (m AckMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads a name written by [AckMode.MarshalText].
func (m *AckMode) UnmarshalText(text []byte) error {
	for known := AckNone; int(known) < NumAckModes; known++ {
		if known.String() == string(text) {
			*m = known
			return nil
		}
	}
	return fmt.Errorf("unknown ack mode %q: want none, auto or biz", text)
}

// Flags are the header bits that ask for this mode.
func (m AckMode) Flags() Flags {
	switch m {
	case AckAuto:
		return FlagAutoAck
	case AckBiz:
		return FlagBizAck
	default:
		return 0
	}
}

// AckModeOf reads the mode from header flags; with both bits set the SDK
// acknowledges by itself, so it is [AckAuto].
func AckModeOf(f Flags) AckMode {
	switch {
	case f&FlagAutoAck != 0:
		return AckAuto
	case f&FlagBizAck != 0:
		return AckBiz
	default:
		return AckNone
	}
}

// Transport is how a device is connected.
type Transport uint8

const (
	// TCP is the binary protocol in clear.
	TCP Transport = iota
	// TLS is the binary protocol over TLS.
	TLS
	// WS is the JSON protocol over WebSocket.
	WS
	// WSS is the JSON protocol over WebSocket over TLS.
	WSS

	// NumTransports sizes arrays indexed by Transport.
	NumTransports = int(WSS) + 1
)

var transportNames = [NumTransports]string{"tcp", "tls", "ws", "wss"}

// String is the name in the API and in metric labels.
func (t Transport) String() string { return transportNames[t%Transport(NumTransports)] }

// MarshalText writes the name.
func (t Transport) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
