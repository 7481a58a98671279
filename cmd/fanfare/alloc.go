package main

import (
	"log/slog"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

// allocCmd runs an allocator.
type allocCmd struct{ configFlags }

// Help is shown by --help.
func (allocCmd) Help() string {
	return `Starts an allocator: it tells devices which node to connect to, takes pushes over HTTP, shows the console, and lists the
nodes for Prometheus, all on port 9999. Any number of them may run; they keep nothing that another one needs.

It needs the cluster's Redis and ZooKeeper (store.kind redis, registry.kind zookeeper), and api.tokens_file unless it
listens on loopback only.

SIGTERM or SIGINT ends it in order, a second one at once.

Examples:

  fanfare alloc --config /etc/fanfare/fanfare.yaml
  fanfare alloc --set store.kind=redis --set registry.kind=zookeeper`
}

// Run is called by kong.
func (cmd *allocCmd) Run(p *process) error {
	c, warnings, err := cmd.load(p, config.Options{Role: config.RoleAlloc})
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, c.Log)
	logWarnings(log, warnings)
	s, err := newAllocator(p, c, log)
	if err != nil {
		return err
	}
	return s.parts.run(s.ctx, func() { log.Info("allocator is up", "address", s.alloc.Addr().String()) })
}

// newAllocator makes the service of an allocator without a node.
func newAllocator(p *process, c *config.Config, log *slog.Logger) (*service, error) {
	s := newProcess(p.ctx, config.RoleAlloc, c, log)
	for _, make := range []func() error{s.openStore, s.openRegistry, s.makeRouter, s.addCanary} {
		if err := make(); err != nil {
			return nil, s.giveUp(err)
		}
	}
	tokens, _ := apiTokens(c)
	return s, s.addAlloc(tokens)
}
