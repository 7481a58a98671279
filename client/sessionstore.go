package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// A SessionStore keeps the one session of one device. A store that fails costs a
// full handshake and a line in the log, never the connection.
type SessionStore interface {
	// LoadSession returns the stored session; ok is false if there is none.
	LoadSession() (s Session, ok bool, err error)
	// SaveSession replaces the stored session.
	SaveSession(Session) error
	// DeleteSession forgets the stored session; that there is none is no error.
	DeleteSession() error
}

// MemorySessions keeps the session for the life of the process. The zero value is
// ready; it may be used by several goroutines.
type MemorySessions struct {
	mu      sync.Mutex
	session Session
	ok      bool
}

// LoadSession returns the session, if there is one.
func (m *MemorySessions) LoadSession() (Session, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.session, m.ok, nil
}

// SaveSession replaces the session.
func (m *MemorySessions) SaveSession(s Session) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session, m.ok = s, true
	return nil
}

// DeleteSession forgets the session.
func (m *MemorySessions) DeleteSession() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session, m.ok = Session{}, false
	return nil
}

// maxSessionFile is many times what a session takes, in bytes.
const maxSessionFile = 4096

// FileSessions keeps the session in the file of this name, in the form of MPush's
// Java client, readable by its owner only. A file is replaced as a whole, so a
// crash leaves the old session or the new one.
type FileSessions string

// LoadSession reads the file. That it does not exist is no error; other content
// than a session is [ErrBadSession].
func (f FileSessions) LoadSession() (Session, bool, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return Session{}, false, nil
	}
	if err != nil {
		return Session{}, false, fmt.Errorf("loading the session: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSessionFile))
	if err != nil {
		return Session{}, false, fmt.Errorf("loading the session: %w", err)
	}
	s, err := ParseSession(text)
	if err != nil {
		return Session{}, false, fmt.Errorf("loading the session from %s: %w", string(f), err)
	}
	return s, true, nil
}

// SaveSession writes a new file beside the old one and puts it in its place.
func (f FileSessions) SaveSession(s Session) error {
	text, err := s.AppendText(nil)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(string(f)), "."+filepath.Base(string(f))+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("saving the session: %w", err)
	}
	_, err = temporary.Write(text)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), string(f))
	}
	if err != nil {
		return fmt.Errorf("saving the session: %w", errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}

// DeleteSession removes the file.
func (f FileSessions) DeleteSession() error {
	if err := os.Remove(string(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting the session: %w", err)
	}
	return nil
}
