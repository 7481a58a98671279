package protocol

// HeaderSize is the length in bytes of a frame's header.
const HeaderSize = 13

// HeartbeatByte stands alone where a frame would start; both sides send it. It
// cannot start a frame, because that frame's length would be negative.
const HeartbeatByte = 0xDF

// Flags are the bits of a header's flags byte.
type Flags uint8

const (
	// FlagCrypto: the body is encrypted with the cipher in force for the command.
	FlagCrypto Flags = 1 << iota
	// FlagCompress: the plaintext is zlib (iOS SDKs send gzip; both are accepted).
	FlagCompress
	// FlagBizAck on a PUSH: the app acknowledges.
	FlagBizAck
	// FlagAutoAck on a PUSH: the receiver's SDK or server acknowledges.
	FlagAutoAck
	// FlagJSONBody: the body is a JSON object; always set on WebSocket, never on TCP.
	FlagJSONBody
)

// Packet is one frame of either protocol. CheckCode and LRC are dead fields of
// MPush: they are accepted with any value and sent as 0.
//
//	offset  size  field
//	0       4     body length (int32)
//	4       1     Command
//	5       2     CheckCode
//	7       1     Flags
//	8       4     SessionID
//	12      1     LRC
//	13      n     Body
type Packet struct {
	Command   Command
	CheckCode int16
	Flags     Flags
	SessionID int32 // correlates a reply with its request
	LRC       int8
	Body      []byte // as on the wire: compressed and encrypted as Flags say, or JSON
}
