package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

const (
	// DefaultMaxSessions is the bound on sessions unless Options say otherwise.
	DefaultMaxSessions = 2_000_000
	// DefaultMaxRoutes is the bound on offline routes unless Options say otherwise.
	DefaultMaxRoutes = 1_000_000

	sweepEvery = time.Minute
	// sweepChunk sessions are removed under one hold of the lock.
	sweepChunk = 1000
)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("store is closed")

// Options configure an [Embedded] store. The zero value keeps everything in
// memory with the default bounds.
type Options struct {
	// Dir is created if missing and used by one process at a time. Empty: memory only.
	Dir string
	// MaxSessions bounds the sessions; over it the earliest to expire is given up,
	// and its device does a handshake. 0: DefaultMaxSessions.
	MaxSessions int
	// MaxRoutes bounds the offline routes; over it the one that went offline first
	// is forgotten. Online routes are bounded by the node's connections. 0: DefaultMaxRoutes.
	MaxRoutes int
	// Now is the clock; nil: [time.Now].
	Now func() time.Time
	// Logger hears of records that cannot be read and of a disk that fails; nil: nobody.
	Logger *slog.Logger
}

// Embedded is the store of a single node. All methods may be called at any time
// from any goroutine.
//
// With a directory, changes reach the disk in groups, a tenth of a second or a
// thousand changes apart: a crash may lose the last group, Close loses nothing.
// When the disk is slower than the changes come, calls that change something wait
// for it; when it fails they work from memory until 10,000 changes are unwritten
// and then return its error.
type Embedded struct {
	now     func() time.Time
	log     *slog.Logger
	journal *journal // nil: memory only

	mu       sync.Mutex
	closed   bool
	sessions sessions
	routes   *routes
	leases   map[string]time.Time // until when
	ears     map[string][]*earshot
	tasks    tasks

	listening sync.WaitGroup // goroutines of Kicks

	stop chan struct{} // closed by Close
	done chan struct{} // closed when run has returned
}

// Open opens the store and loads what a directory holds: sessions that have not
// expired, and routes, all of them offline since now if they were online. Its
// errors name the directory.
func Open(o Options) (*Embedded, error) {
	s := &Embedded{now: o.Now, log: o.Logger, stop: make(chan struct{}), done: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.sessions = sessions{byID: make(map[sessionID]*session), max: orDefault(o.MaxSessions, DefaultMaxSessions)}
	s.routes = newRoutes(orDefault(o.MaxRoutes, DefaultMaxRoutes))
	s.leases, s.ears, s.tasks.byID = make(map[string]time.Time), make(map[string][]*earshot), make(map[string]*task)
	if o.Dir != "" {
		if err := s.openDir(o.Dir); err != nil {
			return nil, err
		}
	}
	go s.run()
	return s, nil
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// SaveSession implements [Store].
func (s *Embedded) SaveSession(ctx context.Context, id string, v Session) error {
	if err := s.journal.reserve(ctx); err != nil {
		return err
	}
	key := sessionIDOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if !v.Expires.After(s.now()) {
		s.forget([]sessionID{key})
		s.sessions.remove(key)
		return nil
	}
	evicted := s.sessions.put(key, v)
	if s.journal != nil {
		s.journal.put(sessionBucket, string(key[:]), appendSession(nil, v))
	}
	s.forget(evicted)
	return nil
}

// LoadSession implements [Store].
func (s *Embedded) LoadSession(_ context.Context, id string) (Session, bool, error) {
	key := sessionIDOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Session{}, false, ErrClosed
	}
	found, ok := s.sessions.byID[key]
	if !ok || found.expires <= s.now().UnixMilli() {
		return Session{}, false, nil
	}
	return found.expand(), true, nil
}

// PutRoute implements [Store].
func (s *Embedded) PutRoute(ctx context.Context, user string, r Route) (old Route, had bool, err error) {
	if user == "" || r.Connection == "" {
		return Route{}, false, errNoOwner
	}
	if err := s.journal.reserve(ctx); err != nil {
		return Route{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Route{}, false, ErrClosed
	}
	if r.Since.IsZero() {
		r.Since = s.now()
	}
	r.Online = true
	old, had = s.routes.put(user, r)
	s.journalRoute(routeKey{user, r.ClientType}, r)
	return old, had, nil
}

// DropRoute implements [Store].
func (s *Embedded) DropRoute(ctx context.Context, user string, r Route) (bool, error) {
	return s.dropRoute(ctx, user, r.ClientType, r.Connection)
}

func (s *Embedded) dropRoute(ctx context.Context, user string, t protocol.ClientType, connection string) (bool, error) {
	if err := s.journal.reserve(ctx); err != nil {
		return false, err
	}
	key := routeKey{user, t}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, ErrClosed
	}
	r, ok := s.routes.drop(key, connection, s.now())
	if ok {
		s.journalRoute(key, r.expand())
		s.trimRoutes()
	}
	return ok, nil
}

// Routes implements [Store].
func (s *Embedded) Routes(_ context.Context, users ...string) ([][]Route, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	all := make([][]Route, len(users))
	for i, user := range users {
		for _, t := range protocol.ClientTypes() {
			if r := s.routes.byKey[routeKey{user, t}]; r != nil {
				all[i] = append(all[i], r.expand())
			}
		}
	}
	return all, nil
}

// Online is the number of online routes.
func (s *Embedded) Online() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.routes.byKey) - s.routes.gone
}

