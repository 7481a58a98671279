package store

import (
	"strings"
	"time"
	"unique"

	"github.com/fanfare-push/fanfare/protocol"
)

// routeKey names a route: a user has one of each client type.
type routeKey struct {
	user       string
	clientType protocol.ClientType
}

// kind is the part of a route that many share; it is kept once.
type kind struct {
	node string
	platform
}

// route is the compact form of a [Route]. Offline routes form a list in the order
// in which they went offline.
type route struct {
	key        routeKey
	kind       unique.Handle[kind]
	connection string // empty: offline
	device     string
	since      int64 // ms since the epoch
	prev, next *route
}

func (r *route) expand() Route {
	k := r.kind.Value()
	return Route{
		Node: k.node, Connection: r.connection, DeviceID: r.device,
		OSName: k.osName, OSVersion: k.osVersion, ClientVersion: k.clientVersion,
		ClientType: r.key.clientType, Since: time.UnixMilli(r.since), Online: r.connection != "",
	}
}

// routes holds every online route and at most maxOffline of the others; the one
// that went offline first leaves first.
type routes struct {
	byKey      map[routeKey]*route
	offline    route // head of the list: next is the oldest, prev the newest
	gone       int   // length of the list
	maxOffline int
}

func newRoutes(maxOffline int) *routes {
	t := &routes{byKey: make(map[routeKey]*route), maxOffline: maxOffline}
	t.offline.prev, t.offline.next = &t.offline, &t.offline
	return t
}

// put replaces a route and returns the one that was there.
func (t *routes) put(user string, v Route) (old Route, had bool) {
	key := routeKey{user, v.ClientType}
	r := t.byKey[key]
	if had = r != nil; had {
		old = r.expand()
		t.unlink(r)
	} else {
		key.user = strings.Clone(user)
		r = &route{key: key}
		t.byKey[key] = r
	}
	r.connection, r.device = strings.Clone(v.Connection), strings.Clone(v.DeviceID)
	r.kind = unique.Make(kind{v.Node, platform{v.OSName, v.OSVersion, v.ClientVersion}})
	r.since = v.Since.UnixMilli()
	return old, had
}

// drop takes the route offline if the connection owns it.
func (t *routes) drop(key routeKey, connection string, now time.Time) (*route, bool) {
	r := t.byKey[key]
	if r == nil || connection == "" || r.connection != connection {
		return nil, false
	}
	r.connection, r.since = "", now.UnixMilli()
	t.link(r)
	return r, true
}

// trim removes the oldest offline routes over the bound.
func (t *routes) trim() (evicted []routeKey) {
	for t.gone > t.maxOffline {
		oldest := t.offline.next
		t.unlink(oldest)
		delete(t.byKey, oldest.key)
		evicted = append(evicted, oldest.key)
	}
	return evicted
}

// link makes r the newest offline route.
func (t *routes) link(r *route) {
	r.prev, r.next = t.offline.prev, &t.offline
	r.prev.next, t.offline.prev = r, r
	t.gone++
}

// unlink takes r off the list if it is on it.
func (t *routes) unlink(r *route) {
	if r.next == nil {
		return
	}
	r.prev.next, r.next.prev = r.next, r.prev
	r.prev, r.next = nil, nil
	t.gone--
}
