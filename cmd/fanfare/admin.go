package main

import (
	"github.com/fanfare-push/fanfare/server/admin"
)

// addAdmin makes the admin console, unless it is off.
func (s *service) addAdmin() error {
	c := s.config
	if c.Node.Listen.Admin == "" {
		return nil
	}
	console, err := admin.New(admin.Options{
		Listen: c.Node.Listen.Admin, Password: c.Security.AdminPassword.Reveal(),
		Node: s.node, PublicIP: s.node.PublicIP(), Router: s.router, Store: s.store, Ledger: s.ledger,
		Setting: c.Show, Shutdown: s.shutdown, Metrics: s.metrics, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.parts.add(part{name: "admin console", start: func() error { console.Start(); return nil }, stop: console.Stop})
	return nil
}
