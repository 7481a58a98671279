package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisError is a failure of Redis with what to do about it.
type redisError struct {
	what, hint, secret string
	err                error
}

// Error has no secrets, even if a server repeats what it was sent.
func (e *redisError) Error() string {
	text := e.err.Error()
	if e.secret != "" {
		text = strings.ReplaceAll(text, e.secret, "***")
	}
	text, _, _ = strings.Cut(text, "\n")
	if e.hint == "" {
		return fmt.Sprintf("redis: %s: %s", e.what, text)
	}
	return fmt.Sprintf("redis: %s: %s (%s)", e.what, e.hint, text)
}

// Unwrap returns the error of the client library.
func (e *redisError) Unwrap() error { return e.err }

// Explain says in one sentence what is wrong with Redis and where to look, if err
// is of a [Redis] store and its cause is known; otherwise it is empty.
func Explain(err error) string {
	var e *redisError
	if errors.As(err, &e) {
		return e.hint
	}
	return ""
}

// failed wraps an error of a call that ctx was given to.
func (s *Redis) failed(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case s.life.Err() != nil || errors.Is(err, redis.ErrClosed):
		return ErrClosed
	case ctx.Err() != nil:
		return fmt.Errorf("redis: %s: %w", what, ctx.Err())
	}
	return &redisError{what: what, hint: hint(err), secret: s.secret, err: err}
}

// hint maps the first sign that err's text or type shows to what to do.
func hint(err error) string {
	text := err.Error()
	for _, h := range hints() {
		if strings.Contains(text, h.sign) {
			return h.text
		}
	}
	var network net.Error
	switch {
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "all connections are busy: Redis is slow, or the pool is too small"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "it does not answer in time: check its load, the network and store.redis.tls"
	case errors.As(err, &network):
		return unreachable
	}
	return ""
}

const unreachable = "it cannot be reached: check store.redis.addresses and store.redis.tls"

// hints are in the order in which they are tried.
func hints() []struct{ sign, text string } {
	return []struct{ sign, text string }{
		{"sentinels specified in configuration are unreachable",
			"no sentinel knows the master: check store.redis.addresses and store.redis.master"},
		{"WRONGPASS", "it refuses the user or the password: check store.redis.username and store.redis.password"},
		{"ERR invalid password", "it refuses the password: check store.redis.password"},
		{"NOAUTH", "it wants a password: set store.redis.password"},
		{"ERR AUTH ", "it has no password: remove store.redis.password"},
		{"ERR Client sent AUTH", "it has no password: remove store.redis.password"},
		{"NOPERM", "the user lacks a right: store.redis.username needs the keys mp:*, ff:* and *:sui, the channels /mpush/* " +
			"and the commands that read, write, publish, subscribe and run scripts"},
		{"READONLY", "it is a replica that takes no writes: let store.redis.addresses name the master, or use store.redis.mode sentinel"},
		{"OOM ", "it is out of memory: raise its maxmemory"},
		{"NOREPLICAS", "it has too few replicas and takes no writes: look at its min-replicas-to-write"},
		{"MISCONF", "it cannot save to its disk and takes no writes: look at its log"},
		{"LOADING", "it loads its data: wait"},
		{"MASTERDOWN", "it is a replica that has lost its master"},
		{"CLUSTERDOWN", "the cluster does not serve all slots: look at CLUSTER INFO"},
		{"cluster support disabled", "it is no cluster: check store.redis.mode"},
		{"MOVED ", "it belongs to a cluster: set store.redis.mode to cluster"},
		{"DB index is out of range", "it has no such database: check store.redis.db"},
		{"max number of clients", "it has too many clients: raise its maxclients"},
		{"WRONGTYPE", "a key holds a value of another type: some other program uses it"},
		{"unknown command", "it lacks a command: use Redis 5 or later with scripts"},
		{"tls: first record does not look like", "it does not speak TLS: remove store.redis.tls"},
		{"x509: ", "its certificate is not trusted: check store.redis.tls"},
		{"connection refused", unreachable},
		{"no such host", unreachable},
	}
}

// isWrongType reports whether a key holds a value of another type, which is a fault
// of the data, not of the store.
func isWrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// TakesNoWrites reports whether err is the answer of a server that can be read all the
// same: it is a replica, its memory is full, or it cannot save.
func TakesNoWrites(err error) bool {
	for _, sign := range []string{"READONLY", "OOM", "MISCONF", "NOREPLICAS"} {
		if redis.HasErrorPrefix(err, sign) {
			return true
		}
	}
	return false
}
