package store

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
)

// errNoOwner is a fault of the caller.
var errNoOwner = errors.New("store: a route needs a user and a connection")

// field is the name of a client type in the hash of a user's routes.
func field(t protocol.ClientType) string { return strconv.Itoa(int(t)) }

// PutRoute implements [Store]. An unreadable route is replaced like any other and
// not returned. If the error is not nil, the route may have been written or not.
func (s *Redis) PutRoute(ctx context.Context, user string, r Route) (old Route, had bool, err error) {
	if user == "" || r.Connection == "" {
		return Route{}, false, errNoOwner
	}
	if r.Since.IsZero() {
		r.Since = s.now()
	}
	r.Online = true
	put := &eval{
		script: putRoute, source: putRouteSource, key: routePrefix + user,
		args: []any{field(r.ClientType), appendRouteJSON(nil, r), user, announcedOn(onlineChannel, user)},
	}
	b := &batch{evals: []*eval{put}, lists: listingOf(user, r, true)}
	if err = s.call(ctx, "put a route", func(ctx context.Context) error { return s.run(ctx, b) }); err != nil {
		return Route{}, false, err
	}
	if old, had, err = s.replaced(put, r.ClientType); had {
		s.leave(ctx, moved(user, old, r))
	}
	return old, had, err
}

// announcedOn is the channel on which back ends hear of a user, none for a node's own.
func announcedOn(channel, user string) string {
	if protocol.IsCanary(user) {
		return ""
	}
	return channel
}

// moved is the list that a user leaves whose route is replaced by one elsewhere:
// the old node may be dead. It is not known for a Java node's route.
func moved(user string, old, r Route) []*listing {
	if !old.Online || old.Node == "" || old.List() == r.List() {
		return nil
	}
	return listingOf(user, old, false)
}

// leave keeps lists that a change of a route has made wrong.
func (s *Redis) leave(ctx context.Context, lists []*listing) {
	if len(lists) == 0 {
		return
	}
	err := s.call(ctx, keepList, func(ctx context.Context) error { return s.run(ctx, &batch{lists: lists}) })
	if err != nil {
		s.listNotKept(err)
	}
}

// replaced reads the reply of put_route.lua.
func (s *Redis) replaced(put *eval, class protocol.ClientType) (old Route, had bool, err error) {
	reply, err := put.Slice()
	if err != nil || len(reply) != 3 {
		return Route{}, false, s.failed(context.Background(), "put a route", errors.Join(errReply, err))
	}
	bad := unreadable{kind: exporter.ValueRoute}
	defer s.note(&bad)
	if reply[1] == int64(1) {
		bad.add(put.key, errForeignKey)
	}
	s.noteAnnouncement(reply[2])
	text, ok := reply[0].(string)
	if !ok {
		return Route{}, false, nil
	}
	old, unread := parseRouteJSON([]byte(text))
	if unread != nil {
		bad.add(put.key, unread)
		return Route{}, false, nil
	}
	old.ClientType = class
	return old, true, nil
}

var (
	errReply      = errors.New("a script replied something else than it should")
	errForeignKey = errors.New("the key was not a hash and has been replaced")
)

// noteAnnouncement logs why nobody was told who came online or went offline.
func (s *Redis) noteAnnouncement(failed any) {
	if text, ok := failed.(string); ok {
		s.said.refused.Warn(s.log, "Redis does not let the node announce who comes online and goes offline", "err", text)
	}
}

// DropRoute implements [Store]. If the error is not nil, the route may have gone
// offline or not.
func (s *Redis) DropRoute(ctx context.Context, user string, r Route) (dropped bool, err error) {
	n, err := s.drop(ctx, []UserRoute{{user, r}})
	return n == 1, err
}

// drop takes up to chunk routes offline that their connections still own, and
// returns how many did.
func (s *Redis) drop(ctx context.Context, routes []UserRoute) (dropped int, err error) {
	b := &batch{}
	since := s.now().UnixMilli()
	for _, r := range routes {
		b.lists = append(b.lists, listingOf(r.User, r.Route, false)...)
		b.evals = append(b.evals, &eval{
			script: dropRoute, source: dropRouteSource, key: routePrefix + r.User,
			args: []any{field(r.ClientType), r.Connection, since, r.User, announcedOn(offlineChannel, r.User)},
		})
	}
	if err = s.call(ctx, "drop a route", func(ctx context.Context) error { return s.run(ctx, b) }); err != nil {
		return 0, err
	}
	for _, e := range b.evals {
		reply, err := e.Slice()
		if err != nil || len(reply) != 2 {
			return dropped, s.failed(ctx, "drop a route", errors.Join(errReply, err))
		}
		s.noteAnnouncement(reply[1])
		if reply[0] == int64(1) {
			dropped++
		}
	}
	return dropped, nil
}

