package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/alloc"
	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
	"github.com/fanfare-push/fanfare/server/proxy"
	"github.com/fanfare-push/fanfare/server/store"
)

// service is a process made of a node, or of an allocator alone, and what is around
// it. Its parts share one registry of metrics and one ledger.
type service struct {
	ctx      context.Context // ends when the process is asked to end
	shutdown func()          // asks it
	role     config.Role
	config   *config.Config
	log      *slog.Logger
	parts    parts
	registry *prometheus.Registry
	metrics  *exporter.Metrics
	store    store.Store
	nodes    cluster.Registry
	mesh     *cluster.Mesh
	router   *cluster.Router
	ledger   *ledger.Ledger
	proxy    *proxy.Proxy     // nil when turned off
	node     *server.Node     // nil in an allocator's process
	alloc    *alloc.Allocator // nil without one
	ops      *exporter.Ops    // nil when turned off
	joined   bool             // the node was announced
}

// newService opens the store and the registry and makes the operations server and the
// node. After an error nothing is left open.
func newService(ctx context.Context, role config.Role, c *config.Config, log *slog.Logger) (*service, error) {
	s := newProcess(ctx, role, c, log)
	for _, make := range []func() error{s.openStore, s.openRegistry, s.makeOps, s.makeProxy, s.makeNode, s.makeRouter, s.addCanary, s.addRegistration, s.addAdmin} {
		if err := make(); err != nil {
			return nil, s.giveUp(err)
		}
	}
	return s, nil
}

// newProcess has nothing open yet.
func newProcess(ctx context.Context, role config.Role, c *config.Config, log *slog.Logger) *service {
	if host, err := os.Hostname(); err == nil && c.Node.ID == "" {
		c.Node.ID = host
	}
	c.Alloc.ID = cmp.Or(c.Alloc.ID, c.Node.ID)
	s := &service{role: role, config: c, log: log, registry: exporter.NewRegistry(thisBuild())}
	s.ctx, s.shutdown = context.WithCancel(ctx)
	s.parts = parts{log: log, patience: stopTime + c.Push.DrainTimeout.Std()}
	s.metrics = exporter.New(s.registry)
	s.ledger = ledger.New(ledger.Options{
		Messages: c.Push.LedgerMessages, Bytes: int64(c.Push.LedgerBytes), Node: c.Node.ID, Metrics: s.metrics})
	return s
}

// giveUp returns what was opened so far and words the error for the operator.
func (s *service) giveUp(err error) error {
	return errors.Join(explain(err, s.config), s.parts.stop())
}

func (s *service) makeNode() error {
	o, err := nodeOptions(s.config)
	if err != nil {
		return err
	}
	o.Ops = s.opsAddress()
	o.Registry, o.Proxy = s.nodes, s.proxy
	o.Canary = s.config.Canary.On(s.role)
	if err := exporter.AddCertificates(s.registry, o.TLS); err != nil {
		return fmt.Errorf("security.tls_cert_file: %w", err)
	}
	o.Version, o.Logger, o.Metrics, o.Store, o.Ledger = thisBuild().Version, s.log, s.metrics, s.store, s.ledger
	if s.node, err = server.New(o); err != nil {
		return err
	}
	s.parts.add(part{name: "node", start: s.serve, stop: s.node.Stop})
	trim := newTrimmer(func() int { return s.node.Info().Connections })
	s.parts.add(part{name: "memory trimmer", start: trim.start, stop: trim.stop})
	return nil
}

// nodeOptions says in the node's terms what the configuration says.
func nodeOptions(c *config.Config) (o server.Options, err error) {
	o = server.DefaultOptions()
	if o.Key, err = c.KeyPair(); err != nil {
		return o, fmt.Errorf("security.private_key: %w", err)
	}
	if o.TLS, err = c.TLS(); err != nil {
		return o, fmt.Errorf("security.tls_cert_file: %w", err)
	}
	l := c.Limits
	if o.GatewayAllow, err = c.GatewayAllow(); err != nil {
		return o, fmt.Errorf("security.gateway_allow: %w", err)
	}
	o.GatewaySecret = c.Security.GatewaySecret.Reveal()
	o.ID, o.PublicIP, o.Weight = c.Node.ID, c.Node.PublicIP, c.Node.Weight
	o.KickGrace = c.Push.KickGrace.Std()
	o.WebSocketPath = c.Node.WebPath
	o.SweepEvery, o.SweepRate = c.Store.Redis.SweepEvery.Std(), c.Store.Redis.SweepRate
	o.Listen = server.Endpoints{Device: c.Node.Listen.Device, WebSocket: c.Node.Listen.WebSocket, Gateway: c.Node.Listen.Gateway}
	o.Advertise = server.Endpoints{Device: c.Node.Advertise.Device, WebSocket: c.Node.Advertise.WebSocket, Gateway: c.Node.Advertise.Gateway}
	o.RequireEncryption, o.AllowedOrigins = c.Security.RequireEncryption, c.Security.AllowedOrigins
	o.MinHeartbeat, o.MaxHeartbeat, o.HeartbeatTimeouts = l.MinHeartbeat.Std(), l.MaxHeartbeat.Std(), l.HeartbeatTimeouts
	o.WebSocketPing, o.SessionTTL, o.AckTimeout = l.WebSocketPing.Std(), l.SessionTTL.Std(), c.Push.AckTimeout.Std()
	o.DrainRate = c.Push.DrainRate
	o.Limits = server.Limits{
		PacketBytes: int(l.MaxPacketSize), WebSocketBytes: int(l.MaxWebSocketMessage), InflatedBytes: int(l.MaxInflatedSize),
		GatewayPacketBytes: int(l.MaxGatewayPacket), CompressThreshold: int(l.CompressThreshold), Connections: l.MaxConnections,
		OutboundBytes: int(l.OutboundBytes), OutboundAge: l.OutboundAge.Std(),
		SendBuffer: int(l.SendBuffer), ReceiveBuffer: int(l.ReceiveBuffer), HandshakeTimeout: l.HandshakeTimeout.Std(),
		PendingAcks: c.Push.MaxPendingAcks, UserBytes: int(l.UserBytes), Broadcasts: c.Push.MaxBroadcasts,
		BroadcastRate: c.Push.BroadcastRate, UnicastRate: c.Push.UnicastRate, UnicastQueue: c.Push.UnicastQueue,
		GatewayInFlight: l.GatewayInFlight, GatewayConnections: l.Gateways,
		RSAWorkers: workers(l.RSAWorkers, 1), RSAQueue: l.RSAQueue,
		StoreWorkers: workers(l.StoreWorkers, 4), StoreQueue: l.StoreQueue,
	}
	return o, nil
}

