package store

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed put_route.lua
	putRouteSource string
	//go:embed drop_route.lua
	dropRouteSource string
	//go:embed restore_route.lua
	restoreRouteSource string

	putRoute     = redis.NewScript(putRouteSource)
	dropRoute    = redis.NewScript(dropRouteSource)
	restoreRoute = redis.NewScript(restoreRouteSource)
)

// once keeps the client from sending a command again when the connection breaks
// before the reply: what may not be done twice. In a cluster it still follows
// redirections, which come before anything is done.
type once struct{ redis.Cmder }

// NoRetry implements [redis.Cmder].
func (once) NoRetry() bool { return true }

// eval is the run of a script for one key.
type eval struct {
	script    *redis.Script
	source    string
	key       string
	args      []any
	repeating bool // may be done twice
	*redis.Cmd
}

func (e *eval) prepare(ctx context.Context, command, script string) redis.Cmder {
	e.Cmd = redis.NewCmd(ctx, append([]any{command, script, 1, e.key}, e.args...)...)
	e.SetFirstKeyPos(3)
	if e.repeating {
		return e.Cmd
	}
	return once{e.Cmd}
}

// batch runs scripts and then keeps the online lists of the users whose routes the
// scripts change. Scripts are done in any order, and so are lists.
type batch struct {
	evals []*eval
	lists []*listing
}

// run executes the batch: one round trip to a single server. The error is the first
// one of a script; a list that is not kept is logged. A server that has lost its
// scripts gets them again.
func (s *Redis) run(ctx context.Context, b *batch) error {
	scripts := make([]redis.Cmder, len(b.evals))
	for i, e := range b.evals {
		scripts[i] = e.prepare(ctx, "evalsha", e.script.Hash())
	}
	writes, reads := listCommands(ctx, b.lists)
	s.exec(ctx, scripts, writes, reads)
	var again []redis.Cmder
	for _, e := range b.evals {
		if redis.HasErrorPrefix(e.Err(), "NOSCRIPT") {
			again = append(again, e.prepare(ctx, "eval", e.source))
		}
	}
	if len(again) > 0 {
		writes, reads = listCommands(ctx, b.lists)
		s.exec(ctx, again, writes, reads)
	}
	for _, e := range b.evals {
		if err := e.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	s.settle(ctx, b.lists)
	return nil
}

// exec sends groups of commands, each after the one before it: in one pipeline, or
// in one for each group where the commands go to several servers. Each command has
// its own error afterwards.
func (s *Redis) exec(ctx context.Context, groups ...[]redis.Cmder) {
	if !s.cluster {
		s.pipeline(ctx, slices.Concat(groups...))
		return
	}
	for _, group := range groups {
		s.pipeline(ctx, group)
	}
}

// pipeline sends commands in one round trip to each server.
func (s *Redis) pipeline(ctx context.Context, cmds []redis.Cmder) {
	pipe := s.client.Pipeline()
	for _, cmd := range cmds {
		_ = pipe.Process(ctx, cmd) // only queues it
	}
	_, err := pipe.Exec(ctx)
	// If a server refuses the connection itself, commands are left without an error.
	if err != nil && !slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Err() != nil }) {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
}

// firstError is the error of the first command that has one.
func firstError[T redis.Cmder](cmds []T) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}
