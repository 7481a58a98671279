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
	node, address, publicIP string
	platform
}

func kindOf(v Route) unique.Handle[kind] {
	if host, _ := splitAddress(v.Address); v.PublicIP == host {
		v.PublicIP = ""
	}
	return unique.Make(kind{v.Node, v.Address, v.PublicIP, platform{v.OSName, v.OSVersion, v.ClientVersion}})
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
		Node: k.node, Address: k.address, PublicIP: k.publicIP, Connection: r.connection, DeviceID: r.device,
		OSName: k.osName, OSVersion: k.osVersion, ClientVersion: k.clientVersion,
		ClientType: r.key.clientType, Since: time.UnixMilli(r.since), Online: r.connection != "",
	}
}

func (r *route) list() string {
	k := r.kind.Value()
	return Route{Address: k.address, PublicIP: k.publicIP}.List()
}

// routes holds every online route and at most maxOffline of the others; the one
// that went offline first leaves first.
type routes struct {
	byKey      map[routeKey]*route
	listed     map[string]int // users with an online route, by the name of the list
	offline    route          // head of the list: next is the oldest, prev the newest
	gone       int            // length of the list
	maxOffline int
}

func newRoutes(maxOffline int) *routes {
	t := &routes{byKey: make(map[routeKey]*route), listed: make(map[string]int), maxOffline: maxOffline}
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
		t.setOnline(r, "")
	} else {
		key.user = strings.Clone(user)
		r = &route{key: key}
		t.byKey[key] = r
	}
	r.device, r.kind, r.since = strings.Clone(v.DeviceID), kindOf(v), v.Since.UnixMilli()
	t.setOnline(r, strings.Clone(v.Connection))
	return old, had
}

// setOnline changes the route's connection, empty for none, and keeps the count of
// the online list that its user may be on with other routes.
func (t *routes) setOnline(r *route, connection string) {
	if (r.connection == "") == (connection == "") {
		r.connection = connection
		return
	}
	list, change := r.list(), -1
	if connection != "" {
		change = 1
	}
	if list != "" && !protocol.IsCanary(r.key.user) && !t.onlineElsewhere(r, list) {
		if t.listed[list] += change; t.listed[list] == 0 {
			delete(t.listed, list)
		}
	}
	r.connection = connection
}

// onlineElsewhere reports whether the user has another online route on the list.
func (t *routes) onlineElsewhere(r *route, list string) bool {
	for _, class := range protocol.ClientTypes() {
		other := t.byKey[routeKey{r.key.user, class}]
		if other != nil && other != r && other.connection != "" && other.list() == list {
			return true
		}
	}
	return false
}

// drop takes the route offline if the connection owns it.
func (t *routes) drop(key routeKey, connection string, now time.Time) (*route, bool) {
	r := t.byKey[key]
	if r == nil || connection == "" || r.connection != connection {
		return nil, false
	}
	t.setOnline(r, "")
	r.since = now.UnixMilli()
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
