package store

import (
	"fmt"
	"slices"

	"github.com/fanfare-push/fanfare/protocol"
)

// loadSessions reads the sessions of the file and deletes those over the bound or
// that cannot be read. The first sweep removes those that have expired.
func (s *Embedded) loadSessions() error {
	unreadable := 0
	err := s.journal.each(sessionBucket, func(key, value []byte) {
		v, err := parseSession(value)
		if err != nil || len(key) != len(sessionID{}) {
			unreadable++
			s.journal.put(sessionBucket, string(key), nil)
			return
		}
		s.forget(s.sessions.put(sessionID(key), v))
	})
	if unreadable > 0 {
		s.log.Warn("the store dropped sessions that it cannot read", "count", unreadable)
	}
	if err != nil {
		return fmt.Errorf("read sessions: %w", err)
	}
	return nil
}

// loadRoutes reads the routes of the file. Nobody is connected yet, so those that
// were online went offline at some time until now.
func (s *Embedded) loadRoutes() error {
	now, unreadable := s.now(), 0
	var loaded []*route
	err := s.journal.each(routeBucket, func(key, value []byte) {
		v, err := parseRoute(value)
		if err != nil || len(key) < 2 || protocol.ClientType(key[0]) != v.ClientType {
			unreadable++
			s.journal.put(routeBucket, string(key), nil)
			return
		}
		if v.Online {
			v.Since = now
		}
		v.Connection = ""
		s.routes.put(string(key[1:]), v)
		loaded = append(loaded, s.routes.byKey[routeKey{string(key[1:]), v.ClientType}])
	})
	if unreadable > 0 {
		s.log.Warn("the store dropped routes that it cannot read", "count", unreadable)
	}
	if err != nil {
		return fmt.Errorf("read routes: %w", err)
	}
	slices.SortStableFunc(loaded, func(a, b *route) int { return int(min(max(a.since-b.since, -1), 1)) })
	for _, r := range loaded {
		s.routes.link(r)
	}
	s.trimRoutes()
	return nil
}
