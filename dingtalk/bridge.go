// Package dingtalk is the bridge between Alertmanager and DingTalk: it takes Alertmanager's
// webhooks, keeps them on disk, and posts them to custom robots at a pace that DingTalk
// allows. It takes the place of prometheus-webhook-dingtalk.
package dingtalk

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/fanfare-push/fanfare/dingtalk/spool"
	"github.com/fanfare-push/fanfare/exporter"
)

// Registry is where the bridge's metrics are kept and read.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Options configure a [Bridge].
type Options struct {
	// ConfigFile is the YAML file.
	ConfigFile string
	// Set has values that win over those of the file and the environment, as key=value.
	Set []string
	// DataDir is where the queue is kept.
	DataDir string
	// Listener accepts requests. The bridge closes it.
	Listener net.Listener
	// Transport carries requests to DingTalk and Alertmanager; nil: one with the proxy
	// of the environment.
	Transport http.RoundTripper
	// Registry gets the bridge's metrics and answers /metrics.
	Registry Registry
	// Getenv looks a variable of the environment up; nil: none is set.
	Getenv func(string) (string, bool)
	// EnableUI serves the page and the configuration, EnableLifecycle /-/reload.
	EnableUI, EnableLifecycle bool
	// NoWatch turns off looking for changed files.
	NoWatch bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger gets what goes wrong; nil means [slog.Default].
	Logger *slog.Logger
	// Version is shown on pages.
	Version string
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Getenv == nil {
		o.Getenv = func(string) (string, bool) { return "", false }
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	return o
}

// newTransport keeps connections; the client that uses it bounds the time of requests.
func newTransport() *http.Transport {
	return &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 16, MaxIdleConnsPerHost: 4,
		MaxConnsPerHost: 32, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10}
}

// Bridge is a running bridge.
type Bridge struct {
	options   Options
	setup     atomic.Pointer[setup]
	spool     *spool.Spool
	metrics   *metrics
	deadmen   *deadmen
	disk      *diskAlarm
	recent    recent
	twins     twins
	silences  silences
	ownKey    []byte
	pages     *template.Template
	phone     *phone
	server    http.Server
	bodies    *semaphore.Weighted // bytes of the bodies in memory
	conns     atomic.Int32
	reloading sync.Mutex

	spoolLog, templateLog exporter.Seldom
	refuseLogs            map[string]*exporter.Seldom // by result: a stranger's nonsense must not keep a full queue out of the log

	mu    sync.Mutex
	gates map[string]*gate
	lanes map[string]*lane
	ended bool

	running   sync.WaitGroup
	laneCtx   context.Context // ends when nothing more is to be sent
	endLanes  context.CancelFunc
	sendCtx   context.Context // ends when requests are to be cut off
	cutSends  context.CancelFunc
	startOnce sync.Once
	served    chan struct{}
}

// New reads the configuration and opens the queue. Nothing is sent before [Bridge.Start].
// The error names the file, the key and what to do. After an error nothing is open but
// the listener.
func New(o Options) (*Bridge, error) {
	o = o.withDefaults()
	if err := Check(o); err != nil { // before anything is made on disk
		return nil, err
	}
	b := &Bridge{options: o, metrics: newMetrics(o.Registry), gates: map[string]*gate{}, lanes: map[string]*lane{},
		pages: parsePages(), phone: newPhone(), bodies: semaphore.NewWeighted(maxBodies), served: make(chan struct{}),
		refuseLogs: map[string]*exporter.Seldom{webhookMalformed: {}, webhookTooLarge: {}, webhookFull: {}}}
	b.laneCtx, b.endLanes = context.WithCancel(context.Background())
	b.sendCtx, b.cutSends = context.WithCancel(context.Background())
	b.disk = newDiskAlarm(b)
	var err error
	b.spool, err = spool.Open(spool.Options{Dir: o.DataDir, Now: o.Now, Logger: o.Logger,
		Failed:  b.metrics.spoolErrors.Inc,
		Stalled: func() { b.metrics.spoolErrors.Inc(); b.disk.unkept() },
		Late:    b.wake,
		Limits:  spool.Limits{Queue: 1, Bytes: 1, DeadLetters: 1}})
	if err != nil {
		return nil, fmt.Errorf("%w (--data-dir)", err)
	}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(err, b.spool.Close())
	}
	o.Registry.MustRegister(newCollector(b))
	b.newServer()
	return b, nil
}

// prepare takes the first configuration into use.
func (b *Bridge) prepare() (err error) {
	if b.ownKey, err = ownKey(b.options.DataDir); err != nil {
		return err
	}
	b.deadmen = newDeadmen(b.spool, b.options.Now, b.options.Logger, b.wake, b.disk.unkept)
	s, err := newSetup(b.options, b.gateOf, b.ownKey)
	if err != nil {
		return err
	}
	b.use(s)
	return nil
}

