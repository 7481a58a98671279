package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/exporter"
)

// javaSessionTTL is how long a session without an expiry lives on: a Java node that
// dies between SET and EXPIRE leaves one.
const javaSessionTTL = 24 * time.Hour

// SaveSession implements [Store]. One command writes the key and its expiry.
func (s *Redis) SaveSession(ctx context.Context, id string, v Session) error {
	text, _ := v.AppendText(nil) // never fails
	ttl := v.Expires.Sub(s.now())
	return s.call(ctx, "save a session", func(ctx context.Context) error {
		if ttl < time.Millisecond {
			return s.client.Del(ctx, sessionPrefix+id).Err()
		}
		return s.client.Set(ctx, sessionPrefix+id, text, ttl).Err()
	})
}

// LoadSession implements [Store]. Reading a session does not prolong it.
func (s *Redis) LoadSession(ctx context.Context, id string) (v Session, found bool, err error) {
	bad := unreadable{kind: exporter.ValueSession}
	err = s.call(ctx, "load a session", func(ctx context.Context) error {
		key := sessionPrefix + id
		text := redis.NewStringCmd(ctx, "get", key)
		ttl := redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
		s.exec(ctx, []redis.Cmder{text, ttl})
		switch err := text.Err(); {
		case errors.Is(err, redis.Nil):
			return nil
		case isWrongType(err):
			bad.add(key, err)
			return nil
		case err != nil:
			return err
		}
		if err := ttl.Err(); err != nil {
			return err
		}
		var unread error
		if v, unread = ParseSession([]byte(text.Val())); unread != nil {
			bad.add(key, unread)
			return nil
		}
		v.Expires, found = s.expiry(ttl.Val())
		return nil
	})
	s.note(&bad)
	if err != nil || !found {
		return Session{}, false, err
	}
	return v, true, nil
}

// expiry is when a key with the remaining time of PTTL ends; false if it has.
func (s *Redis) expiry(remaining time.Duration) (time.Time, bool) {
	const unlimited, absent = -1, -2 // as go-redis hands them out
	switch {
	case remaining == absent:
		return time.Time{}, false
	case remaining == unlimited:
		remaining = javaSessionTTL
	}
	return s.now().Add(remaining), true
}
