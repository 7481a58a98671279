package cluster

import "errors"

// Why a link to another node cannot be opened, besides errors of the network.
var (
	// ErrLinkVersion: the two nodes speak different versions of the link protocol.
	ErrLinkVersion = errors.New("nodes speak different versions of the link protocol")
	// ErrLinkIdentity: another node than the registry says answers at the address.
	ErrLinkIdentity = errors.New("another node answers at this address")
	// ErrLinkSecret: the nodes do not share one secret.
	ErrLinkSecret = errors.New("security.gateway_secret of the two nodes differs")
	// ErrLinkRefused: the node does not want the link; the text says why.
	ErrLinkRefused = errors.New("the node refuses the link")
)

var (
	errLinkSilent = errors.New("the node has said nothing for too long")
	errLinkWords  = errors.New("the node says what no node says here")
	errLinkDown   = errors.New("the link is not connected")
)
