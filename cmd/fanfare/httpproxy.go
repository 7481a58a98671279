package main

import (
	"context"
	"log/slog"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/proxy"
)

// makeProxy makes the HTTP proxy for devices, unless it is off. It is made before the
// node and so outlives it.
func (s *service) makeProxy() (err error) {
	if !s.config.Proxy.Enabled {
		return nil
	}
	if s.proxy, err = proxy.New(proxyOptions(s.config.Proxy, s.log, s.metrics)); err != nil {
		return err
	}
	s.parts.add(part{name: "HTTP proxy", start: s.proxy.Start, stop: func(context.Context) error { return s.proxy.Close() }})
	return nil
}

// proxyOptions says in the proxy's terms what the configuration says.
func proxyOptions(c config.Proxy, log *slog.Logger, m *exporter.Metrics) proxy.Options {
	o := proxy.DefaultOptions()
	o.Allow, o.AllowPrivate, o.DNSMapping = c.Allow, c.AllowPrivate, c.DNSMapping
	o.Timeout, o.MaxTimeout = c.Timeout.Std(), c.MaxTimeout.Std()
	o.MaxResponse, o.MaxMemory = int64(c.MaxResponse), int64(c.MaxMemory)
	o.Workers, o.Queue, o.PerConnection = c.Workers, c.Queue, c.PerConnection
	o.PerHost, o.IdlePerHost = c.PerHost, c.IdlePerHost
	o.Logger, o.Metrics = log, m
	return o
}