// workers is the configured number, or so many for each processor.
func workers(n, perProcessor int) int {
	if n == 0 {
		return perProcessor * runtime.GOMAXPROCS(0)
	}
	return n
}

// addAlloc makes the allocator with the HTTP API and the console, unless it is off.
func (s *service) addAlloc(tokens []string) (err error) {
	c := s.config
	if c.Alloc.Listen == "" {
		return nil
	}
	rate := c.API.Rate
	if rate == 0 {
		rate = -1 // the allocator's word for no limit
	}
	s.addCluster()
	s.alloc, err = alloc.New(alloc.Options{
		ID: c.Alloc.ID, ListSelf: s.node == nil, Advertise: c.Alloc.Advertise, Listen: c.Alloc.Listen, Tokens: tokens, Insecure: c.API.Insecure, MaxBody: int64(c.API.MaxBody),
		Rate: rate, Burst: c.API.Burst, MaxWait: c.API.MaxWait.Std(),
		Router: s.router, Ledger: s.ledger, Snapshot: s.metrics.Snapshot, Gatherer: s.registry,
		Metrics: s.metrics, Ready: s.ready, Logger: s.log, Version: thisBuild().Version, Compile: cluster.Compile,
		JavaLoad: s.store.OnlineUsers,
	})
	if err != nil {
		return s.giveUp(err)
	}
	s.parts.add(part{name: "allocator", start: s.alloc.Start, stop: s.alloc.Stop})
	return nil
}

// makeOps makes the operations server, unless it is off. It is asked about the node
// only once everything is made and started.
func (s *service) makeOps() (err error) {
	if s.config.Node.Listen.Ops == "" {
		return nil
	}
	s.ops, err = exporter.NewOps(exporter.OpsOptions{
		Listen: s.config.Node.Listen.Ops, Gatherer: s.registry, Metrics: s.metrics, Logger: s.log,
		Ready: s.ready, Drain: func(rate int) { s.node.Drain(rate) }})
	if err != nil {
		return err
	}
	s.parts.add(part{name: "operations port", start: func() error { s.ops.Start(); return nil }, stop: s.ops.Stop})
	return nil
}

// opsAddress is where Prometheus finds the operations server.
func (s *service) opsAddress() string {
	switch {
	case s.config.Node.Advertise.Ops != "":
		return s.config.Node.Advertise.Ops
	case s.ops == nil:
		return ""
	}
	host, port, err := net.SplitHostPort(s.ops.Addr().String())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return s.ops.Addr().String()
	}
	return net.JoinHostPort(server.HostAddress(), port)
}

// explain words an address that is taken by its key, in one line.
func explain(err error, c *config.Config) error {
	var op *net.OpError
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	key, ok := c.Listener(op.Addr.String())
	if !ok {
		return err
	}
	return fmt.Errorf("%s (%s) is in use by another process; stop that one, or take another port with --set %s=HOST:PORT", op.Addr, key, key)
}

const demoWarning = `
  ***********************************************************************
  **  MPush's published demo key is in use. Everybody has its private  **
  **  half, so nothing that devices send is secret. For trials only.   **
  **  Make your own with  openssl genrsa -out private.pem 2048         **
  **  and set security.private_key_file to it.                         **
  ***********************************************************************

`

// warnOfDemoKey says it loudly, to people and to the log.
func (s *service) warnOfDemoKey(w io.Writer) error {
	k, err := s.config.KeyPair()
	if err != nil || !k.IsDemo() {
		return err
	}
	s.log.Warn("MPush's published demo key is in use: traffic is not secret; set security.private_key_file")
	_, err = io.WriteString(w, demoWarning)
	return err
}
