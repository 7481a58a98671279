// Package dingtalktest plays DingTalk's custom robots, strictly: what the real service
// refuses, it refuses.
package dingtalktest

import (
	"context"
	"net/http"
	"time"
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
	At          time.Time
	Type        string // msgtype
	Title, Text string
	Mobiles     []string
	UserIDs     []string
	All         bool
	Body        []byte
}

// Fault is a scripted answer.
type Fault struct {
	// Status is the HTTP status; 0 means 200.
	Status int
	// Body is the answer; "" is the ordinary one, after Delay.
	Body string
	// Header is added to the answer.
	Header http.Header
	// Delay passes before the answer, in real time, or until the client goes.
	Delay time.Duration
	// Drop closes the connection instead of answering.
	Drop bool
	// Accept takes the message all the same if it is a good one.
	Accept bool
}

// Server is the mock.
type Server struct{ options Options }

// New makes a server, to be mounted as an http.Handler at any address.
func New(o Options) *Server { return &Server{o} }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Add makes a robot, or replaces the one with its token.
func (s *Server) Add(r Robot) {}

// Remove makes a robot unknown.
func (s *Server) Remove(token string) {}

// Stop makes a robot answer that it was stopped (400102), until it is added again.
func (s *Server) Stop(token string) {}

// Skew sets how far the server's clock is ahead.
func (s *Server) Skew(d time.Duration) {}

// Next scripts the answers to a robot's next requests, one each, after those scripted
// before; token "" means any robot.
func (s *Server) Next(token string, faults ...Fault) {}

// Always scripts the answer to all of a robot's requests that have none by Next, nil for
// the ordinary ones.
func (s *Server) Always(token string, f *Fault) {}

// Received returns the accepted messages, oldest first.
func (s *Server) Received() []Received { return nil }

// Answers counts the requests of a robot by the errcode that they were answered
// ("0", "130101", …, "fault" for scripted ones); token "" means all robots.
func (s *Server) Answers(token string) map[string]int { return nil }

// Wait returns the first accepted message that matches, waiting for it until the context
// ends. nil matches every message.
func (s *Server) Wait(ctx context.Context, match func(Received) bool) (Received, error) {
	return Received{}, nil
}

// Forget drops the accepted messages and the counts, not the limits.
func (s *Server) Forget() {}

// Forgive ends a robot's ban and empties its minute.
func (s *Server) Forgive(token string) {}
