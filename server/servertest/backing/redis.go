//go:build unix

package backing

import (
	"fmt"
	"strconv"
	"testing"
)

// Redis is a redis-server process. It ends with the test.
type Redis struct {
	// Addr is host:port.
	Addr string
	*process
}

// StartRedis runs a redis-server on a free loopback port with an empty directory of
// its own and waits until it answers. It saves nothing to the disk unless args, in
// the form of redis-server's command line, say so.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	path := require(t, "redis", "redis-server", "redis-server")
	var err error
	for range 3 { // somebody else may take the port first
		r := newRedis(t, path, args)
		r.start()
		if err = r.await(r.answers); err == nil {
			return r
		}
		r.Kill()
	}
	t.Fatal(err)
	return nil
}

func newRedis(t testing.TB, path string, args []string) *Redis {
	port := FreePort(t)
	r := &Redis{Addr: loopback(port), process: &process{t: t, path: path, dir: t.TempDir()}}
	r.args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", r.dir, "--daemonize", "no",
		"--save", "", "--appendonly", "no", "--protected-mode", "no",
	}, args...)
	t.Cleanup(func() {
		if r.command != nil && r.command.Process != nil {
			r.Kill()
		}
	})
	return r
}

// Restart stops the server, if it runs, and starts it on the same port and
// directory. What the directory holds is loaded when it returns.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Stop()
	r.start()
	if err := r.await(r.answers); err != nil {
		r.t.Fatal(err)
	}
}

// answers is nil if the server serves, be it only to ask for a password.
func (r *Redis) answers() error {
	reply, err := roundTrip(r.Addr, "PING")
	if err != nil {
		return err
	}
	if e, ok := reply.(respError); ok && e.kind() == "LOADING" {
		return e
	}
	return nil
}

// Do sends one command over a connection of its own and returns the reply: string,
// int64, nil or []any of these. An error in the reply fails the test.
func (r *Redis) Do(args ...string) any {
	r.t.Helper()
	reply, err := roundTrip(r.Addr, args...)
	if e, ok := reply.(respError); ok {
		err = e
	}
	if err != nil {
		r.t.Fatalf("redis %v: %v", args, err)
	}
	return reply
}

// Text is Do for a reply that is one text.
func (r *Redis) Text(args ...string) string {
	r.t.Helper()
	return fmt.Sprint(r.Do(args...))
}
