// Package protocol is MPush's wire format as Fanfare speaks it: packets,
// commands, bodies, ciphers and the closed sets of codes, reasons and outcomes
// that every other package shares.
//
// It is a leaf: it imports the standard library only, opens no connection and
// starts no goroutine. A connection on the device port looks like this:
//
//	device                                            node
//	HANDSHAKE {iv, clientKey, ...}   RSA     ->
//	                                         <-       HANDSHAKE {serverKey, sessionId, ...}  AES(clientKey, iv)
//	BIND {userId, tags}              AES     ->       AES(clientKey XOR serverKey, iv) from here on
//	                                         <-       OK {5, 0, "bind success"}              plain
//	                                         <-       PUSH content                           AES
//	ACK                              plain   ->
//	0xDF                                     <->      0xDF                                   heartbeat, one byte
//
// On the WebSocket port each text frame is one packet as a JSON object and
// nothing is encrypted; see [FlagJSONBody].
//
// To read, cut packets off the stream with a [Decoder] (or [ParseJSONPacket]),
// undo encryption and compression with [Open], decode the body with
// [Packet.Unmarshal]. To write, encode the body with [Message].AppendBinary and
// wrap it with [AppendSealed], or use [AppendJSONPacket]. Every length is checked
// against a limit before memory is taken for it. Functions named Append add to the
// slice they are given and take no memory if it has room.
package protocol
