// Package config reads the configuration of the DingTalk bridge: the YAML of
// prometheus-webhook-dingtalk, key for key, and what Fanfare adds to it.
package config

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/message"
)

// Config is a configuration that was read and checked.
type Config struct {
	// File is where it was read.
	File string
	// NoBuiltinTemplate leaves the built-in templates out.
	NoBuiltinTemplate bool
	// Templates are globs of template files, each relative to the working directory, or
	// to the folder of File where that has a match and the working directory has none.
	Templates []string
	// DefaultMessage is for targets that have none of their own.
	DefaultMessage Message
	// Timeout bounds one request to DingTalk or Alertmanager.
	Timeout time.Duration
	// CA has certificates in PEM form that are trusted besides the system's, by requests to
	// DingTalk and Alertmanager; it is not shown.
	CA Secret
	// Targets by name.
	Targets map[string]*Target
	// Language of the built-in messages and pages: "zh" or "en".
	Language string
	// Location is the time zone of the readers.
	Location *time.Location
	Links    message.Links
	Limits   Limits
	Digest   Digest
	// DedupeTTL is how long an equal notification counts as a duplicate.
	DedupeTTL time.Duration
	Silence   Silence
	// Deadman has the dead man's switches by name.
	Deadman map[string]Deadman

	files []string // beside File: secrets, addresses, keys
}

// Message holds the templates of a target's messages, "" for the built-in ones.
type Message struct{ Title, Text string }

// Target is somewhere to send to, under /dingtalk/<name>/send.
type Target struct {
	Name string
	// Robots are tried in this order. One without an address sends nothing.
	Robots  []Robot
	Mention message.Mention
	Message Message
}

// Preview reports whether the target has no robot with an address: its messages are
// only shown.
func (t *Target) Preview() bool {
	return !slices.ContainsFunc(t.Robots, func(r Robot) bool { return r.URL != "" })
}

// Robot is a custom robot of DingTalk.
type Robot struct {
	Name        string
	URL, Secret Secret
	key         string // where it stands in the file
	line        int
}

// Key names the robot's place in the file for an error, and Line gives its line.
func (r Robot) Key() (key string, line int) { return r.key, r.line }

// Limits bound the bridge.
type Limits struct {
	PerMinute   int           // messages of one robot in any 60 seconds
	Queue       int           // notifications that wait for one target
	QueueBytes  int64         // of all notifications that wait
	Body        int64         // bytes of one webhook
	MaxAge      time.Duration // after which a notification that cannot be sent is a dead letter
	DeadLetters int           // kept; the oldest goes first
}

// Digest says when several notifications become one message.
type Digest struct {
	// After is how many may wait for a target and still be sent one by one.
	After int
	// DropResolved leaves out alerts that fired and were resolved before anybody was told.
	DropResolved bool
}

// Silence says how people silence alerts from a message; without Alertmanager there
// are no such links.
type Silence struct {
	// Alertmanager is its base address as the bridge reaches it.
	Alertmanager string
	// Duration is how long a silence lasts.
	Duration time.Duration
	// LinkTTL is how long a link works.
	LinkTTL time.Duration
	// Key signs the links; empty: the bridge keeps one of its own in the data directory.
	Key Secret
}

// Deadman is a dead man's switch, /deadman/<name>.
type Deadman struct {
	// Interval is the time between two beats.
	Interval time.Duration
	// Misses is how many intervals may pass without a beat.
	Misses int
	// Targets are told.
	Targets []string
	// Repeat is the time until they are told again.
	Repeat time.Duration
}

// Period is how long the switch waits for a beat.
func (d Deadman) Period() time.Duration { return d.Interval * time.Duration(d.Misses) }

// defaults is a configuration with nothing but defaults.
func defaults(file string) *Config {
	return &Config{
		File: file, Timeout: 5 * time.Second, Language: message.Chinese, Targets: map[string]*Target{}, Deadman: map[string]Deadman{},
		Limits:    Limits{PerMinute: 18, Queue: 10000, QueueBytes: 256 << 20, Body: 16 << 20, MaxAge: 24 * time.Hour, DeadLetters: 1000},
		Digest:    Digest{After: 3},
		DedupeTTL: 5 * time.Minute,
		Silence:   Silence{Duration: time.Hour, LinkTTL: 24 * time.Hour},
	}
}

// TargetNames returns the names of the targets in order.
func (c *Config) TargetNames() []string { return sortedKeys(c.Targets) }

// MessageOf returns the templates of a target.
func (c *Config) MessageOf(t *Target) Message {
	return Message{Title: cmp.Or(t.Message.Title, c.DefaultMessage.Title), Text: cmp.Or(t.Message.Text, c.DefaultMessage.Text)}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
