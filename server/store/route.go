package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// Route says where a user's device of one client type is, or was last.
type Route struct {
	Node       string // id of the node that holds the connection; empty for a Java node
	Address    string // host:port of that node's gateway, as in the registry
	PublicIP   string // names the node's online list; empty, also as returned: the host of Address
	Connection string // id of the connection, unique in the cluster; empty when offline
	DeviceID   string

	OSName, OSVersion, ClientVersion string

	ClientType protocol.ClientType
	// Since is when the route came online or, for one that is offline, went offline.
	Since  time.Time
	Online bool
}

// List is the name of the online list that the route's user is on.
func (r Route) List() string {
	if r.PublicIP != "" {
		return r.PublicIP
	}
	host, _ := splitAddress(r.Address)
	return host
}

// routeVersion starts a route's record on disk. Version 1 has no addresses.
const routeVersion = 2

// appendRoute appends the record of a route: version, online, client type, Since
// in ms, then the strings with a length each.
func appendRoute(dst []byte, r Route) []byte {
	online := byte(0)
	if r.Online {
		online = 1
	}
	dst = append(dst, routeVersion, online, byte(r.ClientType))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Since.UnixMilli()))
	for _, s := range r.strings() {
		dst = binary.AppendUvarint(dst, uint64(len(*s)))
		dst = append(dst, *s...)
	}
	return dst
}

func (r *Route) strings() [8]*string {
	return [8]*string{&r.Node, &r.Connection, &r.DeviceID, &r.OSName, &r.OSVersion, &r.ClientVersion, &r.Address, &r.PublicIP}
}

var errRecordShort = errors.New("record ends early")

// parseRoute reads a record written by appendRoute.
func parseRoute(b []byte) (Route, error) {
	if len(b) < 11 {
		return Route{}, errRecordShort
	}
	if b[0] < 1 || b[0] > routeVersion {
		return Route{}, fmt.Errorf("record version %d, want %d", b[0], routeVersion)
	}
	r := Route{Online: b[1] == 1, ClientType: protocol.ClientType(b[2])}
	r.Since = time.UnixMilli(int64(binary.BigEndian.Uint64(b[3:])))
	members := r.strings()
	kept := members[:]
	if b[0] == 1 {
		kept = kept[:6]
	}
	b = b[11:]
	for _, s := range kept {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return Route{}, errRecordShort
		}
		*s = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	return r, nil
}
