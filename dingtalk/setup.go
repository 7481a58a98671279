package dingtalk

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/config"
	"github.com/fanfare-push/fanfare/dingtalk/message"
	"github.com/fanfare-push/fanfare/dingtalk/robot"
)

// setup is a configuration ready for use. It is replaced as a whole.
type setup struct {
	config      *config.Config
	fingerprint [32]byte
	templates   *message.Templates
	targets     map[string]*target
	acks        *acks // nil: messages have no links that silence
	client      *http.Client
}

// target is where notifications go.
type target struct {
	*config.Target
	message config.Message
	robots  []post // with an address; none: messages are only shown

	twins    []string // targets with the same robots
	patience int      // up to this rank notifications wait for a louder twin's; -1: none
}

func (t *target) preview() bool { return len(t.robots) == 0 }

// post is a robot with its gate.
type post struct {
	*robot.Robot
	gate *gate
}

// newSetup reads the configuration and everything it names. Its error says in which
// file and key the mistake is.
func newSetup(o Options, gateOf func(key string) *gate, ownKey []byte) (*setup, error) {
	c, err := config.Load(o.ConfigFile, o.Getenv, o.Set...)
	if err != nil {
		return nil, err
	}
	// The fingerprint is older than what is used: a file that changes meanwhile then has
	// another one, and is read again.
	fingerprint := c.Fingerprint()
	if c, err = config.Load(o.ConfigFile, o.Getenv, o.Set...); err != nil {
		return nil, err
	}
	s := &setup{config: c, fingerprint: fingerprint, targets: map[string]*target{},
		client: &http.Client{Transport: trusting(o.Transport, c.CA), Timeout: c.Timeout}}
	s.templates, err = message.LoadTemplates(message.Options{Builtin: !c.NoBuiltinTemplate, Globs: c.Globs(),
		Language: c.Language, Location: c.Location, Links: c.Links, Now: o.Now})
	if err != nil {
		return nil, fmt.Errorf("%s: templates: %w", c.File, err)
	}
	names := map[string]string{} // of robots, by key
	for _, name := range c.TargetNames() {
		t := c.Targets[name]
		if s.targets[name], err = newTarget(t, c.MessageOf(t), s, o.Now, names, gateOf); err != nil {
			return nil, err
		}
	}
	s.findTwins()
	if c.Links.Bridge != "" && c.Silence.Alertmanager != "" {
		key := ownKey
		if c.Silence.Key != "" {
			key = []byte(c.Silence.Key.Reveal())
		}
		s.acks = newAcks(c, key, s.client, o.Now)
	}
	return s, nil
}

// trusting is a transport that trusts more certificates than the system's.
func trusting(t http.RoundTripper, ca config.Secret) http.RoundTripper {
	own, ok := t.(*http.Transport)
	if ca == "" || !ok {
		return t
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a container may have none
	}
	pool.AppendCertsFromPEM([]byte(ca.Reveal())) // there is one: it was checked
	own = own.Clone()
	own.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return own
}

func newTarget(t *config.Target, m config.Message, s *setup, now func() time.Time, names map[string]string, gateOf func(string) *gate) (*target, error) {
	if err := s.templates.Check(m.Title, m.Text); err != nil {
		return nil, fmt.Errorf("%s: targets.%s.message: %w", s.config.File, t.Name, err)
	}
	made := &target{Target: t, message: m}
	for _, r := range t.Robots {
		if r.URL == "" {
			continue
		}
		o := robot.Options{Name: r.Name, URL: r.URL.Reveal(), Secret: r.Secret.Reveal(), HTTP: s.client, Now: now}
		rb, err := robot.New(o)
		if err != nil {
			key, line := r.Key()
			return nil, config.Problems{{File: s.config.File, Line: line, Key: key, Text: err.Error()}}
		}
		// One robot under two names is one robot: the first name counts.
		if o.Name = cmp.Or(names[rb.Key()], r.Name); o.Name != r.Name {
			if rb, err = robot.New(o); err != nil {
				return nil, err
			}
		}
		names[rb.Key()] = o.Name
		made.robots = append(made.robots, post{rb, gateOf(rb.Key())})
	}
	return made, nil
}

// Check reads a configuration as [New] would, and opens nothing.
func Check(o Options) error {
	o = o.withDefaults()
	_, err := newSetup(o, func(key string) *gate { return newGate(key, nil, o.Now()) }, make([]byte, 32))
	return err
}

// Summary says in a few words what is configured.
func (s *setup) summary() (targets, preview int) {
	for _, t := range s.targets {
		if t.preview() {
			preview++
		}
	}
	return len(s.targets), preview
}

// usable finds the first robot of a target that may send now, or when there will be one.
func (t *target) usable(now time.Time, limit int, h haste) (post, time.Time) {
	var soonest time.Time
	for _, r := range t.robots {
		at := r.gate.free(now, limit, h)
		if !at.After(now) {
			return r, at
		}
		// A robot that only waits for its pace is not worth another robot, whose group may
		// be another one: people would look for a message in two places.
		if banned, disabled, _ := r.gate.status(now); banned.IsZero() && !disabled && !r.gate.resting(now) {
			return post{}, at
		}
		if soonest.IsZero() || at.Before(soonest) {
			soonest = at
		}
	}
	return post{}, soonest
}
