package alloc

import (
	"cmp"
	"math/bits"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// offer is a node that devices may be sent to.
type offer struct {
	info  cluster.Info
	known bool // its connections are; if not it comes after those where they are
}

// byLoad orders nodes for devices: fewest connections for their weight first, ties by
// id. The order depends on nothing but what the nodes say of themselves, so that all
// allocators of a cluster give the same answer.
//
// The price: until the nodes have told of new connections, which they do each second,
// every device is sent to the same node first. Counting what was handed out would
// spread such a burst better, but each allocator knows only its own part of it, and a
// device that asked need not come. A burst is levelled out by what comes after it.
func byLoad(a, b offer) int {
	if a.known != b.known {
		if a.known {
			return -1
		}
		return 1
	}
	return cmp.Or(compareLoad(a.info, b.info), cmp.Compare(a.info.ID, b.info.ID))
}

// compareLoad compares connections per weight by cross-multiplying in 128 bits: what
// is rounded could make an order that depends on where it began.
func compareLoad(a, b cluster.Info) int {
	aHigh, aLow := bits.Mul64(size(a.Connections), size(b.Weight))
	bHigh, bLow := bits.Mul64(size(b.Connections), size(a.Weight))
	return cmp.Or(cmp.Compare(aHigh, bHigh), cmp.Compare(aLow, bLow))
}

func size(n int) uint64 { return uint64(max(n, 0)) }
