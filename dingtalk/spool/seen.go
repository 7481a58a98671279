package spool

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	bolt "go.etcd.io/bbolt"
)

// lateTwin is how long an equal item counts as a duplicate although its group has had
// another state since: the second Alertmanager of a pair may be late. After that the
// group has come back to an earlier state, which is news.
const lateTwin = 45 * time.Second

// seenAt is an item that was accepted.
type seenAt struct {
	key      Key
	group    uint64    // of the target
	accepted time.Time // until says how long an equal one is a duplicate
	until    time.Time
	expiry   int64 // until as it is on disk
}

// groupOf tells groups apart, those of two targets too.
func groupOf(e Entry) uint64 {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, e.Group))
	h.Write([]byte(e.Target))
	return h.Sum64()
}

func seenOf(i Item) seenAt {
	return seenAt{key: i.Key, group: groupOf(i.Entry), accepted: i.accepted, until: i.accepted.Add(i.TTL), expiry: i.accepted.Add(i.TTL).UnixNano()}
}

// duplicate reports whether an item with this key was accepted and is still the news of
// its group. The caller holds the lock.
func (s *Spool) duplicate(key Key, now time.Time) bool {
	was, ok := s.seen[key]
	if !ok || !now.Before(was.until) {
		return false
	}
	last, ok := s.latest[was.group]
	return !ok || last == key || now.Sub(was.accepted) <= lateTwin
}

func (s *Spool) remember(a seenAt) {
	s.seen[a.key] = a
	s.order = append(s.order, a)
	if last, ok := s.seen[s.latest[a.group]]; !ok || !a.accepted.Before(last.accepted) {
		s.latest[a.group] = a.key
	}
}

func (s *Spool) forget(a seenAt) {
	if s.seen[a.key].expiry != a.expiry {
		return
	}
	delete(s.seen, a.key)
	if s.latest[a.group] == a.key {
		delete(s.latest, a.group)
	}
}

// onDisk returns the key and the value in the file.
func (a seenAt) onDisk() (key, value []byte) {
	value = binary.BigEndian.AppendUint64(nil, a.group)
	return append(binary.BigEndian.AppendUint64(nil, uint64(a.expiry)), a.key[:]...),
		binary.BigEndian.AppendUint64(value, uint64(a.accepted.UnixNano()))
}

// readSeen reads what was accepted lately. If the clock was set back meanwhile it counts
// from now, or it would be kept for as long as the clock was set.
func (s *Spool) readSeen(tx *bolt.Tx) error {
	now := s.options.Now()
	return tx.Bucket([]byte(bucketSeen)).ForEach(func(k, v []byte) error {
		if len(k) != 8+len(Key{}) || len(v) != 16 {
			return nil // of an older version: at worst something is sent twice
		}
		a := seenAt{key: Key(k[8:]), group: binary.BigEndian.Uint64(v), accepted: time.Unix(0, int64(binary.BigEndian.Uint64(v[8:]))),
			expiry: int64(binary.BigEndian.Uint64(k))}
		ttl := time.Unix(0, a.expiry).Sub(a.accepted)
		if a.accepted.After(now) {
			a.accepted = now
		}
		a.until = a.accepted.Add(ttl)
		s.remember(a)
		return nil
	})
}
