package protocol

// CloseReason says why a connection ended. Every connection ends for exactly one
// of them; the same value is the WebSocket close code ([CloseReason.WebSocketCode]),
// the log field and the label of fanfare_connections_closed_total
// ([CloseReason.String]).
type CloseReason uint8

// The reasons, in the order of a connection's life.
const (
	// CloseUnknown is the zero value and is never reported.
	CloseUnknown CloseReason = iota
	// ClosePeer: the device closed the connection in the ordinary way.
	ClosePeer
	// CloseReset: the connection broke (RST, timeout of the network, read error).
	CloseReset
	// CloseCapacity: the node is at its limit of connections or open files.
	CloseCapacity
	// CloseTLS: the TLS handshake failed.
	CloseTLS
	// CloseHandshakeTimeout: no handshake within the limit after the accept.
	CloseHandshakeTimeout
	// CloseIdle: no frame and no heartbeat for longer than the negotiated time.
	CloseIdle
	// CloseTooLarge: a header, frame or line announced more than the limit.
	CloseTooLarge
	// CloseBadFrame: bytes that cannot be a frame (negative length, bad JSON,
	// a WebSocket frame against RFC 6455).
	CloseBadFrame
	// CloseBadBody: a frame whose body could not be decrypted, inflated or decoded.
	CloseBadBody
	// CloseBadRequest: a decoded request that is refused (empty user, empty device,
	// BIND before a handshake).
	CloseBadRequest
	// CloseUnsupported: a command that this port does not serve.
	CloseUnsupported
	// CloseBindRefused: the validator refused the user.
	CloseBindRefused
	// CloseOverload: a bounded pool of the node (RSA, store) was full.
	CloseOverload
	// CloseSlowBytes: more bytes waited for the device than the limit.
	CloseSlowBytes
	// CloseSlowAge: bytes waited for the device longer than the limit.
	CloseSlowAge
	// CloseWrite: writing to the device failed.
	CloseWrite
	// CloseKicked: an operator or the API ended it.
	CloseKicked
	// CloseReplaced: another connection of the same user took its place.
	CloseReplaced
	// CloseDrain: the node is draining; reconnect elsewhere.
	CloseDrain
	// CloseShutdown: the node is stopping.
	CloseShutdown
	// CloseStore: a login needed the store, which did not answer; trying again can help.
	CloseStore
	// CloseInternal: a fault of the node; its log says which.
	CloseInternal

	closeReasons // how many there are
)

var closeReasonNames = [closeReasons]string{
	CloseUnknown: "unknown", ClosePeer: "peer", CloseReset: "reset", CloseCapacity: "capacity", CloseTLS: "tls",
	CloseHandshakeTimeout: "handshake_timeout", CloseIdle: "idle", CloseTooLarge: "too_large",
	CloseBadFrame: "bad_frame", CloseBadBody: "bad_body", CloseBadRequest: "bad_request",
	CloseUnsupported: "unsupported", CloseBindRefused: "bind_refused", CloseOverload: "overload",
	CloseSlowBytes: "slow_bytes", CloseSlowAge: "slow_age", CloseWrite: "write", CloseKicked: "kicked",
	CloseReplaced: "replaced", CloseDrain: "drain", CloseShutdown: "shutdown", CloseStore: "store", CloseInternal: "internal",
}

// String is the log field and metric label.
func (r CloseReason) String() string {
	if r < closeReasons {
		return closeReasonNames[r]
	}
	return closeReasonNames[CloseUnknown]
}

// CloseReasons lists every reason a connection can end for, in order, without
// [CloseUnknown]. Metrics create a child for each at zero.
func CloseReasons() []CloseReason {
	all := make([]CloseReason, 0, closeReasons-1)
	for r := ClosePeer; r < closeReasons; r++ {
		all = append(all, r)
	}
	return all
}

// WebSocketCode is the status code of the close frame (RFC 6455 section 7.4).
// Codes below 4000 are the RFC's; 4000 plus the reason's number is ours.
func (r CloseReason) WebSocketCode() uint16 {
	switch r {
	case ClosePeer, CloseBadBody, CloseBadRequest, CloseUnsupported, CloseBindRefused, CloseReplaced:
		return 1000 // MPush's own: it says "Bye" after the JSON error
	case CloseTooLarge:
		return 1009
	case CloseBadFrame:
		return 1002
	case CloseShutdown, CloseDrain:
		return 1001
	case CloseCapacity, CloseOverload, CloseStore:
		return 1013
	case CloseInternal:
		return 1011
	default:
		return 4000 + uint16(r)
	}
}

// Retry tells a client whether connecting again soon can help. It is false where
// the same client would be refused again for the same cause.
func (r CloseReason) Retry() bool {
	switch r {
	case CloseTooLarge, CloseBadFrame, CloseBadBody, CloseBadRequest, CloseUnsupported, CloseBindRefused,
		CloseKicked, CloseReplaced:
		return false
	default:
		return true
	}
}
