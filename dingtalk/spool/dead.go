package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// DeadLetter is a notification that could not be sent and will not be tried again. The
// spool keeps its entries with it, for [Resend].
type DeadLetter struct {
	At     time.Time `json:"at"`
	Target string    `json:"target"`
	Title  string    `json:"title"`
	Text   string    `json:"text"`
	Reason string    `json:"reason"`
	Count  int       `json:"count"` // of notifications
	Bytes  int64     `json:"bytes"` // of the entries; the spool's
}

// DeadLetters returns at most so many dead letters, the newest first, and how many there
// are.
func (s *Spool) DeadLetters(most int) (list []DeadLetter, n int, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketDead))
		n = b.Stats().KeyN
		c := b.Cursor()
		for k, v := c.Last(); k != nil && len(list) < most; k, v = c.Prev() {
			var d DeadLetter
			if err := json.Unmarshal(v, &d); err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	return list, n, err
}

// bury adds a dead letter with the entries that it is made of, which are still in the
// queue, and drops the oldest ones beyond the bounds.
func (s *Spool) bury(tx *bolt.Tx, d *DeadLetter, entries []Entry) error {
	dead, drop, queue := tx.Bucket([]byte(bucketDead)), tx.Bucket([]byte(bucketDrop)), tx.Bucket([]byte(bucketQueue))
	seq, err := dead.NextSequence()
	if err != nil {
		return err
	}
	d.Bytes = 0
	for _, e := range entries {
		v := bytes.Clone(queue.Get(seqKey(e.Seq)))
		if v == nil {
			continue
		}
		if err := drop.Put(append(seqKey(seq), seqKey(e.Seq)...), v); err != nil {
			return err
		}
		d.Bytes += int64(len(v))
	}
	value, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encoding a dead letter: %w", err)
	}
	if err := dead.Put(seqKey(seq), value); err != nil {
		return err
	}
	s.buriedAfter += d.Bytes
	return s.dropOld(dead, drop, seq)
}

// dropOld drops the oldest dead letters beyond the bounds, but never the newest.
func (s *Spool) dropOld(dead, drop *bolt.Bucket, newest uint64) error {
	s.mu.Lock()
	most, bytes := uint64(max(s.limits.DeadLetters, 1)), s.limits.Bytes
	s.mu.Unlock()
	var old [][]byte
	c := dead.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		seq := binary.BigEndian.Uint64(k)
		if seq == newest || seq+most > newest && s.buriedAfter <= bytes {
			break
		}
		var d DeadLetter
		if json.Unmarshal(v, &d) == nil {
			s.buriedAfter -= d.Bytes
		}
		old = append(old, append([]byte(nil), k...))
	}
	for _, k := range old {
		if err := remove(dead, drop, k); err != nil {
			return err
		}
	}
	return nil
}

// remove removes a dead letter and its entries.
func remove(dead, drop *bolt.Bucket, letter []byte) error {
	var keys [][]byte
	c := drop.Cursor()
	for k, _ := c.Seek(letter); bytes.HasPrefix(k, letter); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := drop.Delete(k); err != nil {
			return err
		}
	}
	return dead.Delete(letter)
}

// Resend puts the entries of all dead letters in a data directory back into the queue, as
// if they had come now, and returns how many letters and notifications that are. Nobody
// else may have the spool open. Letters with nothing to send stay.
func Resend(dir string) (letters, notifications int, err error) {
	if _, err := os.Stat(filepath.Join(dir, fileName)); err != nil {
		if os.IsNotExist(err) {
			return 0, 0, fmt.Errorf("data directory %s has no %s", dir, fileName)
		}
		return 0, 0, fmt.Errorf("data directory %s: %w", dir, cause(err))
	}
	s, err := Open(Options{Dir: dir})
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if closed := s.Close(); err == nil {
			err = closed
		}
	}()
	var keys [][]byte
	err = s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(bucketDead)).ForEach(func(k, _ []byte) error {
			keys = append(keys, bytes.Clone(k))
			return nil
		})
	})
	if err != nil {
		return 0, 0, fmt.Errorf("reading the dead letters: %w", err)
	}
	for _, letter := range keys {
		n := 0
		err := s.db.Update(func(tx *bolt.Tx) (err error) {
			n, err = resend(tx, letter, s.options.Now())
			return err
		})
		if err != nil {
			return letters, notifications, fmt.Errorf("putting a dead letter back into the queue: %w", err)
		}
		if n > 0 {
			letters, notifications = letters+1, notifications+n
		}
	}
	return letters, notifications, nil
}

// resend puts the entries of one letter back.
func resend(tx *bolt.Tx, letter []byte, now time.Time) (notifications int, err error) {
	dead, drop, queue := tx.Bucket([]byte(bucketDead)), tx.Bucket([]byte(bucketDrop)), tx.Bucket([]byte(bucketQueue))
	var values [][]byte
	c := drop.Cursor()
	for k, v := c.Seek(letter); bytes.HasPrefix(k, letter); k, v = c.Next() {
		values = append(values, bytes.Clone(v))
	}
	if len(values) == 0 {
		return 0, nil
	}
	for _, v := range values {
		e, body, err := decodeEntry(letter, v)
		if err != nil {
			return 0, err
		}
		if e.Seq, err = queue.NextSequence(); err != nil {
			return 0, err
		}
		e.Received = now
		if err := queue.Put(seqKey(e.Seq), encodeEntry(e, body)); err != nil {
			return 0, err
		}
		notifications += int(e.Count)
	}
	return max(notifications, 1), remove(dead, drop, letter)
}
