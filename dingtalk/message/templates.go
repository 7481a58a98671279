package message

import (
	"errors"
	"time"
)

// Languages of the built-in messages.
const (
	Chinese = "zh"
	English = "en"
)

// Links are base addresses that people's browsers reach, "" where there is none.
type Links struct{ GrafanaLeader, GrafanaFollower, Alertmanager, Bridge string }

// Options configure [LoadTemplates].
type Options struct {
	// Builtin loads the built-in templates; the files of Globs may define some of them anew.
	Builtin bool
	Globs   []string
	// Language is [Chinese] or [English]; "" means Chinese.
	Language string
	// Location is where the readers live; nil means UTC.
	Location *time.Location
	Links    Links
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Templates make messages. They are safe for use by several goroutines.
type Templates struct{ options Options }

// LoadTemplates parses the templates. The error names the file and the line.
func LoadTemplates(o Options) (*Templates, error) { return &Templates{o}, nil }

// Input is what [Templates.Render] makes a message of.
type Input struct {
	Target  string
	Payload *Payload
	// Title and Text are templates instead of the default ones, "" for those.
	Title, Text string
	Mention     Mention
	// Actions returns links that do something about an alert (silence it, acknowledge it).
	// It is also called with an alert that has only the labels common to a whole group,
	// and no fingerprint: its links then act on all of them. nil: there are none.
	Actions func(Alert) []Link
}

// Check parses the templates that a target has for itself and runs them on the samples.
func (t *Templates) Check(title, text string) error { return errors.New("not written yet") }

// Render makes the message for one payload, never longer than [MaxBody]. The error is the
// template's; [Templates.Fallback] makes a message then.
func (t *Templates) Render(in Input) (Message, error) { return Message{}, errors.New("not written yet") }

// Digest makes one message of many payloads, which are given in the order of their
// arrival: the newest state of each alert group, critical first, resolved last.
func (t *Templates) Digest(payloads []*Payload, mention Mention) (Message, error) {
	return Message{}, errors.New("not written yet")
}

// Digests is Digest spread over at most so many messages, numbered, so that more alerts
// are named.
func (t *Templates) Digests(payloads []*Payload, mention Mention, most int) ([]Message, error) {
	return nil, errors.New("not written yet")
}

// Fallback makes a message without any template. It cannot fail.
func (t *Templates) Fallback(in Input) Message { return Message{} }

// Bare makes a message with nothing in it that a content filter could object to: no
// links, no annotations, no label but the alert's name. It cannot fail.
func (t *Templates) Bare(in Input) Message { return Message{} }

// Deadman says that the beats called name have stopped; last is the time of the last
// one, zero if there never was any.
func (t *Templates) Deadman(name string, last time.Time, mention Mention) Message { return Message{} }

// DeadmanBack says that the beats called name, missed since last, have come back.
func (t *Templates) DeadmanBack(name string, last time.Time, mention Mention) Message {
	return Message{}
}

// Sample is something to try templates with. One payload is for [Templates.Render],
// several for [Templates.Digest].
type Sample struct {
	// ID is a short name for addresses, Title one for people, in the given language.
	ID, Title string
	Payloads  []*Payload
}

// Samples returns the samples, at times relative to now.
func (t *Templates) Samples() []Sample { return nil }
