package protocol

import "strconv"

// Command is the third field of a packet header: what the packet asks or says.
// The number is the wire value; the comment gives the body layout with the field
// encodings of [Message] (int and long are big-endian, bytes and string carry a
// 16-bit length).
type Command int8

const (
	// CmdUnknown is never sent.
	CmdUnknown Command = -1
	// CmdHeartbeat is the single byte [HeartbeatByte] in place of a frame; a full
	// 13-byte frame with this number is accepted and answered by the byte.
	CmdHeartbeat Command = 1
	// CmdHandshake: [Handshake] to the server, [HandshakeOK] back.
	CmdHandshake Command = 2
	// CmdLogin is reserved by MPush.
	CmdLogin Command = 3
	// CmdLogout is reserved by MPush.
	CmdLogout Command = 4
	// CmdBind: [Bind] to the server, [OK] or [Error] back.
	CmdBind Command = 5
	// CmdUnbind: [Bind] to the server, [OK] or [Error] back.
	CmdUnbind Command = 6
	// CmdFastConnect: [FastConnect] to the server, [FastConnectOK] or [Error] back.
	CmdFastConnect Command = 7
	// CmdPause is reserved by MPush.
	CmdPause Command = 8
	// CmdResume is reserved by MPush.
	CmdResume Command = 9
	// CmdError: [Error], server to client.
	CmdError Command = 10
	// CmdOK: [OK], server to client.
	CmdOK Command = 11
	// CmdHTTPProxy: [HTTPRequest] to the server, [HTTPResponse] back.
	CmdHTTPProxy Command = 12
	// CmdKick: [Kick], server to client.
	CmdKick Command = 13
	// CmdGatewayKick: [GatewayKick], between nodes of a UDP cluster.
	CmdGatewayKick Command = 14
	// CmdPush: the content is the whole body, without a length; both directions.
	CmdPush Command = 15
	// CmdGatewayPush: [GatewayPush], back end to node.
	CmdGatewayPush Command = 16
	// CmdNotification is reserved by MPush, as are the five after it.
	CmdNotification Command = 17
	// CmdGatewayNotification is reserved by MPush.
	CmdGatewayNotification Command = 18
	// CmdChat is reserved by MPush.
	CmdChat Command = 19
	// CmdGatewayChat is reserved by MPush.
	CmdGatewayChat Command = 20
	// CmdGroup is reserved by MPush.
	CmdGroup Command = 21
	// CmdGatewayGroup is reserved by MPush.
	CmdGatewayGroup Command = 22
	// CmdAck: empty body; acknowledges the PUSH with the same session id.
	CmdAck Command = 23
	// CmdNack is reserved by MPush.
	CmdNack Command = 24
)

var commandNames = [...]string{
	CmdHeartbeat: "HEARTBEAT", CmdHandshake: "HANDSHAKE", CmdLogin: "LOGIN", CmdLogout: "LOGOUT",
	CmdBind: "BIND", CmdUnbind: "UNBIND", CmdFastConnect: "FAST_CONNECT", CmdPause: "PAUSE", CmdResume: "RESUME",
	CmdError: "ERROR", CmdOK: "OK", CmdHTTPProxy: "HTTP_PROXY", CmdKick: "KICK", CmdGatewayKick: "GATEWAY_KICK",
	CmdPush: "PUSH", CmdGatewayPush: "GATEWAY_PUSH", CmdNotification: "NOTIFICATION",
	CmdGatewayNotification: "GATEWAY_NOTIFICATION", CmdChat: "CHAT", CmdGatewayChat: "GATEWAY_CHAT",
	CmdGroup: "GROUP", CmdGatewayGroup: "GATEWAY_GROUP", CmdAck: "ACK", CmdNack: "NACK",
}

// String is MPush's name of the command, or its number if it has none.
func (c Command) String() string {
	if c == CmdUnknown {
		return "UNKNOWN"
	}
	if c > 0 && int(c) < len(commandNames) {
		return commandNames[c]
	}
	return strconv.Itoa(int(c))
}