// Restore implements [Store]. Nobody is told that the users came online: as far as
// anybody knows they have been all the time.
func (s *Redis) Restore(ctx context.Context, routes []UserRoute) (taken map[int]Route, err error) {
	for _, r := range routes {
		if r.User == "" || r.Connection == "" {
			return nil, errNoOwner
		}
	}
	taken = make(map[int]Route)
	for start := 0; start < len(routes); start += chunk {
		part := routes[start:min(start+chunk, len(routes))]
		if err := s.restore(ctx, part, start, taken); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// restore writes a chunk of routes, the first of which has the index start.
func (s *Redis) restore(ctx context.Context, routes []UserRoute, start int, taken map[int]Route) error {
	b := &batch{}
	for _, r := range routes {
		if r.Since.IsZero() {
			r.Since = s.now()
		}
		r.Online = true
		b.evals = append(b.evals, &eval{
			script: restoreRoute, source: restoreRouteSource, key: routePrefix + r.User, repeating: true,
			args: []any{field(r.ClientType), appendRouteJSON(nil, r.Route), r.Connection, r.Since.UnixMilli()},
		})
	}
	if err := s.call(ctx, "restore routes", func(ctx context.Context) error { return s.run(ctx, b) }); err != nil {
		return err
	}
	var lists []*listing
	for i, e := range b.evals {
		written, old, err := s.restored(e)
		if err != nil {
			return err
		}
		old.ClientType = routes[i].ClientType
		if written {
			lists = append(append(lists, listingOf(routes[i].User, routes[i].Route, true)...), moved(routes[i].User, old, routes[i].Route)...)
		} else {
			taken[start+i] = old
		}
	}
	s.leave(ctx, lists)
	return nil
}

// restored reads the reply of restore_route.lua.
func (s *Redis) restored(e *eval) (written bool, old Route, err error) {
	reply, err := e.Slice()
	if err != nil || len(reply) != 2 {
		return false, Route{}, s.failed(context.Background(), "restore routes", errors.Join(errReply, err))
	}
	if text, ok := reply[1].(string); ok {
		old, _ = parseRouteJSON([]byte(text)) // what is no route was overwritten
	}
	return reply[0] == int64(1), old, nil
}

// Routes implements [Store]. More than 500 users take a round trip for each 500.
func (s *Redis) Routes(ctx context.Context, users ...string) ([][]Route, error) {
	all := make([][]Route, 0, len(users))
	bad := unreadable{kind: exporter.ValueRoute}
	defer func() { s.note(&bad) }()
	for part := range slices.Chunk(users, chunk) {
		err := s.call(ctx, "read routes", func(ctx context.Context) error {
			cmds := make([]redis.Cmder, len(part))
			for i, user := range part {
				cmds[i] = readRoutes(ctx, user)
			}
			s.pipeline(ctx, cmds)
			for i, cmd := range cmds {
				routes, err := parseRoutes(cmd.(*redis.MapStringStringCmd), routePrefix+part[i], &bad)
				if err != nil {
					return err
				}
				all = append(all, routes)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readRoutes is the command that reads a user's routes.
func readRoutes(ctx context.Context, user string) *redis.MapStringStringCmd {
	return redis.NewMapStringStringCmd(ctx, "hgetall", routePrefix+user)
}

// parseRoutes reads a user's hash. Fields of client types that do not exist are
// passed over.
func parseRoutes(cmd *redis.MapStringStringCmd, key string, bad *unreadable) (routes []Route, err error) {
	if isWrongType(cmd.Err()) {
		bad.add(key, cmd.Err())
		return nil, nil
	}
	fields, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	for _, t := range protocol.ClientTypes() {
		text, ok := fields[field(t)]
		if !ok {
			continue
		}
		r, err := parseRouteJSON([]byte(text))
		if err != nil {
			bad.add(key, err)
			continue
		}
		r.ClientType = t
		routes = append(routes, r)
	}
	return routes, nil
}
