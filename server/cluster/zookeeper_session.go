package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// zkLink is a connection that requests can be made over.
type zkLink struct {
	session    int64  // the id of its session
	generation uint64 // another number for each connection
}

// zkSession follows the library's connection, gives it the credential and makes the
// nodes that everything is in.
type zkSession struct {
	z      *ZooKeeper
	signal chan struct{} // holds one

	mu         sync.Mutex
	connected  bool
	generation uint64
	link       zkLink // of the connection, once it is ready
	usable     bool
	had        bool // a session since the last expiry
	err        error

	authorized bool // only the goroutine uses it
	warned     bool // likewise: the outage was logged
}

func newZKSession(z *ZooKeeper) *zkSession {
	s := &zkSession{z: z, signal: make(chan struct{}, 1)}
	s.err = s.unreachable(errors.New("not connected yet"))
	return s
}

// changed is called by the library and must not block.
func (s *zkSession) changed(state zk.State) {
	s.mu.Lock()
	wasConnected, expired := s.connected, false
	s.connected = state == zk.StateHasSession
	switch state {
	case zk.StateHasSession:
		s.generation++
		s.had = true
	case zk.StateExpired:
		expired, s.had = s.had, false
	}
	changed := s.connected || wasConnected || expired
	if !s.connected {
		s.usable = false
	}
	s.mu.Unlock()
	if expired {
		s.z.options.Metrics.RegistrySessionsLost.Inc()
		s.z.log.Warn("the session with ZooKeeper was lost, and with it what this process announced")
	}
	if changed || state == zk.StateConnecting {
		poke(s.signal)
	}
}

// ready returns the connection, false while there is none that can be used.
func (s *zkSession) ready() (zkLink, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link, s.usable
}

func (s *zkSession) error() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *zkSession) current() (generation uint64, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation, s.connected
}

func (s *zkSession) run() {
	var retry backoff
	var again <-chan time.Time
	for {
		select {
		case <-s.z.quit:
			return
		case <-s.signal:
		case <-again:
		}
		again = nil
		generation, connected := s.current()
		if _, usable := s.ready(); usable {
			continue
		}
		if !connected {
			s.down()
			continue
		}
		if err := s.prepare(); err != nil {
			if s.z.closed() {
				return
			}
			s.fail(err)
			again = time.After(retry.next())
			continue
		}
		retry.reset()
		s.up(generation)
	}
}

// prepare makes a new connection usable. The pause is for two: many nodes do not fall
// upon a server that just came back, and the library has told the server which
// changes it saw last before a request of ours can move that mark.
func (s *zkSession) prepare() error {
	pause := 10*time.Millisecond + rand.N(50*time.Millisecond)
	select {
	case <-time.After(pause):
	case <-s.z.quit:
		return zk.ErrClosing
	}
	if !s.authorized { // after a reconnection the library does it itself
		if err := s.z.conn.AddAuth("digest", []byte(s.z.options.Digest)); err != nil {
			return err
		}
		s.authorized = true
	}
	if _, err := s.z.conn.Sync(s.z.paths.root()); err != nil { // never go back in time
		return err
	}
	return s.z.makeParents()
}

func (s *zkSession) up(generation uint64) {
	id := s.z.conn.SessionID()
	s.mu.Lock()
	ok := s.connected && s.generation == generation
	if ok {
		s.link, s.usable, s.err = zkLink{session: id, generation: generation}, true, nil
	}
	s.mu.Unlock()
	if !ok {
		poke(s.signal) // it was lost meanwhile
		return
	}
	s.warned = false
	s.z.log.Info("connected to ZooKeeper", "server", s.z.conn.Server(), "session", fmt.Sprintf("%#x", id), "session_timeout", s.z.wire.sessionTimeout())
	s.tell()
}

// down notes that there is no connection and, as soon as it is known, why.
func (s *zkSession) down() {
	if reason := s.z.wire.reason(); reason != nil {
		s.fail(reason)
	} else if generation, _ := s.current(); generation > 0 {
		s.fail(errors.New("the connection was lost"))
	}
}

func (s *zkSession) fail(reason error) {
	if cause := s.z.wire.reason(); cause != nil && disconnected(reason) {
		reason = cause
	}
	err := s.unreachable(reason)
	if errors.Is(reason, zk.ErrNoAuth) {
		err = s.z.refused(reason)
	}
	s.mu.Lock()
	changed := s.err == nil || s.err.Error() != err.Error()
	s.err = err
	s.mu.Unlock()
	if !s.warned {
		s.warned = true
		s.z.log.Error("the registry cannot be reached; what was known last stays", "error", err)
	}
	if changed {
		s.tell()
	}
}

// tell wakes all who work with the connection.
func (s *zkSession) tell() {
	poke(s.z.view.signal)
	poke(s.z.announce.signal)
	s.z.notifier.notify()
}

func (s *zkSession) unreachable(reason error) error {
	return fmt.Errorf("ZooKeeper at %s (registry.zookeeper.servers) cannot be reached: %w",
		strings.Join(s.z.options.Servers, ","), reason)
}

// refusedError says that ZooKeeper does not let this process in.
type refusedError struct {
	path   string
	reason error
}

// Error implements error.
func (e *refusedError) Error() string {
	return fmt.Sprintf("ZooKeeper refuses access to %s: registry.zookeeper.digest is not the one that it was made with: %v", e.path, e.reason)
}

// Unwrap returns what the library said.
func (e *refusedError) Unwrap() error { return e.reason }

func (z *ZooKeeper) refused(reason error) error {
	if e := (*refusedError)(nil); errors.As(reason, &e) {
		return reason
	}
	return &refusedError{z.paths.root(), reason}
}

// disconnected reports whether a request failed because the connection was lost.
func disconnected(err error) bool {
	for _, e := range []error{zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrSessionExpired, zk.ErrClosing} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// makeParents makes the persistent nodes that are missing.
func (z *ZooKeeper) makeParents() error {
	for _, path := range z.paths.parents() {
		exists, _, err := z.conn.Exists(path)
		if err == nil && !exists {
			_, err = z.conn.Create(path, nil, zk.FlagPersistent, zk.AuthACL(zk.PermAll))
		}
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return fmt.Errorf("make %s: %w", path, err)
		}
	}
	return nil
}

// poke wakes a goroutine that will look at everything.
func poke(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default: // it was woken already
	}
}

// backoff is the pause before another attempt: 0.1 s, doubling up to 3 s, give or take
// a half.
type backoff struct{ failures int }

func (b *backoff) next() time.Duration {
	d := min(100*time.Millisecond<<min(b.failures, 10), 3*time.Second)
	b.failures++
	return d/2 + rand.N(d)
}

func (b *backoff) reset() { b.failures = 0 }
