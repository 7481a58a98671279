// Package alloc is the front door of a cluster: it tells devices which node to
// connect to, Prometheus which nodes to scrape, and takes pushes from back ends
// over HTTP. Every message that it accepts is in the ledger until it has an end,
// and the caller can wait for that end or ask for it later.
//
// The paths that MPush's allocator has (GET / and POST /push) answer as they do
// there. The API under /api/v1/ is described in docs/openapi.yaml.
package alloc

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
	"golang.org/x/time/rate"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/ledger"
)

// Options are what an [Allocator] needs. Router, Ledger, Snapshot, Gatherer and
// Metrics must be set; for everything else the zero value means the default.
type Options struct {
	// ID names the allocator to Prometheus.
	ID string
	// Listen is host:port; port 0 takes a free one.
	Listen string
	// ListSelf lists the allocator itself to Prometheus, under Advertise (host:port) or,
	// if that is empty, under the Host by which it was asked.
	ListSelf  bool
	Advertise string
	// Tokens are the bearer tokens that open the API, each equal to the others.
	// Without any the API is for programs on this machine: Listen must be a loopback
	// address, and requests for another Host are refused.
	Tokens []string
	// Insecure allows any address, and any Host, without tokens.
	Insecure bool
	// MaxBody bounds the body of a request in bytes; default 4 MiB.
	MaxBody int64
	// Rate bounds the calls of the API per second over all callers, Burst how many
	// may come at once; default 10,000 and 20,000. A negative rate means no bound.
	Rate  float64
	Burst int
	// MaxWait bounds how long a push may wait for its outcome; default 30 s.
	MaxWait time.Duration
	// MaxUsers bounds the list of users of one push; default 100,000.
	MaxUsers int

	Router   *cluster.Router
	Ledger   *ledger.Ledger
	Snapshot func() exporter.Snapshot // of the nodes of this process, for the console
	Gatherer prometheus.Gatherer      // what /metrics shows
	Metrics  *exporter.Metrics
	// Ready returns why the process should get no traffic; nil means always ready.
	Ready func() error
	// Logger gets what goes wrong; nil means [slog.Default].
	Logger *slog.Logger
	// Version is the Server header of every answer, after "fanfare/".
	Version string
	// JavaLoad counts the users that are online on the Java nodes of a public address;
	// [store.Store] does. They are then listed by load among the others, else behind them.
	JavaLoad func(ctx context.Context, publicIP string) (int, error)
	// Compile makes a filter of a condition's text. Without it conditions are refused.
	Compile func(expr string) (cluster.Condition, error)
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// withDefaults fills in what was left out, or says what must not be.
func (o Options) withDefaults() (Options, error) {
	if o.Router == nil || o.Ledger == nil || o.Snapshot == nil || o.Gatherer == nil || o.Metrics == nil {
		return o, errors.New("allocator: Router, Ledger, Snapshot, Gatherer and Metrics are needed")
	}
	setDefault(&o.MaxBody, 4<<20)
	setDefault(&o.Rate, 10_000)
	setDefault(&o.Burst, 20_000)
	setDefault(&o.MaxWait, 30*time.Second)
	setDefault(&o.MaxUsers, 100_000)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Bounds of the server. Waiting for an outcome and event streams move their own
// deadlines.
const (
	headerTimeout  = 10 * time.Second
	readTimeout    = 30 * time.Second // for the whole of a request
	answerTimeout  = 15 * time.Second // to take an answer, after all waiting
	idleTimeout    = time.Minute
	headerBytes    = 16 << 10
	maxConnections = 8192 // one more is closed at once
)

// Allocator is the HTTP server of port 9999. Make one with [New].
type Allocator struct {
	options  Options
	log      *slog.Logger
	guard    *guard
	limits   *limits
	events   *events
	loads    *javaLoads
	storeLog rate.Sometimes // that the store is away
	demo     atomic.Int64   // how many demo pushes there were

	listener net.Listener
	server   http.Server
	handler  http.Handler
	conns    atomic.Int32

	stopping context.Context // ends when Stop begins: waits and streams end
	cancel   context.CancelFunc
	start    sync.Once
	served   chan struct{} // closed when the accept loop has ended

	background sync.WaitGroup
}

// New checks the options and binds the address. It refuses an address that other
// machines can reach if there are no tokens, unless Insecure says otherwise.
func New(o Options) (*Allocator, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	address, err := net.ResolveTCPAddr("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("allocator: %w (the setting is alloc.listen)", err)
	}
	open := len(o.Tokens) == 0 && !o.Insecure
	if open && !address.IP.IsLoopback() {
		return nil, fmt.Errorf("allocator: %s can be reached from other machines: set api.tokens, or listen on 127.0.0.1 only", o.Listen)
	}
	guard, err := newGuard(o.Tokens, open)
	if err != nil {
		return nil, err
	}
	listener, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("allocator: %w (the setting is alloc.listen)", err)
	}
	return assemble(o, guard, exporter.NewListener(listener, exporter.ListenerOptions{
		Port: "allocator", Spare: exporter.SpareOfAPI, Metrics: o.Metrics, Logger: o.Logger})), nil
}

func assemble(o Options, g *guard, listener net.Listener) *Allocator {
	a := &Allocator{
		options: o, log: o.Logger, guard: g, listener: listener,
		limits:   newLimits(o.Rate, o.Burst, o.MaxBody),
		loads:    newJavaLoads(&o),
		storeLog: rate.Sometimes{Interval: time.Second},
		served:   make(chan struct{}),
	}
	a.stopping, a.cancel = context.WithCancel(context.Background())
	a.events = newEvents(o.Snapshot, a.nodes, o.Now)
	a.handler = a.routes()
	a.server = http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + o.MaxWait + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		ConnState:         a.limitConnections,
	}
	return a
}