// Err is why the last write to the disk failed; nil if it worked or there is none.
func (s *Embedded) Err() error { return s.journal.err() }

// Close writes what has not been written and closes the files. Further calls
// return nil.
func (s *Embedded) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return nil
	}
	close(s.stop)
	s.deafenAll()
	<-s.done
	return s.journal.close()
}

// run writes to the disk and removes what has expired until Close.
func (s *Embedded) run() {
	defer close(s.done)
	s.sweep()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-sweep.C:
			s.sweep()
		case <-s.journal.wake():
			s.journal.gather(s.stop)
			s.commit()
		}
	}
}

// commit logs when the disk starts to fail and when it works again.
func (s *Embedded) commit() {
	before := s.journal.err()
	err := s.journal.commit()
	switch {
	case err != nil && before == nil:
		s.log.Error("the store cannot write to its disk and works from memory", "err", err)
	case err == nil && before != nil:
		s.log.Info("the store writes to its disk again")
	}
}

// sweep removes expired sessions, letting others in between chunks.
func (s *Embedded) sweep() {
	for removed := sweepChunk; removed == sweepChunk; {
		s.mu.Lock()
		expired := s.sessions.expire(s.now(), sweepChunk)
		s.forget(expired)
		s.mu.Unlock()
		removed = len(expired)
	}
}

// forget deletes sessions on disk. The caller holds the lock.
func (s *Embedded) forget(ids []sessionID) {
	for _, id := range ids {
		s.journal.put(sessionBucket, string(id[:]), nil)
	}
}

// trimRoutes keeps the bound of offline routes. The caller holds the lock.
func (s *Embedded) trimRoutes() {
	for _, key := range s.routes.trim() {
		s.journal.put(routeBucket, key.record(), nil)
	}
}

func (s *Embedded) journalRoute(key routeKey, r Route) {
	if s.journal != nil {
		s.journal.put(routeBucket, key.record(), appendRoute(nil, r))
	}
}

// record is the key on disk: the client type, then the user.
func (k routeKey) record() string { return string([]byte{byte(k.clientType)}) + k.user }

// appendSession appends the record of a session: expiry in ms, then MPush's text.
func appendSession(dst []byte, v Session) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.Expires.UnixMilli()))
	dst, _ = v.AppendText(dst) // never fails
	return dst
}

// parseSession reads a record written by appendSession.
func parseSession(b []byte) (Session, error) {
	if len(b) < 8 {
		return Session{}, errRecordShort
	}
	v, err := ParseSession(b[8:])
	v.Expires = time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	return v, err
}

// openDir opens the files and loads them.
func (s *Embedded) openDir(dir string) (err error) {
	if s.journal, err = openJournal(dir); err != nil {
		return err
	}
	if err = errors.Join(s.loadSessions(), s.loadRoutes()); err != nil {
		return errors.Join(fmt.Errorf("load store directory %s: %w", dir, err), s.journal.db.Close())
	}
	return nil
}
