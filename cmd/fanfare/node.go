package main

import (
	"fmt"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

// nodeCmd runs a push node.
type nodeCmd struct{ configFlags }

// Help is shown by --help.
func (nodeCmd) Help() string {
	return `Starts a push node: devices on 3000 (binary) and 8008 (WebSocket), MPush back ends on 3001 (loopback unless
configured), metrics and health on 9310. It needs an RSA key of its own and says how to make one; MPush's published
demo key is used only with --set security.demo_key=true.

SIGTERM or SIGINT ends it in order, a second one at once.

Examples:

  fanfare node --config /etc/fanfare/fanfare.yaml
  fanfare node --set security.private_key_file=private.pem --log.format=json`
}

// Run is called by kong.
func (cmd *nodeCmd) Run(p *process) error {
	c, warnings, err := cmd.load(p, config.Options{Role: config.RoleNode})
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, c.Log)
	logWarnings(log, warnings)
	s, err := newService(c, log)
	if err != nil {
		return err
	}
	if err := s.warnOfDemoKey(p.stderr); err != nil {
		return s.giveUp(fmt.Errorf("printing a warning: %w", err))
	}
	return s.parts.run(p.ctx, func() { log.Info("node is up", "node", s.node.Info()) })
}
