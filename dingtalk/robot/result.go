package robot

import "time"

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

// Codes of results that have no errcode, see [Result.Code].
const (
	CodeHTTP    = "http"
	CodeNetwork = "network"
	CodeMissing = "missing"
	CodeOther   = "other"
)

// Codes returns every value that [Result.Code] can have.
func Codes() []string { return nil }

// Result is what became of an attempt.
type Result struct {
	Kind Kind
	// Code is the errcode if it is a known one, else one of the four words above: a
	// closed set, fit for a metric's label.
	Code string
	// Text says it for a log: DingTalk's words, cut and without secrets.
	Text string
	// Status is the HTTP status, 0 without an answer.
	Status int
	// Until is when a rate limited robot may be tried again; zero for other kinds.
	Until time.Time
	// Skew is how far this machine's clock is ahead of DingTalk's, if DingTalk refused
	// the time or had done so before; else 0.
	Skew time.Duration
}
