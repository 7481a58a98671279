package exporter

// LinkState is whether a link to another node is connected.
type LinkState uint8

// The states of a link.
const (
	LinkUp LinkState = iota
	LinkDown

	numLinkStates = int(LinkDown) + 1
)

var linkStateNames = [numLinkStates]string{"up", "down"}

// String is the label value.
func (s LinkState) String() string { return linkStateNames[clamp(s, numLinkStates)] }
