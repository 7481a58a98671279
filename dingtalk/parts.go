package dingtalk

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/spool"
)

// split puts several messages, or another one, in the place of a draft's entries.
func (l *lane) split(d *draft, parts []stored, tried uint8) error {
	if err := l.spool.Replace(d.entries, l.ready(d, parts, tried)...); err != nil {
		return err
	}
	l.announce(d) // they will be told: what is over must not be left out from now on
	return nil
}

// groups are those that a draft speaks of.
func (d *draft) groups() []uint64 {
	all := slices.Clone(d.message.Groups)
	for _, e := range d.entries {
		if e.Kind == spool.Payload {
			all = append(all, e.Group)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ready makes entries of messages. The last one stands for the notifications, so that
// they are counted when all of them is sent.
func (l *lane) ready(d *draft, parts []stored, tried uint8) []spool.Item {
	first, groups := d.entries[0], d.groups()
	if d.digest {
		tried |= isDigest
	}
	items := make([]spool.Item, len(parts))
	for i, p := range parts {
		e := spool.Entry{Target: l.name, Kind: spool.Ready, Rank: rankStarted, Tried: first.Tried | tried, Received: first.Received}
		if i == 0 {
			e.Rank = min(first.Rank, rankStarted)
		}
		for _, one := range d.entries {
			e.Received = earlier(e.Received, one.Received)
			if i == 0 {
				e.Rank = min(e.Rank, one.Rank)
			}
		}
		if i == len(parts)-1 {
			e.Count = uint16(min(count(d.entries), 1<<16-1))
		}
		p.Groups = groups
		items[i] = spool.Item{Entry: e, Body: p.json()}
	}
	return items
}

// rest finds for each group the first of the messages that were made of its earlier
// notifications and still wait. What the group says next must not overtake them.
func (l *lane) rest(waiting []spool.Entry) (map[uint64]spool.Entry, error) {
	rest := map[uint64]spool.Entry{}
	held := map[uint64][]uint64{}
	for _, e := range waiting {
		if e.Kind != spool.Ready {
			continue
		}
		groups, known := l.held[e.Seq]
		if !known {
			body, err := l.spool.Body(e)
			if err != nil {
				return nil, err
			}
			var m stored
			if json.Unmarshal(body, &m) == nil { // else it becomes a dead letter in its turn
				groups = m.Groups
			}
		}
		held[e.Seq] = groups
		for _, g := range groups {
			if first, ok := rest[g]; !ok || e.Seq < first.Seq {
				rest[g] = e
			}
		}
	}
	l.held = held
	return rest, nil
}

// doubtTime is how long a robot rests after a refusal that the message may be the reason of.
const doubtTime = 5 * time.Minute

// doubt is about an entry whose message was refused for a reason that may be its own.
type doubt struct {
	since  time.Time
	times  int
	most   int // so many doubtful ones are tried in one message
	groups []uint64
}

// doubt notes such a refusal. It reports whether the message is the reason: it is alone,
// was refused before, and the robot has taken others since.
func (l *lane) doubt(r post, d *draft, now time.Time) (guilty bool) {
	groups := d.groups()
	for _, e := range d.entries {
		was, again := l.doubts[e.Seq]
		if !again {
			was.since = now
		}
		guilty = len(d.entries) == 1 && again && r.gate.tookSince(was.since)
		l.doubts[e.Seq] = doubt{was.since, was.times + 1, max(len(d.entries)/2, 1), groups}
	}
	return guilty
}

// trust notes that a message was taken: of what is doubtful more may be tried at a time.
func (l *lane) trust(d *draft) {
	for _, e := range d.entries {
		delete(l.doubts, e.Seq)
	}
	for seq, one := range l.doubts {
		one.most = min(one.most*4, maxMerge)
		l.doubts[seq] = one
	}
}

// doubtfulLast leaves out what was refused for a reason that may be its own, and what
// must come after it, while anything else waits.
func (l *lane) doubtfulLast(waiting []spool.Entry) []spool.Entry {
	if len(l.doubts) == 0 {
		return waiting
	}
	still, groups := map[uint64]doubt{}, map[uint64]bool{}
	for _, e := range waiting {
		if one, ok := l.doubts[e.Seq]; ok {
			still[e.Seq] = one
			for _, g := range one.groups {
				groups[g] = true
			}
		}
	}
	l.doubts = still
	good := slices.DeleteFunc(slices.Clone(waiting), func(e spool.Entry) bool {
		_, bad := still[e.Seq]
		return bad || e.Kind == spool.Payload && groups[e.Group]
	})
	if len(good) == 0 {
		return waiting
	}
	return good
}

// doubtful picks of the payloads those that are tried together: if the first of its group
// is doubtful, as many of them as it says. nil: nothing is doubtful.
func (l *lane) doubtful(payloads []spool.Entry) []spool.Entry {
	if len(l.doubts) == 0 || len(payloads) == 0 {
		return nil
	}
	first, ok := l.doubts[firstOfGroup(payloads, payloads[0]).Seq]
	if !ok {
		return nil
	}
	chunk := slices.DeleteFunc(slices.Clone(payloads), func(e spool.Entry) bool { _, bad := l.doubts[e.Seq]; return !bad })
	slices.SortFunc(chunk, bySeq)
	return chunk[:min(len(chunk), first.most)]
}
