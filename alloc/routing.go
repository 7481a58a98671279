package alloc

import (
	"cmp"

	"github.com/fanfare-push/fanfare/server/cluster"
)

// byLoad orders nodes for devices: least connections first.
func byLoad(a, b cluster.Info) int {
	return cmp.Or(cmp.Compare(a.Connections, b.Connections), cmp.Compare(a.ID, b.ID))
}
