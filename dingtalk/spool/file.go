package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// When the file is made smaller at a start: it has this many bytes or more, and all but
// a quarter of them are not in use.
const (
	shrinkFrom  = 16 << 20
	shrinkParts = 4
)

// openFile opens the file for this process alone. The error names it and says what to do.
func openFile(file string) (db *bolt.DB, err error) {
	before, missing := os.Stat(file)
	err = guarded(func() (err error) {
		db, err = bolt.Open(file, 0o600, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("data directory %s is in use by another process", filepath.Dir(file))
	case err != nil:
		return nil, damaged(file, "opened", err)
	}
	// Who waited for the lock may have got that of a file which was replaced meanwhile.
	if after, err := os.Stat(file); missing == nil && (err != nil || !os.SameFile(before, after)) {
		return nil, errors.Join(fmt.Errorf("data directory %s is in use by another process", filepath.Dir(file)), db.Close())
	}
	return db, nil
}

// damaged says what to do about a file that cannot be used.
func damaged(file, what string, err error) error {
	return fmt.Errorf("%s cannot be %s: %w; move it away to start with an empty queue (what waits in it is not sent then)", file, what, cause(err))
}

// guarded runs f, and makes an error of the panic, or the fault of memory, that a damaged
// file can lead to.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is damaged (%s)", strings.Join(strings.Fields(fmt.Sprint(p)), " "))
		}
	}()
	return f()
}

// whole looks for damage that reading alone does not find: a file that was cut off, pages
// that belong to nobody or to two.
func (s *Spool) whole(tx *bolt.Tx) error {
	info, err := os.Stat(s.db.Path())
	if err != nil {
		return cause(err)
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("it is damaged (it has %d bytes and should have %d)", info.Size(), tx.Size())
	}
	// A first look at everything in this goroutine, where a fault ends nothing.
	err = tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error { return nil })
	})
	if err != nil {
		return err
	}
	for wrong := range tx.Check() {
		if err == nil { // the others are read to let the check end
			err = fmt.Errorf("it is damaged (%s)", strings.Join(strings.Fields(wrong.Error()), " "))
		}
	}
	return err
}

// shrink makes the file smaller if a long queue has left most of it empty. If that fails
// everything stays as it was.
func (s *Spool) shrink(file string) {
	copied := file + ".compact"
	_ = os.Remove(copied) // of a crash; else there is none
	info, err := os.Stat(file)
	if err != nil || info.Size() < shrinkFrom {
		return
	}
	free := int64(s.db.Stats().FreePageN+s.db.Stats().PendingPageN) * int64(s.db.Info().PageSize)
	if free < info.Size()/shrinkParts*(shrinkParts-1) {
		return
	}
	if err := s.compact(copied); err != nil {
		_ = os.Remove(copied)
		s.options.Logger.Warn("the spool's file could not be made smaller", "file", file, "err", err)
		return
	}
	// The lock of the old file is held until the new one is in its place.
	if err := os.Rename(copied, file); err != nil {
		_ = os.Remove(copied)
		s.options.Logger.Warn("the spool's file could not be made smaller", "file", file, "err", cause(err))
		return
	}
	if folder, err := os.Open(filepath.Dir(file)); err == nil {
		_ = folder.Sync() // if it fails the old file may come back after a power cut, with all that is in it
		_ = folder.Close()
	}
	old := s.db
	s.db, err = openFile(file)
	_ = old.Close() // it has no name any more
	if err != nil {
		s.options.Logger.Error("the spool cannot be opened again", "err", err)
		return
	}
	after, err := os.Stat(file)
	if err == nil {
		s.options.Logger.Info("the spool's file was made smaller", "file", file, "before", info.Size(), "after", after.Size())
	}
}

// compact copies what is in use into a new file, synced.
func (s *Spool) compact(file string) error {
	db, err := openFile(file)
	if err != nil {
		return err
	}
	return errors.Join(guarded(func() error { return bolt.Compact(db, s.db, 4<<20) }), db.Sync(), db.Close())
}
