package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	// fileName is the database inside Options.Dir.
	fileName = "fanfare.db"
	// lockWait is how long Open waits for another process to let go of the file.
	lockWait = time.Second
	// commitEvery and commitAt say when changes are written: so long after the
	// first of them, or as soon as there are so many.
	commitEvery = 100 * time.Millisecond
	commitAt    = 1000
	// retryEvery is the pause after a write that failed.
	retryEvery = time.Second
	// maxPending bounds the changes that wait for the disk; the next one waits with
	// its caller.
	maxPending = 10_000
)

// bucket is one of the database's; the byte also starts the key of a change.
type bucket byte

const (
	sessionBucket bucket = 's'
	routeBucket   bucket = 'r'
)

// name is the bucket's name in the file.
func (b bucket) name() []byte { return []byte{byte(b)} }

// journal collects changes and writes them to the file in groups. A nil journal
// forgets them: the store is in memory only.
type journal struct {
	db     *bbolt.DB
	first  chan struct{} // a change came after there were none
	urgent chan struct{} // commitAt changes are pending

	mu      sync.Mutex
	pending map[string][]byte // bucket byte and key to value; nil deletes
	room    chan struct{}     // closed and replaced when pending was taken
	failed  error             // of the last commit
}

// openJournal opens or creates the database in dir.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create store directory %s: %w", dir, err)
	}
	path := filepath.Join(dir, fileName)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockWait, FreelistType: bbolt.FreelistMapType, NoStatistics: true,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("store directory %s is in use by another process", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, b := range []bucket{sessionBucket, routeBucket} {
			if _, err := tx.CreateBucketIfNotExists(b.name()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare store %s: %w", path, err), db.Close())
	}
	return &journal{
		db: db, first: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		pending: make(map[string][]byte), room: make(chan struct{}),
	}, nil
}

// each calls f with every record of a bucket. The slices are valid during the call.
func (j *journal) each(b bucket, f func(key, value []byte)) error {
	if j == nil {
		return nil
	}
	return j.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(b.name()).ForEach(func(k, v []byte) error {
			f(k, v)
			return nil
		})
	})
}

// reserve waits until there is room for a change. It does not wait for a disk
// that fails, but returns its error.
func (j *journal) reserve(ctx context.Context) error {
	if j == nil {
		return nil
	}
	for {
		j.mu.Lock()
		full, room, failed := len(j.pending) >= maxPending, j.room, j.failed
		j.mu.Unlock()
		if !full {
			return nil
		}
		if failed != nil {
			return failed
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("wait for the store's disk: %w", ctx.Err())
		}
	}
}

// put notes a change; the latest of a key wins. Callers that hold the lock of what
// they changed thereby fix the order of changes.
func (j *journal) put(b bucket, key string, value []byte) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending[string(rune(b))+key] = value
	if len(j.pending) == 1 {
		signal(j.first)
	}
	if len(j.pending) == commitAt {
		signal(j.urgent)
	}
}

// signal wakes the receiver of a channel of capacity one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// wake is ready when a change waits; it never is for a nil journal.
func (j *journal) wake() <-chan struct{} {
	if j == nil {
		return nil
	}
	return j.first
}

// gather gives more changes the chance to join the first one.
func (j *journal) gather(stop <-chan struct{}) {
	pause := commitEvery
	if j.err() != nil {
		pause = retryEvery
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-j.urgent:
	case <-stop:
	}
}

// commit writes all pending changes. If that fails they stay pending, under newer
// ones of the same keys.
func (j *journal) commit() error {
	j.mu.Lock()
	batch := j.pending
	j.pending = make(map[string][]byte)
	close(j.room)
	j.room = make(chan struct{})
	j.mu.Unlock()

	err := j.write(batch)

	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed = err
	if err == nil {
		return nil
	}
	for key, value := range batch {
		if _, newer := j.pending[key]; !newer {
			j.pending[key] = value
		}
	}
	signal(j.first)
	return err
}

// write applies the batch in transactions of at most maxPending changes; loading
// and sweeping can make longer ones. Repeating it does no harm.
func (j *journal) write(batch map[string][]byte) error {
	keys := slices.Sorted(maps.Keys(batch)) // neighbours share pages
	for part := range slices.Chunk(keys, maxPending) {
		err := j.db.Update(func(tx *bbolt.Tx) error {
			for _, key := range part {
				b := tx.Bucket(bucket(key[0]).name())
				if err := apply(b, []byte(key[1:]), batch[key]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("write store %s: %w", j.db.Path(), err)
		}
	}
	return nil
}

func apply(b *bbolt.Bucket, key, value []byte) error {
	if value == nil {
		return b.Delete(key)
	}
	return b.Put(key, value)
}

// err is why the last commit failed, nil if it did not.
func (j *journal) err() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// close writes what is pending and closes the file.
func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.commit(), j.db.Close())
}