// Addr is the address that was bound.
func (a *Allocator) Addr() net.Addr { return a.listener.Addr() }

// Handler is what the server serves, for use in another server. Its streams and
// waits end when [Allocator.Stop] is called.
func (a *Allocator) Handler() http.Handler { return a.handler }

// Start serves until [Allocator.Stop]. A second call does nothing; after Stop it
// is an error.
func (a *Allocator) Start() error {
	if a.stopping.Err() != nil {
		return errors.New("allocator: already stopped")
	}
	a.start.Do(func() {
		go a.serve()
		a.background.Go(func() { a.loads.run(a.stopping) })
	})
	return nil
}

func (a *Allocator) serve() {
	defer close(a.served)
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) && a.stopping.Err() == nil {
		a.log.Error("the allocator's port stopped serving", "addr", a.Addr().String(), "err", err)
	}
}

// Stop closes the port and lets requests finish: event streams end, and pushes
// that wait for their outcome are answered as accepted. When ctx ends it cuts off
// what is left and returns the error of ctx. No goroutine of the allocator is
// left when it returns. A second call does the same and returns at once.
func (a *Allocator) Stop(ctx context.Context) error {
	a.cancel()
	a.start.Do(func() { close(a.served) }) // never started, never will be
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("stopping the allocator: %w", errors.Join(err, a.server.Close()))
	}
	_ = a.listener.Close() // Shutdown knows it only after Serve began
	<-a.served
	a.background.Wait()
	a.limits.wait()
	a.events.stop()
	return err
}

// limitConnections closes connections beyond the bound before anything is read
// from them, so that this port cannot take the file descriptors that the devices
// of the same process need.
func (a *Allocator) limitConnections(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if a.conns.Add(1) > maxConnections {
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		a.conns.Add(-1)
	}
}

// until is the context of a request that waits: it ends with the request, after
// limit (0 = no limit), and when the allocator stops.
func (a *Allocator) until(r *http.Request, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	if limit > 0 {
		ctx, cancel = context.WithTimeout(r.Context(), limit)
	}
	unhook := context.AfterFunc(a.stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}
