package protocol

import "fmt"

// Outcome is where a message, or its delivery to one connection, ended. Every
// accepted message ends in exactly one.
type Outcome uint8

const (
	// OutcomePending is the zero value: not ended yet. It is never counted.
	OutcomePending Outcome = iota
	// OutcomeAcked: the device acknowledged.
	OutcomeAcked
	// OutcomeSent: written to the socket, no ack wanted.
	OutcomeSent
	// OutcomeAckTimeout: written, no ack in time.
	OutcomeAckTimeout
	// OutcomeOffline: no connection and nothing to store.
	OutcomeOffline
	// OutcomeExpired: stored, its ttl ran out.
	OutcomeExpired
	// OutcomeEvicted: stored, pushed out by the per-user cap.
	OutcomeEvicted
	// OutcomeCollapsed: duplicate of an id already accepted.
	OutcomeCollapsed
	// OutcomeFiltered: tags, condition or client type did not match.
	OutcomeFiltered
	// OutcomeRejected: refused by flow control.
	OutcomeRejected
	// OutcomeSlow: the connection's queue bound was crossed.
	OutcomeSlow
	// OutcomeNodeLost: the node died with it and it could not be retried.
	OutcomeNodeLost
	// OutcomeFailed: anything else; the log line says what.
	OutcomeFailed

	// NumOutcomes sizes arrays indexed by Outcome.
	NumOutcomes = int(OutcomeFailed) + 1
)

var outcomeNames = [NumOutcomes]string{
	OutcomePending: "pending", OutcomeAcked: "acked", OutcomeSent: "sent", OutcomeAckTimeout: "ack_timeout",
	OutcomeOffline: "offline", OutcomeExpired: "expired", OutcomeEvicted: "evicted",
	OutcomeCollapsed: "collapsed", OutcomeFiltered: "filtered", OutcomeRejected: "rejected",
	OutcomeSlow: "slow", OutcomeNodeLost: "node_lost", OutcomeFailed: "failed",
}

// String is the name in the API, in logs and in metric labels.
func (o Outcome) String() string {
	if int(o) < NumOutcomes {
		return outcomeNames[o]
	}
	return outcomeNames[OutcomeFailed]
}

// MarshalText writes the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a name written by [Outcome.MarshalText].
func (o *Outcome) UnmarshalText(text []byte) error {
	for i, name := range outcomeNames {
		if name == string(text) {
			*o = Outcome(i)
			return nil
		}
	}
	return fmt.Errorf("unknown outcome %q", text)
}

// Outcomes lists every end a message can have, in order, without [OutcomePending].
func Outcomes() []Outcome {
	all := make([]Outcome, 0, NumOutcomes-1)
	for o := OutcomeAcked; int(o) < NumOutcomes; o++ {
		all = append(all, o)
	}
	return all
}

// outcomeRank orders outcomes for [Outcome.Better]: what reached the user most
// surely comes first.
var outcomeRank = [NumOutcomes]uint8{
	OutcomePending: 0, OutcomeAcked: 12, OutcomeSent: 11, OutcomeAckTimeout: 10, OutcomeSlow: 9,
	OutcomeFailed: 8, OutcomeNodeLost: 7, OutcomeExpired: 6, OutcomeEvicted: 5, OutcomeRejected: 4,
	OutcomeCollapsed: 3, OutcomeFiltered: 2, OutcomeOffline: 1,
}

// Better is the outcome of a message that ended as o on one device of its user
// and as p on another: the one that came closest to the user.
func (o Outcome) Better(p Outcome) Outcome {
	if outcomeRank[p] > outcomeRank[o] {
		return p
	}
	return o
}

// Stage is a point in the life of a message; each has a timestamp.
type Stage uint8

const (
	// StageAccepted: an entry point took the message and answers for it.
	StageAccepted Stage = iota
	// StageRouted: the node that holds the user is known.
	StageRouted
	// StageForwarded: handed to another node; absent when the user is local.
	StageForwarded
	// StageQueued: handed to the connection.
	StageQueued
	// StageWritten: the kernel took the last byte.
	StageWritten
	// StageAcked: the device acknowledged.
	StageAcked

	// NumStages sizes arrays indexed by Stage.
	NumStages = int(StageAcked) + 1
)

var stageNames = [NumStages]string{"accepted", "routed", "forwarded", "queued", "written", "acked"}

// String is the name in the API, in logs and in metric labels.
func (s Stage) String() string {
	if int(s) < NumStages {
		return stageNames[s]
	}
	return "unknown"
}

// MarshalText writes the name.
func (s Stage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name written by [Stage.MarshalText].
func (s *Stage) UnmarshalText(text []byte) error {
	for i, name := range stageNames {
		if name == string(text) {
			*s = Stage(i)
			return nil
		}
	}
	return fmt.Errorf("unknown stage %q", text)
}

// Stages lists the six stages in order.
func Stages() []Stage {
	return []Stage{StageAccepted, StageRouted, StageForwarded, StageQueued, StageWritten, StageAcked}
}
