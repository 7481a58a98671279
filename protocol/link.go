package protocol

// Commands of links between Fanfare nodes, over the gateway port and in the frames of
// MPush. MPush uses no number from 25 on; a Java node answers one with ERROR 101 and
// closes, so they are sent only to a peer whose announcement names a link version.
//
// The node that connects speaks first:
//
//	-> CmdLinkHello      who asks, whom it wants, a nonce
//	<- CmdLinkChallenge  who answers, its nonce, its proof of the shared secret
//	-> CmdLinkProof      the other proof, and what is still owed of an earlier connection
//	<- CmdLinkReady      what of that arrived; results that were lost follow
//	<- CmdLinkInfo       and again whenever it changes, at least every ten seconds
//
// or, instead of an answer, CmdLinkRefused and the end. Then requests go one way and
// results the other, in any order.
const (
	// CmdLinkHello: [LinkHello].
	CmdLinkHello Command = 64 + iota
	// CmdLinkChallenge: [LinkChallenge].
	CmdLinkChallenge
	// CmdLinkProof: [LinkProof].
	CmdLinkProof
	// CmdLinkReady: [LinkReady].
	CmdLinkReady
	// CmdLinkRefused: [LinkRefused], then the connection ends.
	CmdLinkRefused
	// CmdLinkPing: [LinkPing]; the answer is [CmdLinkPong] with the same session id.
	CmdLinkPing
	// CmdLinkPong: [LinkPing].
	CmdLinkPong
	// CmdLinkInfo: a JSON object about the node that sends it, with what its clock says.
	CmdLinkInfo
	// CmdLinkPush: [LinkPush] with users.
	CmdLinkPush
	// CmdLinkBroadcast: [LinkPush] without users.
	CmdLinkBroadcast
	// CmdLinkProgress: [LinkResults] of what a broadcast has done so far.
	CmdLinkProgress
	// CmdLinkResults: [LinkResults].
	CmdLinkResults
	// CmdLinkCancel: [LinkCancel].
	CmdLinkCancel
	// CmdLinkDrain: [LinkDrain].
	CmdLinkDrain
)

// IsLink reports whether the command belongs to a link between Fanfare nodes.
func (c Command) IsLink() bool { return c >= CmdLinkHello && c <= CmdLinkDrain }

// MaxLinkFrame is the longest body of a frame on a link after its hello, in bytes.
const MaxLinkFrame = 8 << 20
