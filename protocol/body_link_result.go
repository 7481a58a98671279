package protocol

import (
	"encoding/binary"
	"fmt"
	"time"
)

// LinkResult is the end of a push for one user, or of a broadcast, as the node that
// was asked tells it; in [CmdLinkProgress] what a broadcast has done so far.
type LinkResult struct {
	Request uint64 // of the [LinkPush]
	Index   int    // of the user in it
	Outcome Outcome
	Unsent  bool // the node has not tried
	// Deliveries counts connections by the outcome of the delivery to them.
	Deliveries [NumOutcomes]int
	// Stages holds, for the stages in Reached, the time since the node received the
	// request, in whole microseconds.
	Stages  [NumStages]time.Duration
	Reached uint8 // a bit for each stage
}

// unsentBit stands in a result's byte of the outcome.
const unsentBit = 1 << 7

// AppendBinary appends the result in the form that [LinkResults] reads: numbers in
// seven bits to the byte, least first, as in protocol buffers.
//
//	number request · number index · byte outcome, 128 if unsent · byte reached · for each bit of it a number,
//	the microseconds · number n, n times: byte outcome · number connections
func (m *LinkResult) AppendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, m.Request), uint64(m.Index))
	outcome := byte(m.Outcome)
	if m.Unsent {
		outcome |= unsentBit
	}
	dst = append(dst, outcome, m.Reached)
	for s, d := range m.Stages {
		if m.Reached&(1<<s) != 0 {
			dst = binary.AppendUvarint(dst, uint64(linkTime(d).Microseconds()))
		}
	}
	n := 0
	for _, count := range m.Deliveries {
		if count > 0 {
			n++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for o, count := range m.Deliveries {
		if count > 0 {
			dst = binary.AppendUvarint(append(dst, byte(o)), uint64(count))
		}
	}
	return dst
}

// LinkResults reads the body of results.
//
//	long first · results until the end
type LinkResults struct {
	// First is the number of the first result in the body, those after it count on from
	// there. Results of an instance are numbered from 1 over all its connections; 0
	// numbers nothing, as in progress.
	First uint64
	rest  []byte
}

// AppendLinkResults begins a body of results, to which [LinkResult.AppendBinary] adds.
func AppendLinkResults(dst []byte, first uint64) []byte {
	return binary.BigEndian.AppendUint64(dst, first)
}

// UnmarshalBinary begins to read a body, which must not change while [LinkResults.Next]
// is called. The error is [ErrTruncated].
func (m *LinkResults) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	m.First = uint64(r.int64("first"))
	m.rest = r.rest
	return r.done("link results")
}

// Next reads the next result; ok is false after the last and on an error, which is
// [ErrTruncated] or [ErrTooLarge].
func (m *LinkResults) Next(result *LinkResult) (ok bool, err error) {
	if len(m.rest) == 0 {
		return false, nil
	}
	r := fieldReader{rest: m.rest}
	result.read(&r)
	m.rest = r.rest
	return r.err == nil, r.done("link results")
}

// maxCount bounds counts of connections and places in lists, far above what there can be.
const maxCount = 1 << 31

func (m *LinkResult) read(r *fieldReader) {
	*m = LinkResult{Request: r.number("request", 1<<64-1), Index: int(r.number("index", maxLinkItems))}
	outcome := r.byte1("outcome")
	m.Outcome, m.Unsent = Outcome(outcome&^unsentBit), outcome&unsentBit != 0
	m.Reached = r.byte1("reached") & (1<<NumStages - 1)
	for s := range m.Stages {
		if m.Reached&(1<<s) != 0 {
			m.Stages[s] = readMicroseconds(r.number("stage", 1<<62))
		}
	}
	for range r.number("deliveries", uint64(NumOutcomes)) {
		o, count := r.byte1("outcome"), int(r.number("connections", maxCount))
		if int(o) < NumOutcomes {
			m.Deliveries[o] = count
		}
	}
	if int(m.Outcome) >= NumOutcomes {
		m.Outcome = OutcomeFailed
	}
}

// number reads one of at most limit.
func (r *fieldReader) number(what string, limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	n, size := binary.Uvarint(r.rest)
	switch {
	case size == 0:
		r.err = fmt.Errorf("%s: %w", what, ErrTruncated)
		return 0
	case size < 0 || n > limit:
		r.err = fmt.Errorf("%s: %w of %d", what, ErrTooLarge, limit)
		return 0
	}
	r.rest = r.rest[size:]
	return n
}
