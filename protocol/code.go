package protocol

// Code is the code field of an [Error] body. Several failures share code 0 and
// differ by the reason text only, as in MPush.
type Code int8

const (
	// CodeNone accompanies the five failures that are told apart by their text.
	CodeNone Code = 0
	// CodeOffline answers a gateway push: the user has no connection.
	CodeOffline Code = 1
	// CodePushFailure answers a gateway push: the write to the device failed.
	CodePushFailure Code = 2
	// CodeRouterChange answers a gateway push: the user moved to another node.
	CodeRouterChange Code = 3
	// CodeAckTimeout is defined by MPush and never sent: the Java SDK hangs on it.
	CodeAckTimeout Code = 4
	// CodeDispatchError: decoding or handling failed; the connection closes.
	CodeDispatchError Code = 100
	// CodeUnsupportedCommand: no handler on this port; the connection closes.
	CodeUnsupportedCommand Code = 101
	// CodeRepeatHandshake: same device again; the connection stays open.
	CodeRepeatHandshake Code = 102
	// CodeSessionExpired: unknown or expired session; the connection stays open.
	CodeSessionExpired Code = 103
	// CodeInvalidDevice: the session belongs to another device; it stays open.
	CodeInvalidDevice Code = 104
	// CodeUnknown is MPush's default for a number it does not know.
	CodeUnknown Code = -1
)

// The reason texts of [Error] bodies. Clients compare them, so both spellings of
// the invalid parameter are kept as MPush has them.
const (
	ReasonParamInvalid       = "Param invalid" // HANDSHAKE
	ReasonInvalidParam       = "invalid param" // BIND, UNBIND
	ReasonNotHandshake       = "not handshake"
	ReasonBindFailed         = "bind failed"
	ReasonUnbindFailed       = "unbind failed"
	ReasonOffline            = "user offline"
	ReasonPushFailure        = "push to client failure"
	ReasonRouterChange       = "router change"
	ReasonAckTimeout         = "ack timeout"
	ReasonDispatchError      = "handle message error"
	ReasonUnsupportedCommand = "unsupported command"
	ReasonRepeatHandshake    = "repeat handshake"
	ReasonSessionExpired     = "session expired"
	ReasonInvalidDevice      = "invalid device"
	ReasonUnknown            = "unknown"
)

// The data texts of [OK] bodies.
const (
	DataBindSuccess   = "bind success"
	DataUnbindSuccess = "unbind success"
)

// Reason is the text that MPush sends with the code; empty for [CodeNone].
func (c Code) Reason() string {
	switch c {
	case CodeNone:
		return ""
	case CodeOffline:
		return ReasonOffline
	case CodePushFailure:
		return ReasonPushFailure
	case CodeRouterChange:
		return ReasonRouterChange
	case CodeAckTimeout:
		return ReasonAckTimeout
	case CodeDispatchError:
		return ReasonDispatchError
	case CodeUnsupportedCommand:
		return ReasonUnsupportedCommand
	case CodeRepeatHandshake:
		return ReasonRepeatHandshake
	case CodeSessionExpired:
		return ReasonSessionExpired
	case CodeInvalidDevice:
		return ReasonInvalidDevice
	default:
		return ReasonUnknown
	}
}
