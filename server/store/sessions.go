package store

import (
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unique"

	"github.com/fanfare-push/fanfare/protocol"
)

// sessionID is a session's key in memory and on disk.
type sessionID [16]byte

// sessionIDOf packs the 32 lower-case hex digits of an id. Any other text, which
// no server hands out, is hashed so that it takes no more room.
func sessionIDOf(id string) sessionID {
	var packed sessionID
	if len(id) == hex.EncodedLen(len(packed)) && id == strings.ToLower(id) {
		if _, err := hex.Decode(packed[:], []byte(id)); err == nil {
			return packed
		}
	}
	sum := sha256.Sum256([]byte(id))
	return sessionID(sum[:])
}

// platform is the part of a session that many devices share; it is kept once.
type platform struct{ osName, osVersion, clientVersion string }

// session is the compact form of a [Session].
type session struct {
	id       sessionID
	key      protocol.SessionKey
	expires  int64 // ms since the epoch
	device   string
	platform unique.Handle[platform]
	index    int // in the heap
}

func (s *session) expand() Session {
	p := s.platform.Value()
	return Session{
		OSName: p.osName, OSVersion: p.osVersion, ClientVersion: p.clientVersion,
		DeviceID: s.device, Key: s.key, Expires: time.UnixMilli(s.expires),
	}
}

// sessions holds at most max of them and gives up the earliest to expire.
type sessions struct {
	byID   map[sessionID]*session
	expiry expiryHeap
	max    int
}

// put adds or replaces a session and returns those that had to leave for it; the
// new one may be among them.
func (t *sessions) put(id sessionID, v Session) (evicted []sessionID) {
	t.remove(id)
	s := &session{
		id: id, key: v.Key, expires: v.Expires.UnixMilli(), device: strings.Clone(v.DeviceID),
		platform: unique.Make(platform{v.OSName, v.OSVersion, v.ClientVersion}),
	}
	t.byID[id] = s
	heap.Push(&t.expiry, s)
	for len(t.expiry) > t.max {
		evicted = append(evicted, t.pop())
	}
	return evicted
}

func (t *sessions) remove(id sessionID) bool {
	s, ok := t.byID[id]
	if ok {
		heap.Remove(&t.expiry, s.index)
		delete(t.byID, id)
	}
	return ok
}

// expire removes up to limit sessions that ended by now.
func (t *sessions) expire(now time.Time, limit int) (expired []sessionID) {
	for len(t.expiry) > 0 && len(expired) < limit && t.expiry[0].expires <= now.UnixMilli() {
		expired = append(expired, t.pop())
	}
	return expired
}

func (t *sessions) pop() sessionID {
	s := heap.Pop(&t.expiry).(*session)
	delete(t.byID, s.id)
	return s.id
}

// expiryHeap orders sessions by expiry, earliest first.
type expiryHeap []*session

// Len implements [heap.Interface].
func (h expiryHeap) Len() int { return len(h) }

// Less implements [heap.Interface].
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }

// Swap implements [heap.Interface].
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *expiryHeap) Push(x any) {
	s := x.(*session)
	s.index = len(*h)
	*h = append(*h, s)
}

// Pop implements [heap.Interface].
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}
