package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Key tells equal notifications. The zero key is equal to none.
type Key [16]byte

// Kind is what a body is. The values are in the file.
type Kind uint8

// The kinds of bodies.
const (
	Payload Kind = iota + 1 // of Alertmanager, as it came
	Ready                   // a message that was made already
	Deadman                 // of a dead man's switch
)

// Entry is something that waits; its body stays on disk.
type Entry struct {
	Seq    uint64 // order of arrival
	Target string
	Kind   Kind
	// Rank is its urgency, 0 the highest.
	Rank uint8
	// Tried says which remedies were tried already; the sender's bits.
	Tried uint8
	// Count is how many notifications it stands for.
	Count uint16
	// Group is a hash of what must stay in order.
	Group uint64
	// Received is when the bridge accepted it.
	Received time.Time
	Size     int // bytes of the body
}

// headerSize is the length of an entry's header without the target's name.
const headerSize = 1 + 1 + 1 + 1 + 2 + 8 + 8 + 2

const version = 1

func encodeEntry(e Entry, body []byte) []byte {
	b := make([]byte, 0, headerSize+len(e.Target)+len(body))
	b = append(b, version, byte(e.Kind), e.Rank, e.Tried)
	b = binary.BigEndian.AppendUint16(b, e.Count)
	b = binary.BigEndian.AppendUint64(b, e.Group)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Received.UnixNano()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(e.Target)))
	b = append(b, e.Target...)
	return append(b, body...)
}

var errFormat = errors.New("the file has an entry that this version cannot read")

// decodeEntry reads an entry; the body is part of v.
func decodeEntry(k, v []byte) (Entry, []byte, error) {
	if len(k) != 8 || len(v) < headerSize || v[0] != version {
		return Entry{}, nil, errFormat
	}
	name := int(binary.BigEndian.Uint16(v[headerSize-2:]))
	if len(v) < headerSize+name {
		return Entry{}, nil, errFormat
	}
	body := v[headerSize+name:]
	return Entry{
		Seq: binary.BigEndian.Uint64(k), Kind: Kind(v[1]), Rank: v[2], Tried: v[3], Count: binary.BigEndian.Uint16(v[4:]),
		Group: binary.BigEndian.Uint64(v[6:]), Received: time.Unix(0, int64(binary.BigEndian.Uint64(v[14:]))),
		Target: string(v[headerSize : headerSize+name]), Size: len(body),
	}, body, nil
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// Body reads the body of an entry.
func (s *Spool) Body(e Entry) (body []byte, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket([]byte(bucketQueue)).Get(seqKey(e.Seq))
		if v == nil {
			return fmt.Errorf("entry %d is not in the spool", e.Seq)
		}
		_, b, err := decodeEntry(seqKey(e.Seq), v)
		body = append([]byte(nil), b...)
		return err
	})
	return body, err
}

// State reads a small state, nil if there is none.
func (s *Spool) State(kind, name string) (value []byte, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		value = append([]byte(nil), tx.Bucket([]byte(bucketState)).Get([]byte(kind+"/"+name))...)
		return nil
	})
	return value, err
}
