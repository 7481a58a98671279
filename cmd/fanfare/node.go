package main

import (
	"fmt"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/server"
)

// nodeCmd runs a push node.
type nodeCmd struct{ configFlags }

// Help is shown by --help.
func (nodeCmd) Help() string {
	return `Starts a push node: devices on 3000 (binary) and 8008 (WebSocket), MPush back ends on 3001 (loopback unless
configured), the admin console on 3002 (loopback), metrics and health on 9310. It needs an RSA key of its own and says how to make one; MPush's published
demo key is used only with --set security.demo_key=true.

With store.kind redis and registry.kind zookeeper it is one of a cluster, which MPush's Java nodes and back ends can be
part of. The gateway then listens on this machine's private address unless configured.

SIGTERM or SIGINT ends it in order: it leaves the registry, asks its devices to move to other nodes for at most
push.drain_timeout, and closes what is left. A second signal ends it at once.

Examples:

  fanfare node --config /etc/fanfare/fanfare.yaml
  fanfare node --set security.private_key_file=private.pem --log.format=json`
}

// Run is called by kong.
func (cmd *nodeCmd) Run(p *process) error {
	c, warnings, err := cmd.load(p, config.Options{Role: config.RoleNode, GatewayHost: server.PrivateAddress()})
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, c.Log)
	logWarnings(log, warnings)
	s, err := newService(p.ctx, config.RoleNode, c, log)
	if err != nil {
		return err
	}
	if err := s.warnOfDemoKey(p.stderr); err != nil {
		return s.giveUp(fmt.Errorf("printing a warning: %w", err))
	}
	return s.parts.run(s.ctx, func() { log.Info("node is up", "node", c.Node.ID) })
}
