// Package dingtalktest plays DingTalk's custom robots, strictly: what the real service
// refuses, it refuses.
package dingtalktest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"
)

const (
	mostPerMinute = 20               // messages of one robot
	banFor        = 10 * time.Minute // after one more than that
	mostSkew      = time.Hour        // of a signature's time
	mostBody      = 20000            // bytes
	mostKept      = 20000            // accepted messages that are remembered, the newest
	path          = "/robot/send"
)

// Options configure a [Server]; the zero value is usable.
type Options struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Scale makes the minute of the limit and the ten minutes of the ban pass so many
	// times faster; 0 means 1. It does not touch the time in signatures.
	Scale float64
	// Robots are those that exist from the start.
	Robots []Robot
}

// Robot is a custom robot in a group.
type Robot struct {
	// Token is the access_token in its address.
	Token string
	// Secret demands signatures, Keywords that one of them is in the message.
	Secret   string
	Keywords []string
}

// Received is a message that was accepted.
type Received struct {
	Token       string
	At          time.Time // by the server's clock, not scaled
	Type        string    // msgtype
	Title, Text string    // Text is the content of a message of type text
	// Mobiles, UserIDs and All are what the message asks for.
	Mobiles, UserIDs []string
	All              bool
	// Notified are the mobiles and users whose phones ring: they must be in the text too.
	Notified []string
	Body     []byte
}

// Fault is a scripted answer.
type Fault struct {
	// Status is the HTTP status; 0 means 200.
	Status int
	// Body is the answer; if it and Status are empty, the ordinary one is given, after Delay.
	Body string
	// Header is added to the answer.
	Header http.Header
	// Delay passes before anything else, in real time, or until the client goes.
	Delay time.Duration
	// Drop closes the connection instead of answering.
	Drop bool
	// Accept takes the message all the same if it is a good one.
	Accept bool
}

// Server is the mock. It answers POST /robot/send; everything else is not found.
type Server struct {
	now   func() time.Time
	start time.Time
	scale float64

	mu       sync.Mutex
	robots   map[string]*robot
	skew     time.Duration
	next     map[string][]Fault
	always   map[string]Fault
	received []Received
	answers  map[string]map[string]int
	changed  chan struct{} // closed and replaced when something is received
}

type robot struct {
	Robot
	stopped bool
	sent    []time.Time // of the last minute, by the scaled clock
	banned  time.Time   // until then, by the scaled clock
}

// New makes a server, to be mounted as an http.Handler at any address.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Scale <= 0 {
		o.Scale = 1
	}
	s := &Server{now: o.Now, start: o.Now(), scale: o.Scale, robots: map[string]*robot{}, next: map[string][]Fault{},
		always: map[string]Fault{}, answers: map[string]map[string]int{}, changed: make(chan struct{})}
	for _, r := range o.Robots {
		s.Add(r)
	}
	return s
}

// Address is the URL of a robot on a server that is reached under base ("http://host:port").
func Address(base, token string) string { return base + path + "?access_token=" + token }

// Add makes a robot, or replaces the one with its token.
func (s *Server) Add(r Robot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.robots[r.Token] = &robot{Robot: r}
}

// Remove makes a robot unknown.
func (s *Server) Remove(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.robots, token)
}

// Stop makes a robot answer that it was stopped (400102), until it is added again.
func (s *Server) Stop(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.robots[token]; r != nil {
		r.stopped = true
	}
}

// Skew sets how far the server's clock is ahead.
func (s *Server) Skew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// Next scripts the answers to a robot's next requests, one each, after those scripted
// before; token "" means any robot that has no script of its own.
func (s *Server) Next(token string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next[token] = append(s.next[token], faults...)
}

// Always scripts the answer to all of a robot's requests that have none by Next, nil for
// the ordinary ones; token "" means all robots.
func (s *Server) Always(token string, f *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.always, token); f != nil {
		s.always[token] = *f
	}
}

// fault takes the scripted answer to a request. The lock is held.
func (s *Server) fault(token string) (Fault, bool) {
	for _, key := range []string{token, ""} {
		if list := s.next[key]; len(list) > 0 {
			s.next[key] = list[1:]
			return list[0], true
		}
		if f, ok := s.always[key]; ok {
			return f, true
		}
		if token == "" {
			break
		}
	}
	return Fault{}, false
}

// Received returns the accepted messages, oldest first.
func (s *Server) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.received...)
}

// Answers counts the requests of a robot by the errcode that they were answered ("0",
// "130101", …; "fault" for scripted answers, "404" for another path); token "" means all.
func (s *Server) Answers(token string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token != "" {
		return maps.Clone(s.answers[token])
	}
	all := map[string]int{}
	for _, counts := range s.answers {
		for code, n := range counts {
			all[code] += n
		}
	}
	return all
}

// Wait returns the first accepted message that matches, waiting for it until the context
// ends. nil matches every message.
func (s *Server) Wait(ctx context.Context, match func(Received) bool) (Received, error) {
	for {
		s.mu.Lock()
		list, changed := append([]Received(nil), s.received...), s.changed
		s.mu.Unlock()
		for _, r := range list {
			if match == nil || match(r) {
				return r, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Received{}, fmt.Errorf("none of %d messages matched: %w", len(list), context.Cause(ctx))
		}
	}
}

// Forget drops the accepted messages and the counts, not the limits.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received, s.answers = nil, map[string]map[string]int{}
}

// Forgive ends a robot's ban and empties its minute.
func (s *Server) Forgive(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.robots[token]; r != nil {
		r.sent, r.banned = nil, time.Time{}
	}
}

// scaled is the time on the clock of the limits.
func (s *Server) scaled() time.Time {
	return s.start.Add(time.Duration(float64(s.now().Sub(s.start)) * s.scale))
}
