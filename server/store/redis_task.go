package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fanfare-push/fanfare/exporter"
)

// taskTTL ends what is kept of a broadcast task so long after it was last used.
// MPush keeps it for ever.
const taskTTL = 7 * 24 * time.Hour

// OnlineUsers implements [Store].
func (s *Redis) OnlineUsers(ctx context.Context, publicIP string) (n int, err error) {
	err = s.call(ctx, "count online users", func(ctx context.Context) error {
		count, err := s.client.ZCard(ctx, listPrefix+publicIP).Result()
		n = int(count)
		return err
	})
	return n, err
}

// Lease implements [Store].
func (s *Redis) Lease(ctx context.Context, name string, ttl time.Duration) (taken bool, err error) {
	if ttl < time.Millisecond {
		return false, errLeaseTTL(name, ttl)
	}
	err = s.call(ctx, "take a lease", func(ctx context.Context) error {
		err := s.client.Do(ctx, "set", leasePrefix+name, s.now().UnixMilli(), "nx", "px", ttl.Milliseconds()).Err()
		taken = err == nil
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	return taken, err
}

// Task implements [Store]. The task is forgotten a week after its last use.
func (s *Redis) Task(ctx context.Context, task string, sent int) (state TaskState, err error) {
	key := taskPrefix + task
	fields := redis.NewSliceCmd(ctx, "hmget", key, "q", "c", "sc")
	cmds := []redis.Cmder{fields}
	if sent != 0 {
		add := once{redis.NewIntCmd(ctx, "hincrby", key, "sc", sent)}
		cmds = []redis.Cmder{add, fields, redis.NewBoolCmd(ctx, "pexpire", key, taskTTL.Milliseconds())}
	}
	bad := unreadable{kind: exporter.ValueTask}
	err = s.call(ctx, "steer a task", func(ctx context.Context) error {
		s.exec(ctx, cmds)
		for _, cmd := range cmds {
			if err := cmd.Err(); isWrongType(err) || redis.HasErrorPrefix(err, "hash value is not an integer") {
				bad.add(key, err)
				cmd.SetErr(nil)
			}
		}
		return firstError(cmds)
	})
	if err != nil {
		return TaskState{}, err
	}
	state = parseTask(fields.Val(), key, &bad)
	s.note(&bad)
	return state, nil
}

// parseTask reads q, c and sc, which are JSON scalars.
func parseTask(fields []any, key string, bad *unreadable) TaskState {
	state := TaskState{Rate: DefaultTaskRate}
	if len(fields) != 3 {
		return state
	}
	number := func(field any, otherwise int) int {
		text, ok := field.(string)
		if !ok {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			bad.add(key, errors.New("a field is no number"))
			return otherwise
		}
		return n
	}
	state.Rate = max(1, number(fields[0], DefaultTaskRate))
	if fields[1] == "true" {
		state.Cancelled = true
	} else {
		state.Cancelled = number(fields[1], 0) == 1
	}
	state.Sent = number(fields[2], 0)
	return state
}

// TaskReached implements [Store]. The list is forgotten a week after its last use.
func (s *Redis) TaskReached(ctx context.Context, task string, users []string) error {
	key := task + reachedSuffix
	for part := range slices.Chunk(users, chunk) {
		err := s.call(ctx, "note whom a task reached", func(ctx context.Context) error {
			args := []any{"lpush", key}
			for _, user := range part {
				args = append(args, user)
			}
			cmds := []redis.Cmder{once{redis.NewIntCmd(ctx, args...)}, redis.NewBoolCmd(ctx, "pexpire", key, taskTTL.Milliseconds())}
			s.exec(ctx, cmds)
			return firstError(cmds)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var _ Store = (*Redis)(nil)
