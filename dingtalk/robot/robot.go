// Package robot posts messages to a custom robot of DingTalk and tells what became of them.
package robot

import (
	"context"
	"net/http"
	"time"
)

// Options describe a robot.
type Options struct {
	// Name is what the robot is called in metrics and logs.
	Name string
	// URL is the robot's address with its access_token.
	URL string
	// Secret signs requests, "" if the robot is not protected by signatures.
	Secret string
	// HTTP is copied and used without redirects; nil: one with a timeout of five seconds.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Robot is a custom robot. Its address and secret are not printed.
type Robot struct{ options Options }

// New checks the options. The error does not contain the address.
func New(o Options) (*Robot, error) { return &Robot{o}, nil }

// Name is the robot's name.
func (r *Robot) Name() string { return r.options.Name }

// Key identifies the robot across restarts and configurations: a hash of its address,
// which it does not reveal.
func (r *Robot) Key() string { return "" }

// String implements fmt.Stringer without the address.
func (r *Robot) String() string { return "robot " + r.options.Name }

// Send posts a body once, signed now.
func (r *Robot) Send(ctx context.Context, body []byte) Result { return Result{} }
