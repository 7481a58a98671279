package robot

import (
	"slices"
	"strconv"
	"time"
)

// Kind is what a result means for the sender.
type Kind int

// The kinds of results.
const (
	// Sent: DingTalk said errcode 0.
	Sent Kind = iota + 1
	// RateLimited: the robot sends too fast and is banned until [Result.Until].
	RateLimited
	// Busy: DingTalk cannot now; try again in half a minute or more.
	Busy
	// Misconfigured: a keyword, signature, address list or URL is wrong.
	Misconfigured
	// Disabled: the robot does not exist any more or was stopped.
	Disabled
	// TooLong: the body has too many bytes.
	TooLong
	// Unsafe: DingTalk's content filter refused it.
	Unsafe
	// Malformed: the request was wrong; sending it again will not help.
	Malformed
	// Network: no answer came; the message may have arrived all the same.
	Network
)

// String names the kind.
func (k Kind) String() string {
	names := [...]string{"unknown", "sent", "rate_limited", "busy", "misconfigured", "disabled", "too_long", "unsafe", "malformed", "network"}
	if k < 0 || int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Codes of results that have no known errcode, see [Result.Code].
const (
	CodeHTTP    = "http"    // an HTTP status that is not 200, and no errcode
	CodeNetwork = "network" // no answer
	CodeMissing = "missing" // an answer without errcode
	CodeOther   = "other"   // an errcode that is not in the table
)

// Result is what became of an attempt.
type Result struct {
	Kind Kind
	// Code is the errcode if it is a known one, else one of the four words above: a
	// closed set, see [Codes], fit for a metric's label.
	Code string
	// Text says it for a log: DingTalk's words, cut and without secrets.
	Text string
	// Status is the HTTP status, 0 without an answer.
	Status int
	// Doubtful: the message may be the reason as well as the robot. DingTalk names no cause
	// that is known, or misses a keyword.
	Doubtful bool
	// Until is when a rate limited robot may be tried again; zero for other kinds.
	Until time.Time
	// Skew is how far this machine's clock is ahead of DingTalk's, if DingTalk ever
	// refused its time; else 0.
	Skew time.Duration

	ban     time.Duration
	badTime bool // the time of the signature was refused
}

// How long a robot must be left alone.
const (
	banLimit = 10 * time.Minute // more than twenty in a minute
	banQuota = time.Hour        // the quota of calls is used up
)

// kinds is the table of errcodes. 310000 has four meanings, all of them settings.
func kinds() map[int]Kind {
	return map[int]Kind{
		0:  Sent,
		-1: Busy,

		130101: RateLimited, 410100: RateLimited, 90030: RateLimited,

		310000: Misconfigured, 88: Misconfigured,

		300001: Disabled, 300005: Disabled, 400013: Disabled, 400101: Disabled, 400102: Disabled, 400106: Disabled,

		40035: Malformed, 43002: Malformed, 43004: Malformed, 400105: Malformed,

		430101: Unsafe, 430102: Unsafe, 430103: Unsafe, 430104: Unsafe,

		460101: TooLong, 101002: TooLong,
	}
}

// Codes returns every value that [Result.Code] can have, sorted.
func Codes() []string {
	codes := []string{CodeHTTP, CodeNetwork, CodeMissing, CodeOther}
	for code := range kinds() {
		codes = append(codes, strconv.Itoa(code))
	}
	slices.Sort(codes)
	return codes
}
