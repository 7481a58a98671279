package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of the operations server. It serves small answers to few peers.
const (
	opsReadTimeout  = 5 * time.Second  // for the whole of a request
	opsWriteTimeout = 15 * time.Second // a profile gets its own length on top
	opsIdleTimeout  = time.Minute
	opsHeaderBytes  = 16 << 10
	opsConnections  = 256 // one more is closed at once
)

// OpsOptions says what an operations server serves.
type OpsOptions struct {
	// Listen is host:port; port 0 takes a free one.
	Listen string
	// Setting is the configuration key of Listen, named when it cannot be bound;
	// empty means node.listen.ops.
	Setting string
	// Gatherer is what /metrics shows.
	Gatherer prometheus.Gatherer
	// Metrics counts connections that could not be accepted; nil means nobody does.
	Metrics *Metrics
	// Logger gets what goes wrong; nil means [slog.Default].
	Logger *slog.Logger
	// Ready returns why the process should get no traffic, nil if it should. It must
	// not block. A nil Ready is always ready.
	Ready func() error
	// Drain starts to drain the node, at most rate connections per second, 0 for the
	// node's default. It must not block. A nil Drain is answered with 501.
	Drain func(rate int)
}

// Ops is the operations server of a process, port 9310: /metrics, /-/healthy,
// /-/ready, /-/drain and /debug/pprof/. The last two answer only peers on this
// machine.
type Ops struct {
	options  OpsOptions
	listener net.Listener
	server   http.Server
	cancel   context.CancelFunc // ends long requests
	served   chan struct{}      // closed when the accept loop has ended
	conns    atomic.Int32
	start    sync.Once

	running sync.RWMutex // read-locked by each handler, so that Stop can wait for them
	stopped bool
}

// NewOps binds the address. The error names it and the setting to change.
func NewOps(o OpsOptions) (*Ops, error) {
	if o.Setting == "" {
		o.Setting = "node.listen.ops"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("operations port: %w (the setting is %s; empty turns the port off)", err, o.Setting)
	}
	ctx, cancel := context.WithCancel(context.Background())
	listener = NewListener(listener, ListenerOptions{Port: "ops", Metrics: o.Metrics, Logger: o.Logger})
	ops := &Ops{options: o, listener: listener, cancel: cancel, served: make(chan struct{})}
	ops.server = http.Server{
		Handler:        ops.guard(ops.routes()),
		ReadTimeout:    opsReadTimeout,
		WriteTimeout:   opsWriteTimeout,
		IdleTimeout:    opsIdleTimeout,
		MaxHeaderBytes: opsHeaderBytes,
		ErrorLog:       slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ConnState:      ops.limit,
	}
	return ops, nil
}

// Addr is the address that was bound.
func (o *Ops) Addr() net.Addr { return o.listener.Addr() }

// Start serves until [Ops.Stop]. A second call does nothing.
func (o *Ops) Start() {
	o.start.Do(func() { go o.serve() })
}

func (o *Ops) serve() {
	defer close(o.served)
	if err := o.server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
		o.options.Logger.Error("the operations port stopped serving", "addr", o.Addr().String(), "err", err)
	}
}

// Stop closes the port, ends profiles that run, and waits for the other requests
// until ctx ends; then it cuts them off. When it returns no handler runs and none
// will. The error is that of ctx.
func (o *Ops) Stop(ctx context.Context) error {
	o.start.Do(func() { close(o.served) }) // never started, never will be
	o.cancel()
	err := o.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("stopping the operations port: %w", errors.Join(err, o.server.Close()))
	}
	o.listener.Close() // Shutdown knows it only after Serve began
	<-o.served
	o.running.Lock()
	defer o.running.Unlock()
	o.stopped = true
	return err
}

// guard lets Stop wait for handlers, which Close of a server does not.
func (o *Ops) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.running.RLock()
		defer o.running.RUnlock()
		if !o.stopped {
			next.ServeHTTP(w, r)
		}
	})
}

// limit closes connections beyond the limit before anything is read from them.
func (o *Ops) limit(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if o.conns.Add(1) > opsConnections {
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		o.conns.Add(-1)
	}
}