// use takes a configuration into use.
func (b *Bridge) use(s *setup) {
	l := s.config.Limits
	b.spool.SetLimits(spool.Limits{Queue: l.Queue, Bytes: l.QueueBytes, DeadLetters: l.DeadLetters})
	b.metrics.prepare(s)
	b.metrics.reloadOK.WithLabelValues().Set(1)
	b.metrics.reloadTime.WithLabelValues().Set(unix(b.options.Now()))
	if old := b.setup.Swap(s); old != nil {
		old.client.CloseIdleConnections() // what is in use stays
	}
	b.deadmen.configure(s.config.Deadman)
}

// gateOf finds the gate of a robot, or makes it of what an earlier run has left.
func (b *Bridge) gateOf(key string) *gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gates[key] == nil {
		stored, err := b.spool.State("robot", key)
		if err != nil {
			b.options.Logger.Warn("the state of a robot cannot be read", "err", err)
		}
		b.gates[key] = newGate(key, stored, b.options.Now())
	}
	return b.gates[key]
}

// Addr is the address that requests go to.
func (b *Bridge) Addr() net.Addr { return b.options.Listener.Addr() }

// Start serves and sends until [Bridge.Stop]. A second call does nothing.
func (b *Bridge) Start() {
	b.startOnce.Do(func() {
		s := b.setup.Load()
		b.start(s)
		b.running.Go(func() { b.deadmen.run(b.laneCtx) })
		b.running.Go(func() { b.disk.run(b.laneCtx) })
		if !b.options.NoWatch {
			b.running.Go(func() { b.watch(b.laneCtx) })
		}
		go b.serve()
		targets, preview := s.summary()
		b.options.Logger.Info("the DingTalk bridge is up", "address", b.Addr().String(), "config", b.options.ConfigFile,
			"data", b.options.DataDir, "targets", targets, "preview", preview)
	})
}

// start makes the lanes of a configuration and of what waits, and wakes all.
func (b *Bridge) start(s *setup) {
	for _, name := range b.queues(s) {
		if l := b.lane(name); l != nil {
			l.anew.Store(true)
			l.wake()
		}
	}
}

// queues are the targets of the configuration and those that something waits for.
func (b *Bridge) queues(s *setup) []string {
	names := append(s.config.TargetNames(), b.spool.Targets()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// wake makes the lane of a target look for work.
func (b *Bridge) wake(name string) {
	if l := b.lane(name); l != nil {
		l.wake()
	}
}

// lane finds the lane of a target, or makes it; nil once the bridge ends.
func (b *Bridge) lane(name string) *lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil
	}
	l := b.lanes[name]
	if l == nil {
		l = &lane{Bridge: b, name: name, kick: make(chan struct{}, 1), announced: map[string]struct{}{}, doubts: map[uint64]doubt{}, held: map[uint64][]uint64{}, forgot: b.options.Now()}
		b.lanes[name] = l
		b.running.Go(func() { l.run(b.laneCtx) })
	}
	return l
}

// Reload reads the configuration again and takes it into use if it has no mistake;
// else the one in use stays, and the error says what is wrong. What waits, bans and
// limits go on; robots that were refused for good get another chance.
func (b *Bridge) Reload() error {
	b.reloading.Lock()
	defer b.reloading.Unlock()
	s, err := newSetup(b.options, b.gateOf, b.ownKey)
	if err != nil {
		b.metrics.reloadOK.WithLabelValues().Set(0)
		b.options.Logger.Error("the configuration was not reloaded; the one in use stays", "err", err)
		return err
	}
	b.use(s)
	for _, t := range s.targets {
		for _, r := range t.robots {
			r.gate.enable()
			b.keep(r.gate)
		}
	}
	b.start(s)
	targets, preview := s.summary()
	b.options.Logger.Info("the configuration was reloaded", "file", b.options.ConfigFile, "targets", targets, "preview", preview)
	return nil
}

// Stop ends the bridge in order: no more requests, the messages in hand are finished
// until ctx ends, what waits stays in the spool. The error is that of ctx or the disk.
func (b *Bridge) Stop(ctx context.Context) error {
	b.startOnce.Do(func() { close(b.served) }) // never started, never will be
	err := b.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stopping the bridge: %w", err), b.server.Close())
	}
	b.options.Listener.Close() // Shutdown knows it only after Serve began
	<-b.served
	b.endLanes()
	stop := context.AfterFunc(ctx, b.cutSends)
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.running.Wait()
	stop()
	b.cutSends()
	b.setup.Load().client.CloseIdleConnections()
	return errors.Join(err, b.spool.Close())
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
