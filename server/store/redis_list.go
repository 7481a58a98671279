package store

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// listing is whether a user is on an online list.
//
// Routes and lists are under different keys, which no script may change together in
// a cluster. Therefore whoever has changed a route writes the list after that, then
// reads the routes, and starts over if they do not say what was written. Whatever
// the order in which nodes do so, the last to write has seen the routes as they
// still are.
type listing struct {
	user, list, address string
	on                  bool // as written
	write               *redis.IntCmd
	read                *redis.MapStringStringCmd
}

// keepList is what is done, in errors.
const keepList = "keep an online list"

// maxSettle bounds how often a list is written again while a user comes and goes.
const maxSettle = 10

// listingOf is nil for a route that names no list, and for a node's own user.
func listingOf(user string, r Route, on bool) []*listing {
	list := r.List()
	if list == "" || protocol.IsCanary(user) {
		return nil
	}
	return []*listing{{user: user, list: list, address: r.Address, on: on}}
}

// listCommands make the commands that write and that read.
func listCommands(ctx context.Context, lists []*listing) (writes, reads []redis.Cmder) {
	for _, l := range lists {
		l.write = redis.NewIntCmd(ctx, "zrem", listPrefix+l.list, l.user)
		if l.on {
			l.write = redis.NewIntCmd(ctx, "zadd", listPrefix+l.list, 0, l.user)
		}
		l.read = readRoutes(ctx, l.user)
		writes, reads = append(writes, l.write), append(reads, l.read)
	}
	return writes, reads
}

// settle writes those lists again that the routes do not agree with.
func (s *Redis) settle(ctx context.Context, lists []*listing) {
	for range maxSettle {
		if err := listError(lists); err != nil {
			s.listNotKept(s.failed(ctx, keepList, err))
			return
		}
		lists = slices.DeleteFunc(slices.Clone(lists), (*listing).agrees)
		if len(lists) == 0 {
			return
		}
		for _, l := range lists {
			l.on = !l.on
		}
		writes, reads := listCommands(ctx, lists)
		s.exec(ctx, writes, reads)
	}
}

func (s *Redis) listNotKept(err error) {
	s.said.list.Warn(s.log, "an online list was not kept; a sweep will do it", "err", err)
}

func listError(lists []*listing) error {
	for _, l := range lists {
		if err := errors.Join(l.write.Err(), l.read.Err()); err != nil && !isWrongType(l.read.Err()) {
			return err
		}
	}
	return nil
}

// agrees reports whether the routes say what was written.
func (l *listing) agrees() bool {
	bad := unreadable{kind: exporter.ValueRoute} // whoever asks for the routes will note it
	routes, _ := parseRoutes(l.read, "", &bad)
	return onlineOn(routes, l.list, l.address) == l.on
}

// onlineOn reports whether a route of a user belongs on an online list: it names the
// list or is on the node whose list it is.
func onlineOn(routes []Route, list, address string) bool {
	return slices.ContainsFunc(routes, func(r Route) bool {
		return r.Online && (r.List() == list || address != "" && r.Address == address)
	})
}
